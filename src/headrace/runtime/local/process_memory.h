#pragma once

#include <cstdint>

namespace headrace {

/// Measures the memory of this process that is its own: resident pages less shared ones.
class HeapMeter {
 public:
  HeapMeter();
  HeapMeter(const HeapMeter&) = delete;
  HeapMeter& operator=(const HeapMeter&) = delete;
  ~HeapMeter();

  /// Returns the bytes as of now, or of a millisecond ago at most. 0 where it cannot be known.
  std::int64_t Measure();

 private:
  int descriptor_;
  std::int64_t page_bytes_;
  std::int64_t measured_nanos_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace headrace
