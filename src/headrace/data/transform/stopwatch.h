#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>

namespace headrace {

/// Reads of the machine's clocks for a task's own statistics; no decision depends on them.
inline std::int64_t ReadClock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

/// Adds the wall time of its own life to `*nanos`.
class WallTimer {
 public:
  explicit WallTimer(std::int64_t* nanos) : nanos_(nanos), start_(ReadClock(CLOCK_MONOTONIC)) {}
  ~WallTimer() { *nanos_ += ReadClock(CLOCK_MONOTONIC) - start_; }
  WallTimer(const WallTimer&) = delete;
  WallTimer& operator=(const WallTimer&) = delete;

 private:
  std::int64_t* const nanos_;
  const std::int64_t start_;
};

/// Adds the wall time of its own life to `*wall_nanos`, and the cpu time that its thread used in it
/// to `*cpu_nanos`. Reading a thread's cpu clock is a system call, so a life shorter than
/// kShortNanos counts as spent on the cpu, which is set off against the next longer one.
class TaskTimer {
 public:
  TaskTimer(std::int64_t* wall_nanos, std::int64_t* cpu_nanos)
      : wall_nanos_(wall_nanos), cpu_nanos_(cpu_nanos), start_(ReadClock(CLOCK_MONOTONIC)) {}
  ~TaskTimer() {
    const std::int64_t wall = ReadClock(CLOCK_MONOTONIC) - start_;
    *wall_nanos_ += wall;
    if (wall < kShortNanos) {
      assumed_ += wall;
      *cpu_nanos_ += wall;
      return;
    }
    const std::int64_t now = ReadClock(CLOCK_THREAD_CPUTIME_ID);
    *cpu_nanos_ += std::clamp<std::int64_t>(now - last_read_ - assumed_, 0, wall);
    last_read_ = now;
    assumed_ = 0;
  }
  TaskTimer(const TaskTimer&) = delete;
  TaskTimer& operator=(const TaskTimer&) = delete;

 private:
  static constexpr std::int64_t kShortNanos = 50'000;
  // Of this thread: its cpu clock when last read, and what was counted without reading it since.
  static inline thread_local std::int64_t last_read_ = ReadClock(CLOCK_THREAD_CPUTIME_ID);
  static inline thread_local std::int64_t assumed_ = 0;

  std::int64_t* const wall_nanos_;
  std::int64_t* const cpu_nanos_;
  const std::int64_t start_;
};

}  // namespace headrace
