#include "headrace/data/consume/batcher.h"

#include <arrow/array/builder_primitive.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/table.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/block/block_builder.h"
#include "headrace/block/unify.h"
#include "headrace/data/transform/arrow_init.h"

namespace headrace {

namespace {

// Buffers grow by this many times their minimum before batches are drawn, so that rows are copied
// into a new buffer once per several batches and not once per batch.
constexpr std::int64_t kRefillFactor = 2;

Block Unmeasured(const std::shared_ptr<arrow::Table>& table) { return Block(table, -1); }

Result<Block> OneChunk(const std::vector<Block>& blocks, arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(Block joined, JoinBlocks(blocks, pool));
  if (joined.table()->num_columns() == 0) return joined;
  ARROW_ASSIGN_OR_RAISE(auto table, CombineChunks(*joined.table(), pool));
  return Unmeasured(table);
}

Result<Block> TakeRows(const Block& block, const std::vector<std::int64_t>& rows,
                       arrow::MemoryPool* pool) {
  if (block.table()->num_columns() == 0) {
    return Unmeasured(block.table()->Slice(0, static_cast<std::int64_t>(rows.size())));
  }
  ARROW_RETURN_NOT_OK(InitializeArrow());
  arrow::Int64Builder builder(pool);
  ARROW_RETURN_NOT_OK(builder.AppendValues(rows));
  ARROW_ASSIGN_OR_RAISE(auto indices, builder.Finish());
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  ARROW_ASSIGN_OR_RAISE(
      arrow::Datum taken,
      arrow::compute::Take(arrow::Datum(block.table()), arrow::Datum(indices),
                           arrow::compute::TakeOptions::NoBoundsCheck(), &context));
  return Unmeasured(taken.table());
}

}  // namespace

std::unique_ptr<Batcher> Batcher::Make(BatcherOptions options) {
  if (!options.pool) options.pool = arrow::default_memory_pool();
  return std::unique_ptr<Batcher>(new Batcher(options));
}

void Batcher::Add(Block block) {
  HEADRACE_CHECK(!finished_);
  if (block.num_rows() == 0) {
    if (!empty_) empty_ = std::move(block);
    return;
  }
  saw_rows_ = true;
  queued_rows_ += block.num_rows();
  queued_.push_back(std::move(block));
}

Result<std::optional<Block>> Batcher::Next() {
  return options_.shuffle_min_rows > 0 ? NextShuffled() : NextInOrder();
}

Result<std::optional<Block>> Batcher::NextInOrder() {
  if (queued_rows_ == 0) return TakeEmpty();
  std::int64_t rows = options_.batch_rows;
  if (rows <= 0) rows = queued_.front().num_rows() - queued_offset_;
  if (queued_rows_ < rows) {
    if (!finished_ || options_.drop_last) return std::nullopt;
    rows = queued_rows_;
  }
  ARROW_ASSIGN_OR_RAISE(Block batch, TakeQueued(rows));
  return batch;
}

// A stream without any row: its schema is all there is to give.
std::optional<Block> Batcher::TakeEmpty() {
  if (!finished_ || saw_rows_ || options_.drop_last) return std::nullopt;
  return std::exchange(empty_, std::nullopt);
}

Result<Block> Batcher::TakeQueued(std::int64_t rows) {
  queued_rows_ -= rows;
  std::vector<Block> pieces;
  while (rows > 0) {
    const Block& front = queued_.front();
    const std::int64_t taken = std::min(rows, front.num_rows() - queued_offset_);
    pieces.push_back(taken == front.num_rows()
                         ? front
                         : Unmeasured(front.table()->Slice(queued_offset_, taken)));
    rows -= taken;
    queued_offset_ += taken;
    if (queued_offset_ == front.num_rows()) {
      queued_.pop_front();
      queued_offset_ = 0;
    }
  }
  if (pieces.size() == 1) return std::move(pieces.front());
  return OneChunk(pieces, options_.pool);
}

// Rows are drawn from a buffer of at least the minimum plus one batch, as long as more come.
Result<std::optional<Block>> Batcher::NextShuffled() {
  const std::int64_t batch = std::max<std::int64_t>(1, options_.batch_rows);
  const std::int64_t needed = options_.shuffle_min_rows + batch;
  if (shuffle_rows_ < needed && queued_rows_ > 0) {
    const bool enough =
        shuffle_rows_ + queued_rows_ >= std::max(needed, kRefillFactor * options_.shuffle_min_rows);
    if (!enough && !finished_) return std::nullopt;
    ARROW_RETURN_NOT_OK(FillShuffleBuffer());
  }
  if (shuffle_rows_ == 0) return TakeEmpty();
  if (shuffle_rows_ < needed && !finished_) return std::nullopt;
  const std::int64_t rows =
      options_.batch_rows > 0 ? std::min(batch, shuffle_rows_) : shuffle_rows_;
  if (rows < batch && options_.drop_last) return std::nullopt;
  std::vector<std::int64_t> drawn(order_.end() - static_cast<std::ptrdiff_t>(rows), order_.end());
  order_.resize(order_.size() - static_cast<std::size_t>(rows));
  shuffle_rows_ -= rows;
  ARROW_ASSIGN_OR_RAISE(Block out, TakeRows(shuffle_, drawn, options_.pool));
  if (shuffle_rows_ == 0) shuffle_ = Block();
  return out;
}

// Joins what is left of the buffer with all that is queued, and draws a new order.
Status Batcher::FillShuffleBuffer() {
  std::vector<Block> pieces;
  if (shuffle_rows_ > 0) {
    ARROW_ASSIGN_OR_RAISE(Block left, TakeRows(shuffle_, order_, options_.pool));
    pieces.push_back(std::move(left));
  }
  ARROW_ASSIGN_OR_RAISE(Block queued, TakeQueued(queued_rows_));
  pieces.push_back(std::move(queued));
  ARROW_ASSIGN_OR_RAISE(shuffle_, OneChunk(pieces, options_.pool));
  shuffle_rows_ = shuffle_.num_rows();
  order_.resize(static_cast<std::size_t>(shuffle_rows_));
  std::iota(order_.begin(), order_.end(), 0);
  for (std::size_t i = order_.size(); i > 1; --i) {
    std::swap(order_[i - 1], order_[rng_.Below(i)]);
  }
  return Status::OK();
}

}  // namespace headrace
