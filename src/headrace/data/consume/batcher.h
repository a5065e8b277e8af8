#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/base/status.h"
#include "headrace/block/block.h"

namespace arrow {
class MemoryPool;
}

namespace headrace {

/// How blocks become batches.
struct BatcherOptions {
  std::int64_t batch_rows = 0;  // 0: each block is a batch.
  bool drop_last = false;       // Drops a last batch of fewer rows.
  /// Rows that are mixed at least, where there are so many; 0: no shuffle. Batches are then drawn
  /// at random from a buffer that is kept at this size or above.
  std::int64_t shuffle_min_rows = 0;
  std::uint64_t shuffle_seed = 0;
  arrow::MemoryPool* pool = nullptr;  // Null: the default pool.
};

/// Turns a stream of blocks into batches of exactly so many rows for a consumer.
///
///   Add(block) … ─▶ [queue] ─────────────────────────▶ slice or join ─▶ Next()
///                      └─▶ [shuffle buffer ≥ min] ─▶ draw ─┘
///
/// A batch that lies in one block is a slice of it; one over several blocks is joined, as one chunk
/// a column. With a shuffle, equal blocks, options and seed give equal batches. Batches without
/// rows never come, except that a stream without any row gives one for its schema, unless drop_last
/// is set.
///
/// Threads: one at a time.
class Batcher {
 public:
  static std::unique_ptr<Batcher> Make(BatcherOptions options);

  /// Adds the next block. Requires: Finish() was not called.
  void Add(Block block);

  /// Says that no more blocks come.
  void Finish() { finished_ = true; }

  /// Returns the next batch; nothing if more blocks are needed, or after Finish(), at the end.
  Result<std::optional<Block>> Next();

  /// Rows that were added and not yet given out.
  std::int64_t buffered_rows() const { return queued_rows_ + shuffle_rows_; }

 private:
  explicit Batcher(BatcherOptions options) : options_(options), rng_(options.shuffle_seed) {}

  Result<std::optional<Block>> NextInOrder();
  Result<std::optional<Block>> NextShuffled();
  Result<Block> TakeQueued(std::int64_t rows);
  Status FillShuffleBuffer();
  std::optional<Block> TakeEmpty();

  const BatcherOptions options_;
  Rng rng_;
  bool finished_ = false;
  bool saw_rows_ = false;
  std::optional<Block> empty_;  // The first block without rows.

  std::deque<Block> queued_;
  std::int64_t queued_offset_ = 0;  // Rows of the first that were taken.
  std::int64_t queued_rows_ = 0;

  Block shuffle_;                    // The buffer's rows, as one chunk a column.
  std::vector<std::int64_t> order_;  // Rows of shuffle_ that are left; drawn from the back.
  std::int64_t shuffle_rows_ = 0;    // As many as order_ has.
};

}  // namespace headrace
