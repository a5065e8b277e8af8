#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/block/block_builder.h"
#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/sort_rows.h"
#include "headrace/data/exchange/sorted_run.h"

namespace headrace {

namespace {

// Bytes of the batches of a run: a block is what a merge holds of each run, and reads at once.
constexpr std::int64_t kRunBatchBytes = 32 << 20;
// Rows and bytes that are sorted at once, before all are merged: random access within them stays in
// the cache, which a sort of the whole would leave for each value of each row.
constexpr std::int64_t kPieceRows = 128 << 10;
constexpr std::int64_t kPieceBytes = 64 << 20;
// With a limit, rows that come together before they are cut to it.
constexpr std::int64_t kTrimRows = 256 << 10;
// Beyond this, a limit is left to the merge.
constexpr std::int64_t kMostTrimmed = 1 << 20;

class SortStream : public BatchStream {
 public:
  SortStream(StreamPtr input, SortStep step, const TaskContext& context)
      : input_(std::move(input)), step_(std::move(step)), context_(context) {}

  Result<std::optional<Batch>> Next() override {
    if (!started_) {
      started_ = true;
      ARROW_RETURN_NOT_OK(Start());
    }
    if (merged_) return NextMerged();
    const std::size_t begin = next_;
    if (!gatherer_ || (begin == rows_.size() && yielded_)) {
      gatherer_.reset();
      return std::nullopt;
    }
    ARROW_RETURN_NOT_OK(CheckCancelled(context_));
    next_ = std::min(rows_.size(), begin + batch_rows_);
    const std::span<const std::uint32_t> rows(rows_.data() + begin, next_ - begin);
    ARROW_ASSIGN_OR_RAISE(auto table, TakeRows(begin, rows));
    yielded_ = true;
    return Label(std::move(table));
  }

 private:
  Status Start() {
    const bool trims = step_.limit >= 0 && step_.limit <= kMostTrimmed;
    ARROW_ASSIGN_OR_RAISE(auto all, trims ? CollectFirst() : CollectPieces());
    input_.reset();
    if (!all) return Status::OK();
    origin_ = std::move(all->origin);
    ARROW_RETURN_NOT_OK(Sort(std::move(all->table)));
    batch_rows_ = static_cast<std::size_t>(RowsOfBytes(*gatherer_->table(), kRunBatchBytes));
    return Status::OK();
  }

  // Sorts pieces as they come and leaves their merge in merged_; or, if there are only few rows,
  // returns them.
  Result<std::optional<Collected>> CollectPieces() {
    std::vector<Block> pieces;
    std::vector<Origin> origins;
    std::vector<Batch> pending;
    std::int64_t rows = 0;
    std::int64_t bytes = 0;
    while (true) {
      ARROW_RETURN_NOT_OK(CheckCancelled(context_));
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) break;
      if (batch->block.num_rows() == 0 && !(pending.empty() && pieces.empty())) continue;
      rows += batch->block.num_rows();
      bytes += MeasureBytes(*batch->block.table());
      pending.push_back(*std::move(batch));
      if (rows < kPieceRows && bytes < kPieceBytes) continue;
      ARROW_RETURN_NOT_OK(SortPieces(&pending, &pieces, &origins));
      rows = 0;
      bytes = 0;
    }
    if (pieces.empty() && pending.empty()) return std::nullopt;
    if (pieces.empty()) {
      ARROW_ASSIGN_OR_RAISE(Collected all, JoinBatches(&pending, context_));
      return all;
    }
    if (!pending.empty()) ARROW_RETURN_NOT_OK(SortPieces(&pending, &pieces, &origins));
    origin_ = MergeOrigins(origins);
    merged_ = MakeMergeStream(std::move(pieces), std::nullopt, {step_.keys, step_.limit}, context_);
    return std::nullopt;
  }

  Status SortPieces(std::vector<Batch>* batches, std::vector<Block>* pieces,
                    std::vector<Origin>* origins) {
    ARROW_ASSIGN_OR_RAISE(Collected all, JoinBatches(batches, context_));
    origins->push_back(std::move(all.origin));
    const std::int64_t rows = all.table->num_rows();
    const std::int64_t most = std::min(kPieceRows, RowsOfBytes(*all.table, kPieceBytes));
    const std::int64_t count = std::max<std::int64_t>(1, (rows + most - 1) / most);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t begin = rows * i / count;
      ARROW_RETURN_NOT_OK(Sort(all.table->Slice(begin, rows * (i + 1) / count - begin)));
      ARROW_ASSIGN_OR_RAISE(auto sorted, TakeRows(0, rows_));
      pieces->emplace_back(std::move(sorted));
    }
    gatherer_.reset();
    return Status::OK();
  }

  Result<std::optional<Batch>> NextMerged() {
    std::vector<Block> blocks;
    for (std::int64_t bytes = 0; merged_open_ && bytes < kRunBatchBytes;) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, merged_->Next());
      merged_open_ = batch.has_value();
      if (!batch) break;
      bytes += MeasureBytes(*batch->block.table());
      blocks.push_back(std::move(batch->block));
    }
    if (blocks.empty()) return std::nullopt;
    ARROW_ASSIGN_OR_RAISE(Block joined, JoinBlocks(blocks, context_.pool));
    return Label(joined.table());
  }

  // Leaves the rows in gatherer_ and their order, cut to the limit, in rows_.
  Status Sort(std::shared_ptr<arrow::Table> table) {
    ARROW_RETURN_NOT_OK(CheckSortKeys(step_.keys, *table->schema()));
    ARROW_ASSIGN_OR_RAISE(gatherer_, RowGatherer::Make(std::move(table), context_.pool));
    ARROW_ASSIGN_OR_RAISE(rows_, SortRows(*gatherer_->table(), step_.keys, context_.pool));
    if (step_.limit >= 0 && rows_.size() > static_cast<std::size_t>(step_.limit)) {
      rows_.resize(static_cast<std::size_t>(step_.limit));
    }
    in_order_ = true;
    for (std::size_t i = 0; i < rows_.size() && in_order_; ++i) in_order_ = rows_[i] == i;
    return Status::OK();
  }

  // Returns the first rows, and perhaps more.
  Result<std::optional<Collected>> CollectFirst() {
    const std::int64_t most = std::max(2 * step_.limit, kTrimRows);
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

  Result<std::optional<Batch>> Label(std::shared_ptr<arrow::Table> table) const {
    ARROW_ASSIGN_OR_RAISE(auto index, IndexOfRun(*table, step_.keys, context_.pool));
    Batch batch;
    batch.block = Block(std::move(table), -1);
    batch.origin = origin_;
    batch.index = std::move(index);
    return batch;
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
  StreamPtr merged_;  // Of sorted pieces, where there are many rows; the members above are unused.
  bool merged_open_ = true;  // It has not ended.
  Origin origin_;
};

}  // namespace

StreamPtr MakeSortStream(StreamPtr input, SortStep step, const TaskContext& context) {
  return std::make_unique<SortStream>(std::move(input), std::move(step), context);
}

}  // namespace headrace
