#include "headrace/data/transform/evaluate.h"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/compute/api.h>
#include <arrow/compute/exec.h>
#include <arrow/compute/registry.h>
#include <arrow/datum.h>
#include <arrow/scalar.h>
#include <arrow/table.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/data/transform/arrow_init.h"
#include "headrace/data/transform/codes.h"
#include "headrace/data/transform/decimals.h"
#include "headrace/data/transform/row_function.h"
#include "headrace/data/transform/text_match.h"

namespace headrace {

namespace cp = arrow::compute;

namespace {

// One node of a bound tree: a column, a literal, a function of the row's place, or a call of a
// function on its arguments.
struct Node {
  int column = -1;
  arrow::Datum literal;
  std::optional<RowFunction> row_function;
  std::shared_ptr<cp::Function> function;
  std::shared_ptr<cp::FunctionOptions> options;
  std::vector<Node> arguments;
  bool has_decimals = false;  // Perhaps: see decimals.h.
  bool is_match = false;      // See text_match.h.
  bool is_case = false;       // The first argument of the call is a struct of the first half.
  int text = -1;              // The column, if the call depends on one alone and that is text.
};

// What a tree is evaluated on: a batch, or in place of one of its columns other values.
struct Operands {
  const arrow::RecordBatch& batch;
  std::int64_t first_row;
  std::int64_t count;
  std::shared_ptr<arrow::Array> values;  // Null: the batch's own.
};

const std::set<std::string_view> kComparisons = {"equal",   "not_equal",  "less",
                                                 "greater", "less_equal", "greater_equal"};

class Binder {
 public:
  Binder(const arrow::Schema& schema, const TaskContext& context)
      : schema_(schema), context_(context) {}

  Result<Node> Bind(const ExprPtr& e) {
    if (!e) return Status::Invalid("expression is null");
    ARROW_ASSIGN_OR_RAISE(Node node,
                          std::visit([this](const auto& n) { return BindNode(n); }, e->node));
    node.text = TextColumn(node);
    return node;
  }

 private:
  Result<Node> BindNode(const expr::Column& column) {
    const std::vector<int> found = schema_.GetAllFieldIndices(column.name);
    if (found.empty()) return UnknownColumn(column.name, schema_);
    if (found.size() > 1) {
      return Status::Invalid("column '", column.name, "' exists ", found.size(), " times");
    }
    Node node;
    node.column = found.front();
    return node;
  }

  Result<Node> BindNode(const expr::Literal& literal) {
    Node node;
    node.literal = literal.value;
    return node;
  }

  Result<Node> BindNode(const expr::Call& call) {
    Node node;
    ARROW_ASSIGN_OR_RAISE(node.row_function, RowFunction::Find(call, context_));
    if (node.row_function) return node;
    ARROW_RETURN_NOT_OK(FindFunction(call.function, &node));
    if (!call.options_type.empty()) {
      ARROW_ASSIGN_OR_RAISE(auto options, cp::FunctionOptions::Deserialize(
                                              call.options_type, arrow::Buffer(call.options)));
      node.options = std::move(options);
    }
    for (const ExprPtr& argument : call.arguments) {
      ARROW_ASSIGN_OR_RAISE(Node bound, Bind(argument));
      node.arguments.push_back(std::move(bound));
    }
    if (kComparisons.contains(call.function) && node.arguments.size() == 2) {
      NarrowLiteral(node.arguments[0], &node.arguments[1]);
      NarrowLiteral(node.arguments[1], &node.arguments[0]);
    }
    return node;
  }

  Result<Node> BindNode(const expr::Cast& cast) {
    Node node;
    ARROW_RETURN_NOT_OK(FindFunction("cast", &node));
    node.options = std::make_shared<cp::CastOptions>(
        cast.safe ? cp::CastOptions::Safe(cast.type) : cp::CastOptions::Unsafe(cast.type));
    ARROW_ASSIGN_OR_RAISE(Node input, Bind(cast.input));
    node.arguments.push_back(std::move(input));
    return node;
  }

