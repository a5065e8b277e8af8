#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace headrace {

/// Amounts of what tasks compete for, in whole numbers: thousandths of a cpu, gpu or named
/// resource, and bytes of heap. Object-store bytes are credit, see control/account.
struct Resources {
  std::int64_t cpu_milli = 0;
  std::int64_t gpu_milli = 0;
  std::int64_t memory_bytes = 0;
  /// Named resources, sorted by name, no zeros.
  std::vector<std::pair<std::string, std::int64_t>> custom_milli{};

  friend bool operator==(const Resources&, const Resources&) = default;

  Resources& operator+=(const Resources& other);
  Resources& operator-=(const Resources& other);

  /// Returns true if every amount is at most that of `available`.
  bool FitsIn(const Resources& available) const;

  /// Returns the first kind in which this exceeds `available` ("CPU", "GPU", "memory" or the
  /// resource's name), or "" if it fits.
  std::string FirstShortage(const Resources& available) const;

  /// Prints as "cpu=1 gpu=0.5 memory=1073741824 TPU=2"; zeros are left out, none is "none".
  std::string ToString() const;
};

/// `count` tasks or actors that would start, each with `each`, if there were room.
struct ResourceDemand {
  Resources each;
  std::int64_t count = 0;

  friend bool operator==(const ResourceDemand&, const ResourceDemand&) = default;
};

inline Resources operator+(Resources a, const Resources& b) { return a += b; }
inline Resources operator-(Resources a, const Resources& b) { return a -= b; }

}  // namespace headrace
