#pragma once

#include <cstdint>
#include <limits>

namespace headrace {

/// The one seeded generator: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
///
/// Satisfies UniformRandomBitGenerator. Equal seeds give equal sequences on every platform;
/// do not pair it with std:: distributions, whose results differ between libraries.
class Rng {
 public:
  using result_type = std::uint64_t;
  explicit constexpr Rng(std::uint64_t seed) : state_(seed) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  constexpr result_type operator()() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

  /// Goes on as if `count` numbers had been drawn, in constant time.
  constexpr void Skip(std::uint64_t count) { state_ += count * 0x9E3779B97F4A7C15ULL; }

  /// Returns a number in [0, bound). Requires: bound > 0.
  constexpr std::uint64_t Below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>((*this)()) * bound) >> 64);
  }

  /// Returns a number in [0, 1).
  constexpr double Uniform() { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

  /// Returns true with probability `p`.
  constexpr bool Chance(double p) { return Uniform() < p; }

 private:
  std::uint64_t state_;
};

}  // namespace headrace