  Result<Node> BindNode(const expr::IsIn& is_in) {
    Node node;
    ARROW_RETURN_NOT_OK(FindFunction("is_in", &node));
    node.options = std::make_shared<cp::SetLookupOptions>(is_in.values);
    ARROW_ASSIGN_OR_RAISE(Node input, Bind(is_in.input));
    node.arguments.push_back(std::move(input));
    return node;
  }

  Result<Node> BindNode(const expr::Case& node) {
    Node bound;
    if (node.branches.empty()) return Status::Invalid("a case needs at least one branch");
    ARROW_RETURN_NOT_OK(FindFunction("case_when", &bound));
    bound.is_case = true;
    for (const auto& [condition, value] : node.branches) {
      ARROW_ASSIGN_OR_RAISE(Node b, Bind(condition));
      bound.arguments.push_back(std::move(b));
    }
    for (const auto& [condition, value] : node.branches) {
      ARROW_ASSIGN_OR_RAISE(Node b, Bind(value));
      bound.arguments.push_back(std::move(b));
    }
    if (node.otherwise) {
      ARROW_ASSIGN_OR_RAISE(Node b, Bind(node.otherwise));
      bound.arguments.push_back(std::move(b));
    }
    return bound;
  }

  // Calls without arguments may differ from row to row.
  int TextColumn(const Node& node) const {
    if (node.column >= 0) {
      return IsText(*schema_.field(node.column)->type()) ? node.column : -1;
    }
    int column = -1;
    for (const Node& argument : node.arguments) {
      if (argument.literal.kind() != arrow::Datum::NONE) continue;
      if (argument.text < 0 || (column >= 0 && column != argument.text)) return -1;
      column = argument.text;
    }
    return column;
  }

  static Status FindFunction(const std::string& name, Node* node) {
    ARROW_ASSIGN_OR_RAISE(node->function, cp::GetFunctionRegistry()->GetFunction(name));
    if (node->function->kind() != cp::Function::SCALAR &&
        node->function->kind() != cp::Function::META) {
      return Status::Invalid("function '", name,
                             "' does not work row by row, so it cannot be part of an expression");
    }
    node->has_decimals = IsDecimalFunction(name);
    node->is_match = IsTextMatch(name);
    return Status::OK();
  }

  // Compares integers in the column's own width where the literal fits: the result is the same, and
  // the column need not be widened.
  void NarrowLiteral(const Node& column, Node* literal) const {
    if (column.column < 0 || !literal->literal.is_scalar()) return;
    const auto& type = schema_.field(column.column)->type();
    const auto& value = literal->literal.scalar();
    if (!arrow::is_integer(type->id()) || !arrow::is_integer(value->type->id())) return;
    if (auto narrow = cp::Cast(literal->literal, cp::CastOptions::Safe(type)); narrow.ok()) {
      literal->literal = *std::move(narrow);
    }
  }

  const arrow::Schema& schema_;
  const TaskContext& context_;
};

class BoundEvaluator : public Evaluator {
 public:
  BoundEvaluator(Node root, arrow::MemoryPool* pool) : root_(std::move(root)), context_(pool) {
    context_.set_use_threads(false);
  }

  Result<std::shared_ptr<arrow::Array>> Evaluate(const arrow::RecordBatch& batch,
                                                 std::int64_t first_row) override {
    ARROW_ASSIGN_OR_RAISE(arrow::Datum value,
                          Run(root_, {batch, first_row, batch.num_rows(), nullptr}));
    return AsArray(value, batch.num_rows());
  }

  int column_index() const override { return root_.column; }

 private:
  Result<arrow::Datum> Run(const Node& node, const Operands& rows) {
    if (node.text >= 0 && !rows.values) {
      const auto& column = rows.batch.column(node.text);
      if (column->type_id() == arrow::Type::DICTIONARY) {
        return RunOnCodes(node, rows, static_cast<const arrow::DictionaryArray&>(*column));
      }
    }
    return RunOnValues(node, rows);
  }

