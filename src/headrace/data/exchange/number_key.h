#pragma once

#include <arrow/type_fwd.h>

#include <cstddef>
#include <cstdint>

// Numbers as bytes that are equal for equal numbers of all types and sort like them; the form is
// told in sort_key.h.

namespace headrace {

/// No number takes more bytes.
inline constexpr std::size_t kNumberKeyBytes = 66;

/// Each writes a number at `out` and returns the end.
std::uint8_t* PutNumber(__int128 value, std::uint8_t* out);
/// Requires: not nan.
std::uint8_t* PutNumber(double value, std::uint8_t* out);
/// Requires: a scale of -38 to 76.
std::uint8_t* PutNumber(const arrow::Decimal256& value, std::int32_t scale, std::uint8_t* out);

}  // namespace headrace
