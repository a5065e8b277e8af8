#pragma once

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

/// Adds the cpu time that its thread used in its own life to `*nanos`.
class CpuTimer {
 public:
  explicit CpuTimer(std::int64_t* nanos)
      : nanos_(nanos), start_(ReadClock(CLOCK_THREAD_CPUTIME_ID)) {}
  ~CpuTimer() { *nanos_ += ReadClock(CLOCK_THREAD_CPUTIME_ID) - start_; }
  CpuTimer(const CpuTimer&) = delete;
  CpuTimer& operator=(const CpuTimer&) = delete;

 private:
  std::int64_t* const nanos_;
  const std::int64_t start_;
};

}  // namespace headrace