  Result<arrow::Datum> RunOnValues(const Node& node, const Operands& rows) {
    if (node.column >= 0) {
      return arrow::Datum(rows.values ? rows.values : rows.batch.column(node.column));
    }
    if (node.row_function) {
      ARROW_ASSIGN_OR_RAISE(auto values, node.row_function->Values(rows.first_row, rows.count,
                                                                   context_.memory_pool()));
      return arrow::Datum(std::move(values));
    }
    if (!node.function) return node.literal;
    std::vector<arrow::Datum> arguments;
    arguments.reserve(node.arguments.size());
    for (const Node& argument : node.arguments) {
      ARROW_ASSIGN_OR_RAISE(arrow::Datum value, Run(argument, rows));
      arguments.push_back(std::move(value));
    }
    if (node.is_case) ARROW_RETURN_NOT_OK(FoldConditions(rows.count, &arguments));
    if (node.has_decimals) {
      ARROW_ASSIGN_OR_RAISE(auto value,
                            ComputeDecimals(node.function->name(), arguments, node.options.get(),
                                            context_.memory_pool()));
      if (value) return *std::move(value);
    }
    if (node.is_match && arguments.size() == 1) {
      ARROW_ASSIGN_OR_RAISE(auto value, MatchText(node.function->name(), arguments.front(),
                                                  node.options.get(), context_.memory_pool()));
      if (value) return *std::move(value);
    }
    if (node.function->kind() == cp::Function::META) {
      return node.function->Execute(arguments, node.options.get(), &context_);
    }
    const bool constant =
        !arguments.empty() && std::all_of(arguments.begin(), arguments.end(),
                                          [](const auto& value) { return value.is_scalar(); });
    const std::int64_t length = constant ? 1 : rows.count;  // Arrow insists on this one.
    return node.function->Execute(cp::ExecBatch(std::move(arguments), length), node.options.get(),
                                  &context_);
  }

  // Evaluates once for each value of the dictionary and once for null, and deals out by code. What
  // fails may do so on a value that no row has: then on the rows.
  Result<arrow::Datum> RunOnCodes(const Node& node, const Operands& rows,
                                  const arrow::DictionaryArray& column) {
    arrow::MemoryPool* const pool = context_.memory_pool();
    std::shared_ptr<arrow::Array> values = column.dictionary();
    if (node.column < 0 && values->length() < rows.count) {
      if (column.null_count() > 0) {
        ARROW_ASSIGN_OR_RAISE(auto null, arrow::MakeArrayOfNull(values->type(), 1, pool));
        ARROW_ASSIGN_OR_RAISE(values, arrow::Concatenate({values, null}, pool));
      }
      const std::int64_t count = values->length();
      const auto results =
          RunOnValues(node, {rows.batch, rows.first_row, count, std::move(values)});
      if (results.ok() && results->is_scalar()) return *results;
      if (results.ok() && results->is_array() && results->length() == count) {
        ARROW_ASSIGN_OR_RAISE(auto codes, CodesOf(column, pool));
        return DealOut(*results, codes);
      }
    }
    ARROW_ASSIGN_OR_RAISE(
        auto text, DecodeText(std::make_shared<arrow::ChunkedArray>(rows.batch.column(node.text)),
                              *column.dictionary()->type(), pool));
    std::shared_ptr<arrow::Array> whole = text->chunk(0);
    if (text->num_chunks() > 1) {
      ARROW_ASSIGN_OR_RAISE(whole, arrow::Concatenate(text->chunks(), pool));
    }
    return RunOnValues(node, {rows.batch, rows.first_row, rows.count, std::move(whole)});
  }

