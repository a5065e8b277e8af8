#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace headrace {

/// Returns bits whose order as an unsigned number is that of the values.
constexpr std::uint64_t OrderedBits(std::int64_t value) {
  return static_cast<std::uint64_t>(value) ^ (std::uint64_t{1} << 63);
}

/// The same for floats. -0.0 is 0.0. Requires: not nan.
constexpr std::uint64_t OrderedBits(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);  // -0.0 + 0.0 is 0.0.
  const auto sign = static_cast<std::uint64_t>(static_cast<std::int64_t>(bits) >> 63);
  return bits ^ (sign | (std::uint64_t{1} << 63));
}

/// Writes the 8 bytes of `value`, the greatest first, and returns their end.
inline std::uint8_t* PutBigEndian(std::uint64_t value, std::uint8_t* out) {
  value = __builtin_bswap64(value);
  std::memcpy(out, &value, 8);
  return out + 8;
}

}  // namespace headrace
