#include <arrow/array.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <set>
#include <utility>

#include "headrace/data/transform/evaluate.h"
#include "headrace/data/transform/failure.h"
#include "headrace/data/transform/step.h"

namespace headrace {

namespace {

// One column of the output: a column of the input as it is, or an expression.
struct Output {
  std::string name;
  int source = -1;
  std::unique_ptr<Evaluator> evaluator;  // Null: pass `source` on.
  const NamedExpr* expr = nullptr;       // What `evaluator` computes.
};

// Says which column it was that could not be computed. A column that is missing speaks for itself.
Status InColumn(const Status& status, const NamedExpr& named) {
  if (status.ok() || status.IsKeyError() || status.IsCancelled()) return status;
  return status.WithMessage(status.message(), " (column '", named.name,
                            "' = ", ToString(named.expr), ")");
}

class ProjectStream : public BatchStream {
 public:
  ProjectStream(StreamPtr input, ProjectStep step, const TaskContext& context)
      : input_(std::move(input)), step_(std::move(step)), context_(context) {}

  Result<std::optional<Batch>> Next() override {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (!batch) return std::nullopt;
    auto table = Project(*batch->block.table());
    if (!table.ok()) return AddOrigin(table.status(), FailureKind::kDataError, batch->origin);
    batch->block = Block(*std::move(table), -1);
    return batch;
  }

 private:
  Result<std::shared_ptr<arrow::Table>> Project(const arrow::Table& table) {
    if (!schema_ || !schema_->Equals(*table.schema(), /*check_metadata=*/false)) {
      ARROW_RETURN_NOT_OK(Bind(table.schema()));
    }
    std::vector<arrow::ArrayVector> computed(outputs_.size());
    if (computes_) ARROW_RETURN_NOT_OK(Compute(table, &computed));
    arrow::ChunkedArrayVector columns;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      columns.push_back(outputs_[i].evaluator
                            ? std::make_shared<arrow::ChunkedArray>(std::move(computed[i]))
                            : table.column(outputs_[i].source));
    }
    return arrow::Table::Make(OutputSchema(columns), columns, table.num_rows());
  }

  Status Compute(const arrow::Table& table, std::vector<arrow::ArrayVector>* computed) {
    arrow::TableBatchReader reader(table);
    std::shared_ptr<arrow::RecordBatch> batch;
    bool any = false;
    while (true) {
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (!batch) {
        if (any) return Status::OK();
        ARROW_ASSIGN_OR_RAISE(
            batch,
            arrow::RecordBatch::MakeEmpty(
                table.schema(), context_.pool ? context_.pool : arrow::default_memory_pool()));
      }
      for (std::size_t i = 0; i < outputs_.size(); ++i) {
        if (!outputs_[i].evaluator) continue;
        auto chunk = outputs_[i].evaluator->Evaluate(*batch, row_);
        if (!chunk.ok()) return InColumn(chunk.status(), *outputs_[i].expr);
        (*computed)[i].push_back(*std::move(chunk));
      }
      if (batch->num_rows() == 0) return Status::OK();
      row_ += batch->num_rows();
      any = true;
    }
  }

  // One schema object for all batches whose types are the same.
  const std::shared_ptr<arrow::Schema>& OutputSchema(const arrow::ChunkedArrayVector& columns) {
    bool same = out_schema_ != nullptr;
    for (std::size_t i = 0; same && i < columns.size(); ++i) {
      same = out_schema_->field(static_cast<int>(i))->type()->Equals(*columns[i]->type());
    }
    if (same) return out_schema_;
    arrow::FieldVector fields;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Output& output = outputs_[i];
      fields.push_back(output.evaluator ? arrow::field(output.name, columns[i]->type())
                                        : schema_->field(output.source)->WithName(output.name));
    }
    out_schema_ = arrow::schema(std::move(fields), schema_->metadata());
    return out_schema_;
  }

  Status Bind(const std::shared_ptr<arrow::Schema>& schema) {
    schema_ = schema;
    out_schema_ = nullptr;
    outputs_.clear();
    computes_ = false;
    if (step_.keep_rest) ARROW_RETURN_NOT_OK(BindRest());
    for (const NamedExpr& named : step_.exprs) {
      auto evaluator = Evaluator::Bind(named.expr, schema, context_);
      if (!evaluator.ok()) return InColumn(evaluator.status(), named);
      Output output{named.name, (*evaluator)->column_index(), nullptr, &named};
      if (output.source < 0) {
        output.evaluator = *std::move(evaluator);
        computes_ = true;
      }
      auto same = std::find_if(outputs_.begin(), outputs_.end(),
                               [&](const Output& other) { return other.name == named.name; });
      if (same != outputs_.end() && step_.keep_rest) {
        *same = std::move(output);
      } else {
        outputs_.push_back(std::move(output));
      }
    }
    std::set<std::string_view> names;
    for (const Output& output : outputs_) {
      if (!names.insert(output.name).second) {
        return Status::Invalid("the projection makes the column '", output.name, "' twice");
      }
    }
    return Status::OK();
  }

  Status BindRest() {
    const arrow::Schema& schema = *schema_;
    for (int i = 0; i < schema.num_fields(); ++i)
      outputs_.push_back({schema.field(i)->name(), i, {}});
    for (const auto& [from, to] : step_.rename) {
      const int index = schema.GetFieldIndex(from);
      if (index < 0) return UnknownColumn(from, schema);
      outputs_[static_cast<std::size_t>(index)].name = to;
    }
    for (const std::string& name : step_.drop) {
      if (schema.GetFieldIndex(name) < 0) return UnknownColumn(name, schema);
    }
    std::erase_if(outputs_, [&](const Output& output) {
      const std::string& name = schema.field(output.source)->name();
      return std::find(step_.drop.begin(), step_.drop.end(), name) != step_.drop.end();
    });
    return Status::OK();
  }

  StreamPtr input_;
  const ProjectStep step_;
  const TaskContext context_;
  std::shared_ptr<arrow::Schema> schema_;      // Of the input that is bound.
  std::shared_ptr<arrow::Schema> out_schema_;  // Of the last output.
  std::vector<Output> outputs_;
  bool computes_ = false;
  std::int64_t row_ = 0;  // The next one's number among those that came in, if any is computed.
};

}  // namespace

StreamPtr MakeProjectStream(StreamPtr input, ProjectStep step, const TaskContext& context) {
  return std::make_unique<ProjectStream>(std::move(input), std::move(step), context);
}

}  // namespace headrace
