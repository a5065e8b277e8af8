#pragma once

#include <compare>
#include <cstdint>

// Time as plain values. There is no clock here: only Backend::Now() makes an Instant.

namespace headrace {

/// A span of time in nanoseconds; may be negative.
struct Duration {
  std::int64_t nanos = 0;

  static constexpr Duration Micros(std::int64_t n) { return {n * 1'000}; }
  static constexpr Duration Millis(std::int64_t n) { return {n * 1'000'000}; }
  static constexpr Duration Seconds(std::int64_t n) { return {n * 1'000'000'000}; }
  constexpr double seconds() const { return static_cast<double>(nanos) * 1e-9; }

  friend constexpr auto operator<=>(const Duration&, const Duration&) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.nanos + b.nanos}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.nanos - b.nanos}; }
};

/// A point on a backend's own monotonic time line, in nanoseconds since the backend's start.
struct Instant {
  std::int64_t nanos = 0;

  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant a, Duration b) { return {a.nanos + b.nanos}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.nanos - b.nanos}; }
};

/// Later than every instant that a backend can report.
inline constexpr Instant kNever{INT64_MAX};

}  // namespace headrace
