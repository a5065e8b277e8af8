#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "headrace/protocol/event.h"
#include "headrace/runtime/short_mutex.h"

namespace headrace {

class EventPort;

/// Runs the tasks of the thread lane on a fixed number of threads. A task holds a thread while it
/// computes, never while it waits for credit.
///
///   Start ─▶ queued ─▶ running ─▶ ended
///               ▲         │ out of credit
///      Grant or └─ parked ◀┘
///       Cancel
///
/// Threads: all methods from any thread.
class ThreadLane {
 public:
  class Task;

  explicit ThreadLane(int threads);
  /// Waits for what runs. Requires: no task is left.
  ~ThreadLane();

  /// Makes a task; what happens to it goes to `port`. It waits for Enqueue().
  static std::shared_ptr<Task> Make(std::shared_ptr<EventPort> port, TaskId id, TaskOrder order);
  /// Starts `tasks`, together: a burst of short ones costs one lock, and few wake-ups.
  void Enqueue(std::span<const std::shared_ptr<Task>> tasks);
  void Grant(const std::shared_ptr<Task>& task, std::int64_t credit_bytes);
  void Cancel(const std::shared_ptr<Task>& task);

  /// Runs `job` on one of the threads.
  void Submit(std::function<void()> job);

 private:
  void Serve();
  bool MustWake();  // Requires: mutex_ is held.

  ShortMutex mutex_;
  std::condition_variable work_;
  std::deque<std::shared_ptr<Task>> tasks_;  // Guarded by mutex_.
  std::deque<std::function<void()>> jobs_;   // Guarded by mutex_. Taken before tasks.
  int idle_ = 0;                             // Guarded by mutex_.
  int woken_ = 0;                            // Of the idle ones. Guarded by mutex_.
  bool stopping_ = false;                    // Guarded by mutex_.
  std::vector<std::thread> threads_;
};

}  // namespace headrace
