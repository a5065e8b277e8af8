#include "headrace/control/plan/columns.h"

#include <arrow/type.h>

#include <algorithm>

#include "headrace/control/plan/facts.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {
namespace {

using Names = std::vector<std::string>;
using MaybeNames = std::optional<Names>;

bool Contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Columns of `op` itself; `inputs` are those of its inputs.
struct ColumnsOf {
  explicit ColumnsOf(const std::vector<MaybeNames>& columns) : inputs(columns) {}
  const std::vector<MaybeNames>& inputs;

  MaybeNames OfAllInputs() const {
    Names all;
    for (const MaybeNames& names : inputs) {
      if (!names) return std::nullopt;
      for (const std::string& name : *names) {
        if (!Contains(all, name)) all.push_back(name);
      }
    }
    return all;
  }

  MaybeNames operator()(const logical::Read& read) const {
    if (read.columns) return read.columns;
    if (read.source->schema == nullptr) return std::nullopt;
    return read.source->schema->field_names();
  }
  MaybeNames operator()(const logical::InputData& data) const {
    MaybeNames names;
    for (const BlockHandle& block : data.blocks) {
      if (block.info.schema == nullptr) return std::nullopt;
      Names of_block = block.info.schema->field_names();
      if (names && *names != of_block) return std::nullopt;
      names = std::move(of_block);
    }
    return names;
  }
  MaybeNames operator()(const logical::Map& map) const {
    if (map.function->kind == FunctionKind::kFilterRows) return inputs.front();
    return std::nullopt;
  }
  MaybeNames operator()(const logical::Filter&) const { return inputs.front(); }
  MaybeNames operator()(const logical::Project& project) const {
    if (project.projection.keep_rest && !inputs.front()) return std::nullopt;
    Names names;
    for (auto& [name, expr] :
         ExpandProjection(project.projection, inputs.front().value_or(Names()))) {
      names.push_back(name);
    }
    return names;
  }
  MaybeNames operator()(const logical::Limit&) const { return inputs.front(); }
  MaybeNames operator()(const logical::Union&) const { return OfAllInputs(); }
  MaybeNames operator()(const logical::Mix&) const { return OfAllInputs(); }
  MaybeNames operator()(const logical::Write& write) const {
    if (write.target->format == "python") return Names{"result"};
    return Names{"path", "temporary_path", "num_rows", "num_bytes"};
  }
  MaybeNames operator()(const logical::Repartition&) const { return inputs.front(); }
  MaybeNames operator()(const logical::RandomShuffle&) const { return inputs.front(); }
  MaybeNames operator()(const logical::RandomizeBlocks&) const { return inputs.front(); }
  MaybeNames operator()(const logical::Sort&) const { return inputs.front(); }
  MaybeNames operator()(const logical::Group&) const { return inputs.front(); }
  MaybeNames operator()(const logical::Aggregate& op) const {
    Names names = op.keys;
    for (const AggregateSpec& spec : op.aggregates) names.push_back(spec.name);
    return names;
  }
  MaybeNames operator()(const logical::Join& op) const {
    if (!inputs[0] || !inputs[1]) return std::nullopt;
    return NamesOf(JoinSchema(op.join, *SchemaOf(*inputs[0]), *SchemaOf(*inputs[1])));
  }
  MaybeNames operator()(const logical::Zip&) const {
    MaybeNames names = inputs.front();
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (!names || !inputs[i]) return std::nullopt;
      names = NamesOf(ZipSchema(*SchemaOf(*names), *SchemaOf(*inputs[i])));
    }
    return names;
  }

 private:
  // The names follow from names alone: any one type will do.
  static std::shared_ptr<arrow::Schema> SchemaOf(const Names& names) {
    arrow::FieldVector fields;
    for (const std::string& name : names) fields.push_back(arrow::field(name, arrow::int64()));
    return arrow::schema(std::move(fields));
  }
  static MaybeNames NamesOf(const Result<std::shared_ptr<arrow::Schema>>& schema) {
    if (!schema.ok()) return std::nullopt;
    return (*schema)->field_names();
  }
};

}  // namespace

MaybeNames FindColumns(const LogicalOperator& op) {
  std::vector<MaybeNames> inputs;
  for (const LogicalPtr& input : op.inputs()) inputs.push_back(InferColumns(input));
  return std::visit(ColumnsOf{inputs}, op.kind());
}

MaybeNames InferColumns(const LogicalPtr& plan) { return plan->facts().columns; }

ExprPtr ResolveColumn(const ProjectStep& projection, std::string_view name) {
  for (const NamedExpr& made : projection.exprs) {
    if (made.name == name) return made.expr;
  }
  if (!projection.keep_rest) return nullptr;
  for (const auto& [from, to] : projection.rename) {
    if (to == name) return MakeExpr(expr::Column{from});
  }
  const bool renamed = std::any_of(projection.rename.begin(), projection.rename.end(),
                                   [&](const auto& pair) { return pair.first == name; });
  if (renamed || Contains(projection.drop, name)) return nullptr;
  return MakeExpr(expr::Column{std::string(name)});
}

std::vector<NamedExpr> ExpandProjection(const ProjectStep& projection, const Names& input_columns) {
  if (!projection.keep_rest) return projection.exprs;
  std::vector<NamedExpr> all;
  for (const std::string& column : input_columns) {
    if (Contains(projection.drop, column)) continue;
    std::string name = column;
    for (const auto& [from, to] : projection.rename) {
      if (from == column) name = to;
    }
    all.push_back({std::move(name), MakeExpr(expr::Column{column})});
  }
  for (const NamedExpr& made : projection.exprs) {
    auto at = std::find_if(all.begin(), all.end(),
                           [&](const NamedExpr& kept) { return kept.name == made.name; });
    if (at == all.end()) {
      all.push_back(made);
    } else {
      at->expr = made.expr;
    }
  }
  return all;
}

ExprPtr SubstituteProjection(const ExprPtr& e, const ProjectStep& projection) {
  Names columns;
  CollectColumns(e, &columns);
  std::vector<NamedExpr> mapping;
  for (std::string& column : columns) {
    ExprPtr source = ResolveColumn(projection, column);
    if (source == nullptr) return nullptr;
    mapping.push_back({std::move(column), std::move(source)});
  }
  return SubstituteColumns(e, mapping);
}

bool IsSelection(const std::vector<NamedExpr>& exprs) {
  return std::all_of(exprs.begin(), exprs.end(), [](const NamedExpr& made) {
    const auto* column = made.expr->As<expr::Column>();
    return column != nullptr && column->name == made.name;
  });
}

}  // namespace headrace
