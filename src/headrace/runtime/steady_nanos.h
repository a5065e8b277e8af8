#pragma once

#include <chrono>
#include <cstdint>

namespace headrace {

/// Nanoseconds of the steady clock.
inline std::int64_t SteadyNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace headrace
