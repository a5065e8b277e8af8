#include <arrow/type.h>

#include <algorithm>

#include "headrace/control/plan/columns.h"
#include "headrace/control/plan/expr_facts.h"
#include "headrace/control/plan/facts.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {
namespace {

using SchemaPtr = std::shared_ptr<arrow::Schema>;

SchemaPtr SchemaOfRead(const logical::Read& read) {
  const SchemaPtr& whole = read.source->schema;
  if (whole == nullptr || !read.columns) return whole;
  arrow::FieldVector fields;
  for (const std::string& name : *read.columns) {
    auto field = whole->GetFieldByName(name);
    if (field == nullptr) return nullptr;
    fields.push_back(std::move(field));
  }
  return arrow::schema(std::move(fields), whole->metadata());
}

// Returns the schema that all have, or null.
template <class Items, class SchemaOf>
SchemaPtr CommonSchema(const Items& items, const SchemaOf& schema_of) {
  SchemaPtr common;
  for (const auto& item : items) {
    SchemaPtr schema = schema_of(item);
    if (schema == nullptr || (common != nullptr && !common->Equals(*schema))) return nullptr;
    common = std::move(schema);
  }
  return common;
}

SchemaPtr SchemaOfProject(const logical::Project& project, const LogicalPtr& input) {
  const SchemaPtr from = InferSchema(input);
  if (from == nullptr) return nullptr;
  arrow::FieldVector fields;
  for (const auto& [name, expr] : ExpandProjection(project.projection, from->field_names())) {
    if (const auto* column = expr->As<expr::Column>()) {
      auto field = from->GetFieldByName(column->name);
      if (field == nullptr) return nullptr;
      fields.push_back(field->WithName(name));
      continue;
    }
    auto type = InferType(expr, *from);
    if (type == nullptr) return nullptr;
    fields.push_back(arrow::field(name, std::move(type)));
  }
  return arrow::schema(std::move(fields), from->metadata());
}

SchemaPtr SchemaOfWrite(const logical::Write& write) {
  if (write.target->format == "python")
    return arrow::schema({arrow::field("result", arrow::binary())});
  return arrow::schema(
      {arrow::field("path", arrow::utf8()), arrow::field("temporary_path", arrow::utf8()),
       arrow::field("num_rows", arrow::int64()), arrow::field("num_bytes", arrow::int64())});
}

SchemaPtr SchemaOfZip(const std::vector<LogicalPtr>& inputs) {
  SchemaPtr all = InferSchema(inputs.front());
  for (std::size_t i = 1; i < inputs.size() && all != nullptr; ++i) {
    const SchemaPtr next = InferSchema(inputs[i]);
    all = next == nullptr ? nullptr : ZipSchema(*all, *next).ValueOr(nullptr);
  }
  return all;
}

std::optional<std::int64_t> RowsOfRead(const logical::Read& read) {
  if (read.filter != nullptr) return std::nullopt;
  std::int64_t rows = 0;
  for (const ReadUnit& unit : read.source->units) {
    if (unit.num_rows < 0) return std::nullopt;
    rows += unit.num_rows;
  }
  if (read.row_limit < 0 || rows <= read.row_limit) return rows;
  // The limit is per task: exact only where there is but one.
  if (read.source->units.size() == 1) return read.row_limit;
  return std::nullopt;
}

std::optional<std::int64_t> RowsOfUnion(const std::vector<LogicalPtr>& inputs) {
  std::int64_t all = 0;
  for (const LogicalPtr& input : inputs) {
    const auto rows = InferRowCount(input);
    if (!rows) return std::nullopt;
    all += *rows;
  }
  return all;
}

}  // namespace

SchemaPtr FindSchema(const LogicalOperator& plan) {
  if (const auto* read = plan.As<logical::Read>()) return SchemaOfRead(*read);
  if (const auto* data = plan.As<logical::InputData>()) {
    return CommonSchema(data->blocks, [](const BlockHandle& block) { return block.info.schema; });
  }
  if (const auto* map = plan.As<logical::Map>()) {
    const bool keeps = map->function->kind == FunctionKind::kFilterRows;
    return keeps ? InferSchema(plan.input()) : nullptr;
  }
  if (const auto* project = plan.As<logical::Project>()) {
    return SchemaOfProject(*project, plan.input());
  }
  if (plan.As<logical::Union>() != nullptr || plan.As<logical::Mix>() != nullptr) {
    return CommonSchema(plan.inputs(), InferSchema);
  }
  if (const auto* write = plan.As<logical::Write>()) return SchemaOfWrite(*write);
  if (const auto* aggregate = plan.As<logical::Aggregate>()) {
    const SchemaPtr input = InferSchema(plan.input());
    if (input == nullptr) return nullptr;
    const AggregateStep step{AggregateStep::Phase::kWhole, aggregate->keys, aggregate->aggregates};
    return AggregateSchema(step, *input).ValueOr(nullptr);
  }
  if (const auto* join = plan.As<logical::Join>()) {
    const SchemaPtr left = InferSchema(plan.inputs()[0]), right = InferSchema(plan.inputs()[1]);
    if (left == nullptr || right == nullptr) return nullptr;
    return JoinSchema(join->join, *left, *right).ValueOr(nullptr);
  }
  if (plan.As<logical::Zip>() != nullptr) return SchemaOfZip(plan.inputs());
  return InferSchema(plan.input());  // Those that only choose or order rows.
}

SchemaPtr InferSchema(const LogicalPtr& plan) { return plan->facts().schema; }

std::optional<std::int64_t> InferRowCount(const LogicalPtr& plan) {
  if (const auto* read = plan->As<logical::Read>()) return RowsOfRead(*read);
  if (const auto* data = plan->As<logical::InputData>()) {
    std::int64_t rows = 0;
    for (const BlockHandle& block : data->blocks) rows += block.info.num_rows;
    return rows;
  }
  if (const auto* map = plan->As<logical::Map>()) {
    return PreservesRows(*map->function) ? InferRowCount(plan->input()) : std::nullopt;
  }
  if (plan->As<logical::Project>() != nullptr) return InferRowCount(plan->input());
  if (const auto* limit = plan->As<logical::Limit>()) {
    if (limit->rows == 0) return 0;
    const auto rows = InferRowCount(plan->input());
    return rows ? std::optional(std::min(*rows, limit->rows)) : std::nullopt;
  }
  if (plan->As<logical::Union>() != nullptr) return RowsOfUnion(plan->inputs());
  if (const auto* mix = plan->As<logical::Mix>()) {
    return mix->stop_on_shortest ? std::nullopt : RowsOfUnion(plan->inputs());
  }
  const bool keeps_all =
      plan->As<logical::Repartition>() != nullptr ||
      plan->As<logical::RandomShuffle>() != nullptr ||
      plan->As<logical::RandomizeBlocks>() != nullptr || plan->As<logical::Sort>() != nullptr ||
      plan->As<logical::Group>() != nullptr || plan->As<logical::Zip>() != nullptr;
  if (keeps_all) {
    const auto* sort = plan->As<logical::Sort>();
    return sort != nullptr && sort->limit >= 0 ? std::nullopt : InferRowCount(plan->input());
  }
  if (const auto* aggregate = plan->As<logical::Aggregate>()) {
    return aggregate->keys.empty() ? std::optional<std::int64_t>(1) : std::nullopt;
  }
  return std::nullopt;  // Filter, Write, Join.
}

}  // namespace headrace
