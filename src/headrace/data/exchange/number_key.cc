#include "headrace/data/exchange/number_key.h"

#include <arrow/util/decimal.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "headrace/data/exchange/ordered_bits.h"

namespace headrace {

namespace {

// A whole number of 256 bits in two's complement, the least bits first.
using Limbs = std::array<std::uint64_t, 4>;

enum Whole : std::uint8_t { kFloatBelow, kWideBelow, kShort, kWideAbove, kFloatAbove };
enum Fraction : std::uint8_t { kBelow, kNone, kAbove };

constexpr std::int32_t kDigits = 76;  // The most that a decimal has.

std::uint8_t* PutLimbs(const Limbs& limbs, std::uint8_t* out) {
  out = PutBigEndian(OrderedBits(static_cast<std::int64_t>(limbs[3])), out);
  for (std::size_t i = 3; i-- > 0;) out = PutBigEndian(limbs[i], out);
  return out;
}

std::uint8_t* PutWhole(const Limbs& limbs, std::uint8_t* out) {
  const bool negative = limbs[3] >> 63;
  const std::uint64_t sign = static_cast<std::int64_t>(limbs[0]) < 0 ? ~std::uint64_t{0} : 0;
  if (limbs[1] == sign && limbs[2] == sign && limbs[3] == sign) {
    *out++ = kShort;
    return PutBigEndian(OrderedBits(static_cast<std::int64_t>(limbs[0])), out);
  }
  *out++ = negative ? kWideBelow : kWideAbove;
  return PutLimbs(limbs, out);
}

Limbs LimbsOf(__int128 value) {
  const std::uint64_t sign = value < 0 ? ~std::uint64_t{0} : 0;
  return {static_cast<std::uint64_t>(value), static_cast<std::uint64_t>(value >> 64), sign, sign};
}

// Requires: whole, and of 2^63 to 2^255.
Limbs LimbsOf(double magnitude) {
  int exponent = 0;
  const double fraction = std::frexp(magnitude, &exponent);
  const auto bits = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
  const auto shift = static_cast<unsigned>(exponent - 53);
  const std::size_t limb = shift / 64;
  Limbs limbs{};
  limbs[limb] = bits << (shift % 64);
  if (shift % 64 > 11) limbs[limb + 1] = bits >> (64 - shift % 64);
  return limbs;
}

Limbs Negative(Limbs limbs) {
  bool carry = true;
  for (std::uint64_t& limb : limbs) {
    limb = ~limb + (carry ? 1 : 0);
    carry = carry && limb == 0;
  }
  return limbs;
}

}  // namespace

std::uint8_t* PutNumber(__int128 value, std::uint8_t* out) {
  out = PutWhole(LimbsOf(value), out);
  *out++ = kNone;
  return out;
}

std::uint8_t* PutNumber(double value, std::uint8_t* out) {
  const double whole = std::trunc(value);
  const double fraction = value - whole;  // Exact; not a number for infinity, which has none.
  if (whole >= -0x1p63 && whole < 0x1p63) {
    out = PutWhole(LimbsOf(static_cast<__int128>(whole)), out);
  } else if (std::abs(whole) < 0x1p255) {
    const Limbs limbs = LimbsOf(std::abs(whole));
    out = PutWhole(whole < 0 ? Negative(limbs) : limbs, out);
  } else {
    *out++ = whole < 0 ? kFloatBelow : kFloatAbove;
    out = PutBigEndian(OrderedBits(whole), out);
  }
  if (!(fraction < 0 || fraction > 0)) {
    *out++ = kNone;
    return out;
  }
  *out++ = fraction < 0 ? kBelow : kAbove;
  return PutBigEndian(OrderedBits(fraction), out);
}

std::uint8_t* PutNumber(const arrow::Decimal256& value, std::int32_t scale, std::uint8_t* out) {
  const auto power = [](std::int32_t digits) {
    return arrow::Decimal256(arrow::Decimal256::GetScaleMultiplier(digits));
  };
  arrow::BasicDecimal256 whole = value;
  arrow::BasicDecimal256 rest;
  if (scale < 0) whole *= power(-scale);
  if (scale > 0) {
    static_cast<const arrow::BasicDecimal256&>(value).Divide(power(scale), &whole, &rest);
  }
  out = PutWhole(whole.little_endian_array(), out);
  if (rest == arrow::BasicDecimal256()) {
    *out++ = kNone;
    return out;
  }
  *out++ = rest.IsNegative() ? kBelow : kAbove;
  rest *= power(kDigits - scale);
  return PutLimbs(rest.little_endian_array(), out);
}

}  // namespace headrace
