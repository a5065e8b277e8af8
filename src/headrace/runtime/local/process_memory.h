#pragma once

#include <atomic>
#include <cstdint>

namespace headrace {

/// Measures the heap of this process: its memory that is neither a file's nor shared. Threads: all
/// methods from any thread.
class HeapMeter {
 public:
  /// `beyond_first`: less what there is now, as a forked process shares that.
  explicit HeapMeter(bool beyond_first);
  HeapMeter(const HeapMeter&) = delete;
  HeapMeter& operator=(const HeapMeter&) = delete;
  ~HeapMeter();

  /// Returns the bytes as of now, or of a millisecond ago at most. 0 where it cannot be known.
  std::int64_t Measure();

 private:
  const int descriptor_;
  const std::int64_t first_bytes_;
  std::atomic<std::int64_t> measured_nanos_{0};
  std::atomic<std::int64_t> bytes_{0};
};

/// Measures the memory of a process of this job, but for shared memory: its own pages, and its part
/// of those that it shares with others, as their files and as what it was forked from (PSS).
///
/// To know it exactly, the kernel walks all of its pages: milliseconds. So Measure() adds to what
/// was once known exactly what the process has got or given back since, which takes microseconds.
/// Threads: one.
class ProcessMeter {
 public:
  /// `pid` 0: this process.
  explicit ProcessMeter(std::int64_t pid);
  ProcessMeter(const ProcessMeter&) = delete;
  ProcessMeter& operator=(const ProcessMeter&) = delete;
  ~ProcessMeter();

  /// Returns the bytes now; 0 if the process is gone.
  std::int64_t Measure();

  /// Makes it exact, if that is due at `now_nanos`: early in a process's life, and every few
  /// seconds.
  void Calibrate(std::int64_t now_nanos);

  /// What it holds that a HeapMeter in the process does not see.
  std::int64_t unseen_bytes() const { return exact_bytes_ - (anonymous_then_ - first_anonymous_); }

 private:
  const std::int64_t pid_;
  const int descriptor_;
  std::int64_t first_anonymous_ = 0;
  std::int64_t anonymous_then_ = 0;  // When exact_bytes_ was measured.
  std::int64_t exact_bytes_ = 0;
  std::int64_t calibrate_at_nanos_ = 0;
  std::int64_t calibrate_gap_nanos_;
};

/// Returns the bytes of memory that a file in memory takes up.
std::int64_t MemoryFileBytes(int descriptor);

}  // namespace headrace
