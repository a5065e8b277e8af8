#include <arrow/array/util.h>
#include <arrow/chunked_array.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <utility>

#include "headrace/block/block_builder.h"
#include "headrace/block/unify.h"
#include "headrace/data/exchange/aggregate_folder.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/transform/arrow_init.h"
#include "headrace/data/transform/codes.h"
#include "headrace/data/transform/evaluate.h"
#include "headrace/data/transform/failure.h"

namespace headrace {

namespace {

constexpr std::int64_t kFoldRows = 32 << 10;  // At once: their groups' numbers stay in the cache.
constexpr std::int64_t kGroupRows = 64 << 10;

// A partial fold gives up when this share of the last rows made new groups …
constexpr std::int64_t kWindowRows = 64 << 10;
constexpr double kNewShare = 0.85;
// … and hands on what it has when that has grown to so much: folding on costs more than it saves.
constexpr std::int64_t kPartialGroups = 1 << 20;
constexpr std::int64_t kPartialListRows = 1 << 20;

using TypePtr = std::shared_ptr<arrow::DataType>;

// Returns the type that holds values of both.
Result<TypePtr> MergeTypes(const std::string& column, const TypePtr& a, const TypePtr& b) {
  if (TypePtr both = UnifyTypes(a, b)) return both;
  return Status::TypeError("column '", column, "' has type ", a->ToString(),
                           " in some blocks and type ", b->ToString(), " in others");
}

class AggregateStream : public BatchStream {
 public:
  AggregateStream(StreamPtr input, AggregateStep step, const TaskContext& context,
                  std::vector<std::string> coded)
      : input_(std::move(input)),
        step_(std::move(step)),
        coded_(std::move(coded)),
        from_states_(step_.phase == AggregateStep::Phase::kFinal),
        to_states_(step_.phase == AggregateStep::Phase::kPartial),
        pool_(context.pool ? context.pool : arrow::default_memory_pool()),
        names_(AggregateFolder::Columns(step_, from_states_)),
        found_(names_.size(), false) {
    for (const AggregateSpec& aggregate : step_.aggregates) {
      has_lists_ |= aggregate.kind == AggregateKind::kList ||
                    aggregate.kind == AggregateKind::kUnique ||
                    aggregate.kind == AggregateKind::kCountDistinct ||
                    aggregate.kind == AggregateKind::kQuantile;
    }
    apart_step_ = step_;
    for (AggregateSpec& aggregate : apart_step_.aggregates) {
      // The state of one value is a list of it for all three, and no table is needed for this.
      if (aggregate.kind == AggregateKind::kUnique ||
          aggregate.kind == AggregateKind::kCountDistinct) {
        aggregate.kind = AggregateKind::kList;
      }
    }
  }

  Result<std::optional<Batch>> Next() override {
    while (true) {
      if (leaving_) {
        ARROW_ASSIGN_OR_RAISE(auto batch, TakeGroups());
        if (batch) return batch;
      } else if (reader_) {
        auto batch = FoldNext();
        if (!batch.ok()) return AddOrigin(batch.status(), FailureKind::kDataError, origin_);
        if (*batch) return *std::move(batch);
      } else if (ended_) {
        return std::nullopt;
      } else {
        ARROW_RETURN_NOT_OK(Pull());
      }
    }
  }

 private:
  Status Pull() {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (!batch) return End();
    origin_ = batch->origin;
    if (origin_.files && (files_.empty() || files_.back() != origin_.files)) {
      files_.push_back(origin_.files);
    }
    const Status status = Take(*batch->block.table());
    return AddOrigin(status, FailureKind::kDataError, origin_);
  }

  Status End() {
    ended_ = true;
    const bool saw_input = schema_ != nullptr;
    if (saw_input) {
      const auto missing = std::find(found_.begin(), found_.end(), false);
      if (missing != found_.end()) {
        return UnknownColumn(names_[static_cast<std::size_t>(missing - found_.begin())],
                             *first_schema_);
      }
    } else if (step_.keys.empty() && !to_states_) {
      arrow::FieldVector fields;
      for (const std::string& name : names_) fields.push_back(arrow::field(name, arrow::null()));
      ARROW_RETURN_NOT_OK(Restart(arrow::schema(std::move(fields))));
    } else {
      return Status::OK();
    }
    Leave();
    return Status::OK();
  }

