#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/key_column.h"
#include "headrace/data/exchange/sort_key.h"
#include "headrace/data/exchange/sort_rows.h"

namespace headrace {

namespace {

// Bytes of the batches of a run: a block is what a merge holds of each run, and reads at once.
constexpr std::int64_t kRunBatchBytes = 32 << 20;
// Keys in the index of a batch, and one more.
constexpr std::int64_t kIndexKeys = 128;
// With a limit, rows that come together before they are cut to it.
constexpr std::int64_t kTrimRows = 256 << 10;

class SortStream : public BatchStream {
 public:
  SortStream(StreamPtr input, SortStep step, const TaskContext& context)
      : input_(std::move(input)), step_(std::move(step)), context_(context) {}

  Result<std::optional<Batch>> Next() override {
    if (!started_) {
      started_ = true;
      ARROW_RETURN_NOT_OK(Start());
    }
    const std::size_t begin = next_;
    if (!gatherer_ || (begin == rows_.size() && yielded_)) {
      gatherer_.reset();
      return std::nullopt;
    }
    ARROW_RETURN_NOT_OK(CheckCancelled(context_));
    next_ = std::min(rows_.size(), begin + batch_rows_);
    const std::span<const std::uint32_t> rows(rows_.data() + begin, next_ - begin);
    Batch batch;
    ARROW_ASSIGN_OR_RAISE(auto table, TakeRows(begin, rows));
    batch.block = Block(std::move(table), -1);
    batch.origin = origin_;
    ARROW_ASSIGN_OR_RAISE(batch.index, MakeIndex(rows));
    yielded_ = true;
    return batch;
  }

 private:
  Status Start() {
    ARROW_ASSIGN_OR_RAISE(auto all, Collect());
    input_.reset();
    if (!all) return Status::OK();
    origin_ = std::move(all->origin);
    ARROW_RETURN_NOT_OK(Sort(std::move(all->table)));
    batch_rows_ = static_cast<std::size_t>(RowsOfBytes(*gatherer_->table(), kRunBatchBytes));
    in_order_ = true;
    for (std::size_t i = 0; i < rows_.size() && in_order_; ++i) in_order_ = rows_[i] == i;
    return Status::OK();
  }

  // Leaves the rows in gatherer_ and their order, cut to the limit, in rows_.
  Status Sort(std::shared_ptr<arrow::Table> table) {
    ARROW_RETURN_NOT_OK(CheckSortKeys(step_.keys, *table->schema()));
    ARROW_ASSIGN_OR_RAISE(gatherer_, RowGatherer::Make(std::move(table), context_.pool));
    ARROW_ASSIGN_OR_RAISE(rows_, SortRows(*gatherer_->table(), step_.keys, context_.pool));
    if (step_.limit >= 0 && rows_.size() > static_cast<std::size_t>(step_.limit)) {
      rows_.resize(static_cast<std::size_t>(step_.limit));
    }
    return Status::OK();
  }

  Result<std::optional<Collected>> Collect() {
    if (step_.limit < 0) return CollectRows(input_.get(), context_);
    const std::int64_t most = std::max(2 * std::min(step_.limit, INT64_MAX / 4), kTrimRows);
    std::vector<Batch> batches;
    std::int64_t rows = 0;
    while (true) {
      ARROW_RETURN_NOT_OK(CheckCancelled(context_));
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) break;
      if (!batches.empty() && batch->block.num_rows() == 0) continue;
      rows += batch->block.num_rows();
      batches.push_back(*std::move(batch));
      if (rows > most) {
        ARROW_RETURN_NOT_OK(Trim(&batches));
        rows = batches.front().block.num_rows();
      }
    }
    if (batches.empty()) return std::nullopt;
    ARROW_ASSIGN_OR_RAISE(Collected all, JoinBatches(&batches, context_));
    return all;
  }

  // Puts one batch of the first rows in place of all. Rows of equal keys keep their order.
  Status Trim(std::vector<Batch>* batches) {
    ARROW_ASSIGN_OR_RAISE(Collected all, JoinBatches(batches, context_));
    ARROW_RETURN_NOT_OK(Sort(std::move(all.table)));
    ARROW_ASSIGN_OR_RAISE(auto first, gatherer_->Gather(rows_));
    gatherer_.reset();
    Batch batch;
    batch.block = Block(std::move(first), -1);
    batch.origin = std::move(all.origin);
    batches->push_back(std::move(batch));
    return Status::OK();
  }

  Result<std::shared_ptr<arrow::Table>> TakeRows(std::size_t begin,
                                                 std::span<const std::uint32_t> rows) const {
    if (!in_order_) return gatherer_->Gather(rows);
    return gatherer_->table()->Slice(static_cast<std::int64_t>(begin),
                                     static_cast<std::int64_t>(rows.size()));
  }

  Result<std::shared_ptr<const BlockIndex>> MakeIndex(std::span<const std::uint32_t> rows) const {
    auto index = std::make_shared<BlockIndex>();
    const auto count = static_cast<std::int64_t>(rows.size());
    index->stride = std::max<std::int64_t>(1, (count + kIndexKeys - 1) / kIndexKeys);
    if (rows.empty()) return index;
    std::vector<std::uint32_t> labelled;
    for (std::int64_t row = 0; row < count; row += index->stride) {
      labelled.push_back(rows[static_cast<std::size_t>(row)]);
    }
    labelled.push_back(rows.back());
    const arrow::Table& table = *gatherer_->table();
    arrow::FieldVector fields;
    arrow::ChunkedArrayVector columns;
    for (const SortKey& key : step_.keys) {
      ARROW_ASSIGN_OR_RAISE(const int column, FindKeyColumn(*table.schema(), key.column));
      ARROW_ASSIGN_OR_RAISE(auto values,
                            GatherColumn(table.column(column), labelled, context_.pool));
      fields.push_back(table.field(column));
      columns.push_back(std::move(values));
    }
    const auto key_rows = arrow::Table::Make(arrow::schema(std::move(fields)), std::move(columns));
    ARROW_ASSIGN_OR_RAISE(auto encoder, SortKeyEncoder::Make(*key_rows, step_.keys, context_.pool));
    index->keys.resize(labelled.size());
    for (std::size_t i = 0; i < labelled.size(); ++i) {
      encoder.Append(static_cast<std::int64_t>(i), &index->keys[i]);
    }
    return index;
  }

  StreamPtr input_;
  const SortStep step_;
  const TaskContext context_;
  bool started_ = false;
  bool yielded_ = false;
  std::optional<RowGatherer> gatherer_;  // Unset: no rows, or none any more.
  std::vector<std::uint32_t> rows_;
  bool in_order_ = false;  // The rows came sorted: rows_ counts.
  std::size_t next_ = 0;
  std::size_t batch_rows_ = 1;
  Origin origin_;
};

}  // namespace

StreamPtr MakeSortStream(StreamPtr input, SortStep step, const TaskContext& context) {
  return std::make_unique<SortStream>(std::move(input), std::move(step), context);
}

}  // namespace headrace
