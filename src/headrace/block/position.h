#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "headrace/base/small_vector.h"

namespace headrace {

/// Where a block comes from: the number of its source unit, then, for each operator it went
/// through, the number of the output among those of its task. Independent of timing: the same
/// plan over the same data gives the same positions on any backend, after any retry.
///
/// Positions of one stream sort in the order of the data ("3.0.2" after "3.0.1.7"). A task over
/// several blocks takes the position of its first.
struct Position {
  using Path = SmallVector<std::uint32_t, 4>;
  Path path;

  friend auto operator<=>(const Position&, const Position&) = default;

  /// Returns the position of output number `index` of a task at this position.
  Position Child(std::uint32_t index) const {
    Position child = *this;
    child.path.push_back(index);
    return child;
  }

  /// Returns a seed for random operations at this position, mixed from `seed` and the path.
  std::uint64_t Seed(std::uint64_t seed) const {
    std::uint64_t h = seed ^ 0x9E3779B97F4A7C15ULL;
    for (std::uint32_t part : path) {
      h = (h ^ (part + 1)) * 0xBF58476D1CE4E5B9ULL;
      h ^= h >> 31;
    }
    return h;
  }

  /// Prints as "3.0.2"; the empty position as "root".
  std::string ToString() const {
    if (path.empty()) return "root";
    std::string text;
    for (std::uint32_t part : path) {
      if (!text.empty()) text += '.';
      text += std::to_string(part);
    }
    return text;
  }
};

}  // namespace headrace
