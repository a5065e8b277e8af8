#include "headrace/runtime/local/worker_heap.h"

#include <arrow/memory_pool.h>
#include <malloc.h>

#include <algorithm>

namespace headrace {

namespace {

// What a worker holds that has used a library or two.
constexpr std::int64_t kUsualBytes = 48 << 20;

}  // namespace

std::int64_t WorkerHeap::Held() {
  const std::int64_t scratch = arena_->resident_bytes() - block_bytes_.load();
  return heap_.Measure() + std::max<std::int64_t>(0, scratch);
}

void WorkerHeap::NotePeak() {
  const std::int64_t held = Held();
  std::int64_t peak = peak_bytes_.load();
  while (peak < held && !peak_bytes_.compare_exchange_weak(peak, held)) {
  }
}

std::int64_t WorkerHeap::TakePeak() {
  NotePeak();
  return peak_bytes_.exchange(0);
}

void WorkerHeap::SetKeepFree(std::int64_t bytes) {
  keep_free_bytes_.store(bytes);
  arena_->SetKeepFree(bytes);
}

void WorkerHeap::GiveBack() {
  const std::int64_t keep = keep_free_bytes_.load();
  if (keep < 0 || Held() <= kUsualBytes + keep) return;
  arrow::default_memory_pool()->ReleaseUnused();
  ::malloc_trim(0);
}

}  // namespace headrace
