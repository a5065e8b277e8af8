#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "headrace/runtime/local/process_memory.h"
#include "headrace/runtime/store/arena.h"

namespace headrace {

/// What a worker process holds besides the blocks that it has yielded: its heap, and scratch in its
/// arena. Threads: all methods from any thread.
class WorkerHeap {
 public:
  explicit WorkerHeap(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {}

  std::int64_t Held();

  /// Looks how much is held now. Called every millisecond, and after each batch of a task: more
  /// than a few MB cannot be missed.
  void NotePeak();
  /// Returns the most that was held since the last call, or since ForgetPeak().
  std::int64_t TakePeak();
  void ForgetPeak() { peak_bytes_.store(0); }

  /// A block was yielded (more bytes), or is not read any more (fewer).
  void AddBlockBytes(std::int64_t bytes) { block_bytes_.fetch_add(bytes); }

  /// From now on no more than this is kept of free memory.
  void SetKeepFree(std::int64_t bytes);
  /// Gives free memory back where little is to be kept and this is much.
  void GiveBack();

 private:
  const std::shared_ptr<Arena> arena_;
  HeapMeter heap_{/*beyond_first=*/true};
  std::atomic<std::int64_t> block_bytes_{0};
  std::atomic<std::int64_t> peak_bytes_{0};
  std::atomic<std::int64_t> keep_free_bytes_{-1};  // -1: as much as there is.
};

}  // namespace headrace
