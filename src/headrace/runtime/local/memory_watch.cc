#include "headrace/runtime/local/memory_watch.h"

#include <arrow/memory_pool.h>
#include <malloc.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/runtime/local/heap_pool.h"
#include "headrace/runtime/local/worker_pool.h"
#include "headrace/runtime/steady_nanos.h"

namespace headrace {

namespace {

constexpr std::chrono::milliseconds kGap{10};
constexpr std::chrono::milliseconds kTightGap{3};  // Above kTight / 4 of the limit.
constexpr std::int64_t kTight = 3;
constexpr std::int64_t kNearPart = 32;   // Within 1/32 of the limit, what is kept is given back.
constexpr std::int64_t kTellPart = 100;  // Changes of 1/100 of the limit are told.
constexpr std::int64_t kTrimNanos = 200'000'000;
constexpr std::int64_t kPatienceNanos = 150'000'000;
// What an arena keeps of its free memory: while no run has a limit, and else as a part of that.
constexpr std::int64_t kKeepUnlimited = ArenaOptions{}.keep_free_bytes;
constexpr std::int64_t kKeepPart = 64;
constexpr std::int64_t kKeepMin = 4 << 20;
constexpr std::int64_t kKeepMax = kKeepUnlimited;

}  // namespace

MemoryWatch::MemoryWatch(WorkerPool* workers) : workers_(workers), kept_bytes_(kKeepUnlimited) {}

MemoryWatch::~MemoryWatch() {
  {
    std::lock_guard lock(mutex_);
    HEADRACE_CHECK(runs_.empty());
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

MemoryRoom MemoryWatch::Join(std::shared_ptr<EventPort> port, std::int64_t limit_bytes) {
  std::lock_guard lock(mutex_);
  runs_.push_back({std::move(port), limit_bytes, {}, false});
  LimitKept();
  if (!thread_.joinable()) thread_ = std::thread([this] { Serve(); });
  changed_.notify_all();
  const Sample sample = Measure();
  const std::int64_t free = limit() - sample.total_bytes + sample.idle_bytes;
  // What other runs hold will be free one day.
  return {runs_.size() > 1 ? limit() - sample.engine_bytes : free, free};
}

void MemoryWatch::Leave(const EventPort* port) {
  std::lock_guard lock(mutex_);
  std::erase_if(runs_, [port](const Run& run) { return run.port.get() == port; });
  if (runs_.empty()) over_since_nanos_ = 0;
  LimitKept();
}

std::int64_t MemoryWatch::limit() const {
  std::int64_t least = INT64_MAX;
  for (const Run& run : runs_) least = std::min(least, run.limit_bytes);
  return least;
}

/// Free memory is kept since it is faster than fresh one: within reason.
void MemoryWatch::LimitKept() {
  const std::int64_t keep =
      runs_.empty() ? kKeepUnlimited : std::clamp(limit() / kKeepPart, kKeepMin, kKeepMax);
  if (std::exchange(kept_bytes_, keep) == keep) return;
  if (auto arena = Arena::ForProcess(); arena.ok()) (*arena)->SetKeepFree(keep);
  workers_->SetKeepFree(keep);
}

void MemoryWatch::Serve() {
  ::prctl(PR_SET_NAME, "headrace-memory", 0, 0, 0);
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (runs_.empty()) {
      changed_.wait(lock, [this] { return stopping_ || !runs_.empty(); });
      continue;
    }
    const Sample sample = Measure();
    const std::int64_t limit = this->limit();
    Tell(sample);
    const std::int64_t near = limit - limit / kNearPart;
    if (sample.total_bytes > near) GiveBack(sample, sample.total_bytes - near);
    if (sample.total_bytes > limit) {
      if (over_since_nanos_ == 0) over_since_nanos_ = SteadyNanos();
      StopOne(sample);
    } else {
      over_since_nanos_ = 0;
    }
    const bool tight = sample.total_bytes > limit / 4 * kTight;
    changed_.wait_for(lock, tight ? kTightGap : kGap);
  }
}

MemoryWatch::Sample MemoryWatch::Measure() {
  Sample sample;
  std::int64_t template_pid = -1;
  sample.workers = workers_->Uses(&template_pid);
  const std::int64_t now = SteadyNanos();
  std::map<std::int64_t, std::unique_ptr<ProcessMeter>> meters;
  const auto measure = [&](std::int64_t pid) {
    std::unique_ptr<ProcessMeter> meter = std::move(meters_[pid]);
    if (meter == nullptr) meter = std::make_unique<ProcessMeter>(pid);
    meter->Calibrate(now);
    const std::int64_t bytes = meter->Measure();
    meters[pid] = std::move(meter);
    return bytes;
  };
  driver_.Calibrate(now);
  sample.engine_bytes = driver_.Measure() + (template_pid > 0 ? measure(template_pid) : 0);
  sample.total_bytes = sample.engine_bytes + MeasureArenas(sample.workers);
  for (const WorkerUse& worker : sample.workers) {
    std::int64_t heap = worker.pid > 0 ? measure(worker.pid) : 0;
    sample.total_bytes += heap;
    if (worker.pid > 0) workers_->NoteUnseen(worker.key, meters[worker.pid]->unseen_bytes());
    if (worker.arena != nullptr) {
      const std::int64_t arena = MemoryFileBytes(worker.arena->descriptor());
      heap += std::max<std::int64_t>(0, arena - worker.block_bytes);
    }
    sample.heaps.push_back(heap);
    if (worker.idle) sample.idle_bytes += heap;
  }
  meters_ = std::move(meters);  // Of processes that are gone there are none any more.
  return sample;
}

std::int64_t MemoryWatch::MeasureArenas(const std::vector<WorkerUse>& workers) {
  std::int64_t bytes = 0;
  if (auto own = Arena::ForProcess(); own.ok()) bytes += MemoryFileBytes((*own)->descriptor());
  for (const WorkerUse& worker : workers) {
    if (worker.arena != nullptr) arenas_.try_emplace(worker.key, worker.arena);
  }
  for (auto at = arenas_.begin(); at != arenas_.end();) {
    const std::shared_ptr<ArenaView> arena = at->second.lock();
    if (arena == nullptr) {
      at = arenas_.erase(at);
      continue;
    }
    bytes += MemoryFileBytes(arena->descriptor());
    ++at;
  }
  return bytes;
}

void MemoryWatch::Tell(const Sample& sample) {
  std::int64_t free = limit() - sample.total_bytes + sample.idle_bytes;
  if (free > 0) free /= static_cast<std::int64_t>(runs_.size());
  for (Run& run : runs_) {
    event::MemoryMeasured now;
    now.free_bytes = free;
    for (std::size_t i = 0; i < sample.workers.size(); ++i) {
      const WorkerUse& worker = sample.workers[i];
      if (worker.port != run.port) continue;
      now.heap_bytes += sample.heaps[i];
      if (worker.task && worker.allowance > 0 && sample.heaps[i] > worker.allowance) {
        now.tasks.push_back({*worker.task, sample.heaps[i]});
      }
    }
    const std::int64_t step = run.limit_bytes / kTellPart;
    const bool changed = std::abs(now.free_bytes - run.told.free_bytes) > step ||
                         std::abs(now.heap_bytes - run.told.heap_bytes) > step;
    if (run.has_told && !changed) continue;
    run.has_told = true;
    run.told = now;
    run.port->Push(std::move(now));
  }
}

void MemoryWatch::GiveBack(const Sample& sample, std::int64_t excess) {
  const std::int64_t now = SteadyNanos();
  if (now - trimmed_nanos_ > kTrimNanos) {
    trimmed_nanos_ = now;
    arrow::default_memory_pool()->ReleaseUnused();
    HeapPool()->ReleaseUnused();
    if (auto arena = Arena::ForProcess(); arena.ok()) (*arena)->ReleaseUnused();
    ::malloc_trim(0);
  }
  std::vector<std::pair<std::int64_t, std::uint64_t>> idle;
  for (std::size_t i = 0; i < sample.workers.size(); ++i) {
    const WorkerUse& worker = sample.workers[i];
    if (worker.idle) idle.emplace_back(sample.heaps[i], worker.key);
  }
  std::sort(idle.rbegin(), idle.rend());
  for (const auto& [heap, key] : idle) {
    if (excess <= 0) return;
    if (workers_->StopIdle(key)) excess -= heap;
  }
}

void MemoryWatch::StopOne(const Sample& sample) {
  std::int64_t largest_excess = 0;
  std::int64_t largest_heap = 0;
  std::int64_t busy = 0;
  std::size_t over = sample.workers.size();
  std::size_t largest = over;
  std::int64_t others = 0;
  for (std::size_t i = 0; i < sample.workers.size(); ++i) {
    const WorkerUse& worker = sample.workers[i];
    if (worker.dying) return;  // Its memory is about to be free.
    if (worker.port == nullptr) continue;
    const bool limited = std::any_of(runs_.begin(), runs_.end(),
                                     [&](const Run& run) { return run.port == worker.port; });
    if (!limited) {
      others += sample.heaps[i];
      continue;
    }
    ++busy;
    const std::int64_t excess = worker.allowance > 0 ? sample.heaps[i] - worker.allowance : 0;
    if (excess > largest_excess) {
      largest_excess = excess;
      over = i;
    }
    if (sample.heaps[i] > largest_heap) {
      largest_heap = sample.heaps[i];
      largest = i;
    }
  }
  if (sample.total_bytes - others <= limit()) return;  // It is not these runs that are too large.
  if (over == sample.workers.size()) {
    if (busy < 2 || SteadyNanos() - over_since_nanos_ < kPatienceNanos) return;
    over = largest;
  }
  if (over == sample.workers.size()) return;
  workers_->StopOverMemory(sample.workers[over].key, sample.heaps[over]);
  over_since_nanos_ = 0;
}

}  // namespace headrace
