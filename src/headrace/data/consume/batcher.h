#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "headrace/base/status.h"
#include "headrace/block/block.h"

namespace headrace {

struct BatcherOptions {
  std::int64_t batch_rows = 0;        // Rows of each batch. 0: blocks pass as they come.
  bool drop_last = false;             // Do not give a last batch of fewer rows.
  std::int64_t shuffle_min_rows = 0;  // Draw each batch at random from at least so many rows
                                      // (fewer near the end). 0: keep the order.
  std::uint64_t seed = 0;             // Of the draws: equal blocks and seed, equal batches.
};

/// Cuts a stream of blocks into batches of exact size, for the consumer. A batch that lies in
/// one block is a slice; others join chunks. Threads: one.
class Batcher {
 public:
  static std::unique_ptr<Batcher> Make(BatcherOptions options);
  virtual ~Batcher() = default;

  virtual void Add(Block block) = 0;

  /// No more blocks will be added.
  virtual void Finish() = 0;

  /// Returns the next batch, or nothing when more blocks are needed (after Finish(): at the end).
  virtual Result<std::optional<Block>> Next() = 0;
};

}  // namespace headrace