  // Makes `table` the one that is folded next: the columns that are needed, in the types so far.
  Status Take(const arrow::Table& table) {
    ARROW_RETURN_NOT_OK(InitializeArrow());
    if (!first_schema_) first_schema_ = table.schema();
    arrow::FieldVector fields;
    arrow::ChunkedArrayVector columns;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const std::vector<int> at = table.schema()->GetAllFieldIndices(names_[i]);
      if (at.size() > 1) {
        return Status::Invalid("column '", names_[i], "' exists ", at.size(), " times");
      }
      if (at.empty() && from_states_) return UnknownColumn(names_[i], *table.schema());
      found_[i] = found_[i] || !at.empty();
      TypePtr type = at.empty() ? arrow::null() : table.field(at.front())->type();
      if (IsCodedKey(i)) type = PlainType(type);
      columns.push_back(at.empty() ? nullptr : table.column(at.front()));
      if (schema_) {
        ARROW_ASSIGN_OR_RAISE(
            type, MergeTypes(names_[i], schema_->field(static_cast<int>(i))->type(), type));
      }
      fields.push_back(arrow::field(names_[i], std::move(type)));
    }
    auto schema = arrow::schema(std::move(fields));
    if (!schema_ || !schema->Equals(*schema_)) ARROW_RETURN_NOT_OK(Restart(std::move(schema)));
    std::shared_ptr<arrow::Schema> folded = schema_;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const TypePtr& type = schema_->field(static_cast<int>(i))->type();
      if (!columns[i]) {
        ARROW_ASSIGN_OR_RAISE(auto nulls, arrow::MakeArrayOfNull(type, table.num_rows(), pool_));
        columns[i] = std::make_shared<arrow::ChunkedArray>(std::move(nulls));
      }
      if (IsCodedKey(i) && IsCoded(*columns[i]->type(), *type)) {
        folded = folded
                     ->SetField(static_cast<int>(i),
                                schema_->field(static_cast<int>(i))->WithType(columns[i]->type()))
                     .ValueOrDie();
        continue;
      }
      ARROW_ASSIGN_OR_RAISE(
          columns[i], Promote(columns[i], names_[i], type, from_states_ && i >= step_.keys.size()));
    }
    table_ = arrow::Table::Make(std::move(folded), std::move(columns), table.num_rows());
    reader_ = std::make_unique<arrow::TableBatchReader>(*table_);
    reader_->set_chunksize(kFoldRows);
    return Status::OK();
  }

  bool IsCodedKey(std::size_t column) const {
    return column < step_.keys.size() &&
           std::find(coded_.begin(), coded_.end(), names_[column]) != coded_.end();
  }

  // `name`: of a column that is folded, or of one of states.
  Result<std::shared_ptr<arrow::ChunkedArray>> Promote(
      const std::shared_ptr<arrow::ChunkedArray>& column, const std::string& name,
      const TypePtr& type, bool is_state) {
    if (is_state && name.ends_with("#sum") && arrow::is_floating(type->id())) {
      // What is a sum of floats now may be one of integers that no float equals.
      arrow::compute::ExecContext context(pool_);
      context.set_use_threads(false);
      ARROW_ASSIGN_OR_RAISE(
          auto sums,
          arrow::compute::Cast(column, arrow::compute::CastOptions::Unsafe(type), &context));
      return sums.chunked_array();
    }
    auto promoted = PromoteColumn(column, type, pool_);
    if (promoted.ok() || promoted.status().IsOutOfMemory()) return promoted;
    return promoted.status().WithMessage("column '", name, "': ", promoted.status().message());
  }

  // Goes on with a wider schema: the groups so far are folded into a new table as states.
  Status Restart(std::shared_ptr<arrow::Schema> schema) {
    ARROW_ASSIGN_OR_RAISE(auto folder, AggregateFolder::Make(step_, schema, from_states_, pool_));
    schema_ = std::move(schema);
    std::swap(folder, folder_);
    if (!folder || folder->num_rows() == 0) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(auto states, folder->States(0, folder->num_groups()));
    arrow::ArrayVector columns;
    arrow::FieldVector fields;
    for (int i = 0; i < states->num_columns(); ++i) {
      const auto& field = folder_->state_schema()->field(i);
      const bool is_key = static_cast<std::size_t>(i) < step_.keys.size();
      // The codes of the keys so far may be wider than a dictionary's type says.
      const TypePtr type = is_key ? PlainType(field->type()) : field->type();
      ARROW_ASSIGN_OR_RAISE(auto column,
                            Promote(std::make_shared<arrow::ChunkedArray>(states->column(i)),
                                    field->name(), type, /*is_state=*/!is_key));
      fields.push_back(field->WithType(type));
      columns.push_back(column->chunk(0));
    }
    return folder_->AddStates(
        *arrow::RecordBatch::Make(arrow::schema(std::move(fields)), states->num_rows(), columns));
  }

  // Folds the next rows of the table; returns a batch if they pass as they are.
  Result<std::optional<Batch>> FoldNext() {
    std::shared_ptr<arrow::RecordBatch> rows;
    if (table_->num_columns() == 0) {  // Only rows are counted; the reader would find none.
      rows = arrow::RecordBatch::Make(schema_, table_->num_rows(), arrow::ArrayVector{});
      table_ = arrow::Table::Make(schema_, arrow::ChunkedArrayVector{}, 0);
      if (rows->num_rows() == 0) rows = nullptr;
    } else {
      ARROW_RETURN_NOT_OK(reader_->ReadNext(&rows));
    }
    if (!rows) {
      reader_.reset();
      table_.reset();
      return std::nullopt;
    }
    if (passes_) return PassOn(*rows);
    ARROW_RETURN_NOT_OK(folder_->Add(*rows));
    if (to_states_ && !step_.keys.empty()) ARROW_RETURN_NOT_OK(Reconsider(rows->num_rows()));
    return std::nullopt;
  }

