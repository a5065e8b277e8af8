#include <arrow/array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <utility>

#include "headrace/data/transform/codes.h"
#include "headrace/data/transform/evaluate.h"
#include "headrace/data/transform/failure.h"
#include "headrace/data/transform/step.h"

namespace headrace {

namespace {

class FilterStream : public BatchStream {
 public:
  FilterStream(StreamPtr input, ExprPtr predicate, std::optional<std::vector<std::string>> keep,
               const TaskContext& context, std::shared_ptr<arrow::Schema> plain)
      : input_(std::move(input)),
        predicate_(std::move(predicate)),
        keep_(std::move(keep)),
        context_(context),
        plain_(std::move(plain)) {}

  Result<std::optional<Batch>> Next() override {
    while (!ended_) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) {
        ended_ = true;
        return yielded_ ? std::nullopt : std::exchange(empty_, std::nullopt);
      }
      auto table = Filter(*batch->block.table());
      if (!table.ok()) return AddOrigin(table.status(), FailureKind::kDataError, batch->origin);
      batch->block = Block(*std::move(table), -1);
      if (batch->block.num_rows() > 0) {
        yielded_ = true;
        return batch;
      }
      if (!yielded_ && !empty_) empty_ = std::move(batch);
    }
    return std::nullopt;
  }

 private:
  Result<std::shared_ptr<arrow::Table>> Filter(const arrow::Table& table) {
    if (!bound_ || !schema_->Equals(*table.schema(), /*check_metadata=*/false)) {
      ARROW_RETURN_NOT_OK(Bind(table.schema()));
    }
    arrow::TableBatchReader reader(table);
    arrow::RecordBatchVector kept;
    std::shared_ptr<arrow::RecordBatch> batch;
    while (true) {
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (!batch) break;
      ARROW_ASSIGN_OR_RAISE(batch, FilterBatch(*batch));
      if (batch->num_rows() > 0) kept.push_back(std::move(batch));
    }
    if (out_schema_->num_fields() == 0) {
      std::int64_t rows = 0;
      for (const auto& one : kept) rows += one->num_rows();
      return arrow::Table::Make(out_schema_, arrow::ChunkedArrayVector{}, rows);
    }
    return arrow::Table::FromRecordBatches(out_schema_, kept);
  }

  Status Bind(const std::shared_ptr<arrow::Schema>& schema) {
    ARROW_ASSIGN_OR_RAISE(
        bound_, Evaluator::Bind(predicate_, plain_ ? Uncoded(*schema, *plain_) : schema, context_));
    schema_ = schema;
    out_schema_ = schema;
    columns_.clear();
    if (!keep_) return Status::OK();
    arrow::FieldVector fields;
    for (const std::string& name : *keep_) {
      const int index = schema->GetFieldIndex(name);
      if (index < 0) return UnknownColumn(name, *schema);
      columns_.push_back(index);
      fields.push_back(schema->field(index));
    }
    out_schema_ = arrow::schema(std::move(fields), schema->metadata());
    return Status::OK();
  }

  Result<std::shared_ptr<arrow::RecordBatch>> FilterBatch(const arrow::RecordBatch& batch) {
    ARROW_ASSIGN_OR_RAISE(auto mask, bound_->Evaluate(batch, row_));
    row_ += batch.num_rows();
    std::shared_ptr<arrow::RecordBatch> narrow = batch.Slice(0);
    if (keep_) {
      ARROW_ASSIGN_OR_RAISE(narrow, batch.SelectColumns(columns_));
    }
    if (mask->type_id() == arrow::Type::NA) return narrow->Slice(0, 0);
    if (mask->type_id() != arrow::Type::BOOL) {
      return Status::TypeError("a filter needs a boolean expression, not one of type ",
                               mask->type()->ToString(), ": ", ToString(predicate_));
    }
    const std::int64_t kept = static_cast<const arrow::BooleanArray&>(*mask).true_count();
    if (kept == batch.num_rows()) return narrow;
    if (kept == 0) return narrow->Slice(0, 0);
    if (narrow->num_columns() == 0) {
      return arrow::RecordBatch::Make(out_schema_, kept, arrow::ArrayVector{});
    }
    arrow::compute::ExecContext context(context_.pool ? context_.pool
                                                      : arrow::default_memory_pool());
    context.set_use_threads(false);
    ARROW_ASSIGN_OR_RAISE(
        arrow::Datum out,
        arrow::compute::Filter(narrow, mask, arrow::compute::FilterOptions::Defaults(), &context));
    return out.record_batch();
  }

  StreamPtr input_;
  const ExprPtr predicate_;
  const std::optional<std::vector<std::string>> keep_;
  const TaskContext context_;
  const std::shared_ptr<arrow::Schema> plain_;
  std::unique_ptr<Evaluator> bound_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::Schema> out_schema_;
  std::vector<int> columns_;  // Of keep_, in the input.
  std::int64_t row_ = 0;      // The next one's number among those that came in.
  bool yielded_ = false;
  bool ended_ = false;          // The input must not be asked again.
  std::optional<Batch> empty_;  // The first batch without rows, for its schema.
};

}  // namespace

StreamPtr MakeFilterStream(StreamPtr input, ExprPtr predicate,
                           std::optional<std::vector<std::string>> keep, const TaskContext& context,
                           std::shared_ptr<arrow::Schema> plain) {
  return std::make_unique<FilterStream>(std::move(input), std::move(predicate), std::move(keep),
                                        context, std::move(plain));
}

}  // namespace headrace
