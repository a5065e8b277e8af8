#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "headrace/runtime/backend.h"
#include "headrace/runtime/local/event_port.h"
#include "headrace/runtime/local/process_memory.h"
#include "headrace/runtime/store/arena.h"

namespace headrace {

class WorkerPool;
struct WorkerUse;

/// Keeps the processes of this job below a limit of memory, for the runs that have one.
///
/// What counts is what the machine would get back if the job ended: of this process, the template
/// and the workers their own pages and their part of shared ones (PSS), and each arena once, also
/// where it has outlived its worker. Processes that a user's function starts do not count.
///
/// A thread measures some hundred times a second, tells each run what is free, and near the limit
///   1. gives back what is free but kept: by allocators, and by workers without tasks, which end;
///   2. above it, stops the worker that is furthest past its allowance;
///   3. where none is, and it stays so for a while, the largest of several.
/// Several runs share: each may take its part of what is free. Workers of runs without a limit
/// count as taken, and are not stopped; nor is one of the others for what those hold.
///
/// Threads: all methods from any thread. The thread runs while there are runs.
class MemoryWatch {
 public:
  /// `workers` must outlive this.
  explicit MemoryWatch(WorkerPool* workers);
  /// Requires: all runs have left.
  ~MemoryWatch();

  /// Watches for the run of `port` from now on. Returns what there is for it.
  MemoryRoom Join(std::shared_ptr<EventPort> port, std::int64_t limit_bytes);
  void Leave(const EventPort* port);

 private:
  struct Run {
    std::shared_ptr<EventPort> port;
    std::int64_t limit_bytes = 0;
    event::MemoryMeasured told;  // Last.
    bool has_told = false;
  };
  struct Sample {
    std::int64_t total_bytes = 0;
    std::int64_t engine_bytes = 0;  // Of it, in this process and the template, but for blocks.
    std::int64_t idle_bytes = 0;    // In workers without tasks.
    std::vector<WorkerUse> workers;
    std::vector<std::int64_t> heaps;  // Of each of these.
  };

  void Serve();
  // Requires of all below: mutex_ is held.
  Sample Measure();
  std::int64_t MeasureArenas(const std::vector<WorkerUse>& workers);
  std::int64_t limit() const;
  void Tell(const Sample& sample);
  void GiveBack(const Sample& sample, std::int64_t excess);
  void StopOne(const Sample& sample);
  void LimitKept();

  WorkerPool* const workers_;
  std::mutex mutex_;  // Guards all below.
  std::condition_variable changed_;
  std::vector<Run> runs_;
  ProcessMeter driver_{0};
  std::map<std::int64_t, std::unique_ptr<ProcessMeter>> meters_;  // By pid.
  std::map<std::uint64_t, std::weak_ptr<ArenaView>> arenas_;      // Of workers, also of dead ones.
  std::int64_t trimmed_nanos_ = 0;
  std::int64_t over_since_nanos_ = 0;  // 0: it is not.
  std::int64_t kept_bytes_;            // Of free memory, by each arena.
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headrace