  Status Reconsider(std::int64_t rows) {
    window_rows_ += rows;
    if (window_rows_ >= kWindowRows) {
      const auto made = static_cast<double>(folder_->num_groups() - window_groups_);
      const bool is_first = folder_->num_rows() == window_rows_;
      passes_ = !is_first && made > kNewShare * static_cast<double>(window_rows_);
      window_rows_ = 0;
      window_groups_ = folder_->num_groups();
    }
    const bool is_large = folder_->num_groups() > kPartialGroups ||
                          (has_lists_ && folder_->num_rows() > kPartialListRows);
    if (!passes_ && !is_large) return Status::OK();
    Leave();
    window_rows_ = 0;
    window_groups_ = 0;
    ARROW_ASSIGN_OR_RAISE(folder_, AggregateFolder::Make(step_, schema_, from_states_, pool_));
    return Status::OK();
  }

  Result<std::optional<Batch>> PassOn(const arrow::RecordBatch& rows) {
    ARROW_ASSIGN_OR_RAISE(auto folder,
                          AggregateFolder::Make(apart_step_, schema_, from_states_, pool_));
    ARROW_RETURN_NOT_OK(folder->AddApart(rows));
    ARROW_ASSIGN_OR_RAISE(auto states, folder->States(0, rows.num_rows()));
    return MakeBatch(states);
  }

  // Begins to yield the groups so far.
  void Leave() {
    leaving_ = std::move(folder_);
    left_ = 0;
  }

  Result<std::optional<Batch>> TakeGroups() {
    // A partial fold of no rows has nothing to say; the final one knows of the group without keys.
    const bool says_nothing = to_states_ && leaving_->num_rows() == 0;
    const std::int64_t groups = says_nothing ? 0 : leaving_->num_groups();
    if (left_ == groups && (yielded_ || left_ > 0)) {
      leaving_.reset();
      return std::nullopt;
    }
    const std::int64_t end = std::min(groups, left_ + kGroupRows);
    std::shared_ptr<arrow::RecordBatch> batch;
    if (end == 0) {
      const auto& schema = to_states_ ? leaving_->state_schema() : leaving_->result_schema();
      ARROW_ASSIGN_OR_RAISE(batch, arrow::RecordBatch::MakeEmpty(schema, pool_));
    } else if (to_states_) {
      ARROW_ASSIGN_OR_RAISE(batch, leaving_->States(left_, end));
    } else {
      ARROW_ASSIGN_OR_RAISE(batch, leaving_->Results(left_, end));
    }
    left_ = end;
    return MakeBatch(batch);
  }

  Result<std::optional<Batch>> MakeBatch(const std::shared_ptr<arrow::RecordBatch>& rows) {
    ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches({rows}));
    yielded_ = true;
    Batch batch;
    batch.block = Block(std::move(table), -1);
    if (to_states_) batch.origin.files = MergeFiles(files_);
    return batch;
  }

  StreamPtr input_;
  const AggregateStep step_;
  const std::vector<std::string> coded_;
  AggregateStep apart_step_;  // For single rows.
  const bool from_states_;
  const bool to_states_;
  arrow::MemoryPool* const pool_;
  const std::vector<std::string> names_;  // Of the columns that are folded.
  std::vector<bool> found_;               // Was each in any block?
  bool has_lists_ = false;
  bool ended_ = false;
  bool yielded_ = false;

  std::shared_ptr<arrow::Schema> first_schema_;  // Of the input.
  std::shared_ptr<arrow::Schema> schema_;        // Of the columns that are folded.
  std::unique_ptr<AggregateFolder> folder_;

  std::shared_ptr<arrow::Table> table_;  // What is being folded.
  std::unique_ptr<arrow::TableBatchReader> reader_;
  Origin origin_;
  std::vector<FileList> files_;  // Of all input so far.

  bool passes_ = false;  // Rows pass unfolded from now on.
  std::int64_t window_rows_ = 0;
  std::int64_t window_groups_ = 0;

  std::unique_ptr<AggregateFolder> leaving_;  // What is being yielded.
  std::int64_t left_ = 0;
};

}  // namespace

StreamPtr MakeAggregateStream(StreamPtr input, AggregateStep step, const TaskContext& context,
                              std::vector<std::string> coded) {
  return std::make_unique<AggregateStream>(std::move(input), std::move(step), context,
                                           std::move(coded));
}

}  // namespace headrace