  Result<arrow::Datum> DealOut(const arrow::Datum& results,
                               const std::shared_ptr<arrow::Array>& codes) {
    if (results.type()->id() != arrow::Type::BOOL || results.null_count() > 0) {
      return cp::Take(results, codes, cp::TakeOptions::NoBoundsCheck(), &context_);
    }
    const auto table = std::static_pointer_cast<arrow::BooleanArray>(results.make_array());
    std::vector<std::uint8_t> bits(static_cast<std::size_t>(table->length()));
    for (std::int64_t i = 0; i < table->length(); ++i) bits[i] = table->Value(i) ? 1 : 0;
    const std::int64_t rows = codes->length();
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> out,
                          arrow::AllocateEmptyBitmap(rows, context_.memory_pool()));
    const auto* code = codes->data()->GetValues<std::int32_t>(1);
    std::uint8_t* bytes = out->mutable_data();
    for (std::int64_t i = 0; i < rows; i += 8, ++bytes) {
      const std::int64_t count = std::min<std::int64_t>(8, rows - i);
      unsigned byte = 0;
      for (std::int64_t k = 0; k < count; ++k) byte |= unsigned{bits[code[i + k]]} << k;
      *bytes = static_cast<std::uint8_t>(byte);
    }
    return arrow::Datum(std::make_shared<arrow::BooleanArray>(rows, std::move(out)));
  }

  // case_when takes its conditions as one struct; a null condition counts as false.
  Status FoldConditions(std::int64_t rows, std::vector<arrow::Datum>* arguments) {
    const std::size_t conditions = arguments->size() / 2;
    std::vector<std::shared_ptr<arrow::Array>> columns;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < conditions; ++i) {
      ARROW_ASSIGN_OR_RAISE(auto column, AsArray((*arguments)[i], rows));
      columns.push_back(std::move(column));
      names.push_back(std::to_string(i));
    }
    ARROW_ASSIGN_OR_RAISE(auto folded, arrow::StructArray::Make(columns, names));
    arguments->erase(arguments->begin(),
                     arguments->begin() + static_cast<std::ptrdiff_t>(conditions));
    arguments->insert(arguments->begin(), std::move(folded));
    return Status::OK();
  }

  Result<std::shared_ptr<arrow::Array>> AsArray(const arrow::Datum& value, std::int64_t rows) {
    if (value.is_scalar()) {
      return arrow::MakeArrayFromScalar(*value.scalar(), rows, context_.memory_pool());
    }
    if (value.is_array()) return value.make_array();
    return Status::Invalid("expression gave ", value.ToString());
  }

  Node root_;
  cp::ExecContext context_;
};

}  // namespace

Status UnknownColumn(const std::string& name, const arrow::Schema& schema) {
  std::string known;
  for (const auto& field : schema.fields()) {
    if (!known.empty()) known += ", ";
    known += "'" + field->name() + "'";
  }
  return Status::KeyError("no column named '", name, "'; there ",
                          schema.num_fields() == 0 ? std::string("are none") : "are " + known);
}

Result<std::unique_ptr<Evaluator>> Evaluator::Bind(const ExprPtr& e,
                                                   const std::shared_ptr<arrow::Schema>& schema,
                                                   const TaskContext& context) {
  ARROW_RETURN_NOT_OK(InitializeArrow());
  ARROW_ASSIGN_OR_RAISE(Node root, Binder(*schema, context).Bind(e));
  return std::make_unique<BoundEvaluator>(
      std::move(root), context.pool ? context.pool : arrow::default_memory_pool());
}

Result<std::shared_ptr<arrow::ChunkedArray>> Evaluate(const ExprPtr& e, const arrow::Table& table,
                                                      const TaskContext& context) {
  ARROW_ASSIGN_OR_RAISE(auto evaluator, Evaluator::Bind(e, table.schema(), context));
  if (const int index = evaluator->column_index(); index >= 0) return table.column(index);
  arrow::TableBatchReader reader(table);
  arrow::ArrayVector chunks;
  std::shared_ptr<arrow::RecordBatch> batch;
  std::int64_t row = 0;
  while (true) {
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (!batch) break;
    ARROW_ASSIGN_OR_RAISE(auto chunk, evaluator->Evaluate(*batch, row));
    row += batch->num_rows();
    chunks.push_back(std::move(chunk));
  }
  if (chunks.empty()) {
    ARROW_ASSIGN_OR_RAISE(auto none, arrow::RecordBatch::MakeEmpty(table.schema()));
    ARROW_ASSIGN_OR_RAISE(auto chunk, evaluator->Evaluate(*none, row));
    chunks.push_back(std::move(chunk));
  }
  return std::make_shared<arrow::ChunkedArray>(std::move(chunks));
}

}  // namespace headrace
