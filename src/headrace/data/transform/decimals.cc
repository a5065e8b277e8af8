#include "headrace/data/transform/decimals.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/compute/cast.h>
#include <arrow/datum.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/bitmap_ops.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace headrace {

namespace {

using Int128 = __int128;

constexpr std::int32_t kDigitsMax = 38;    // Of the widest decimal of 128 bits.
constexpr std::int32_t kInt64Digits = 19;  // What Arrow takes an int64 for.

Int128 PowerOfTen(std::int32_t exponent) {
  Int128 power = 1;
  for (std::int32_t i = 0; i < exponent; ++i) power *= 10;
  return power;
}

// One argument: a column or a constant.
struct Operand {
  std::int32_t precision = 0;
  std::int32_t scale = 0;
  const arrow::Array* array = nullptr;
  Int128 constant = 0;
  Int128 factor = 1;  // By which values are multiplied, to come to a common scale.

  // The column's values, 16 bytes each.
  const std::uint8_t* values() const {
    return array->data()->GetValues<std::uint8_t>(1, 16 * array->offset());
  }
};

Int128 Load(const std::uint8_t* values, std::int64_t i) {
  Int128 value;
  std::memcpy(&value, values + 16 * i, sizeof value);
  return value;
}

// Wraps where it does not fit, as Arrow's decimals do; the types see to it that it does. Objects,
// for a function would be called by address for each row.
struct Multiplies {
  Int128 operator()(Int128 a, Int128 b) const {
    return static_cast<Int128>(static_cast<unsigned __int128>(a) *
                               static_cast<unsigned __int128>(b));
  }
};
struct Adds {
  Int128 operator()(Int128 a, Int128 b) const {
    return static_cast<Int128>(static_cast<unsigned __int128>(a) +
                               static_cast<unsigned __int128>(b));
  }
};
struct Subtracts {
  Int128 operator()(Int128 a, Int128 b) const {
    return static_cast<Int128>(static_cast<unsigned __int128>(a) -
                               static_cast<unsigned __int128>(b));
  }
};
Int128 Multiply(Int128 a, Int128 b) { return Multiplies()(a, b); }

bool MakeOperand(const arrow::Datum& datum, Operand* operand) {
  if (!datum.is_array() && !datum.is_scalar()) return false;
  if (datum.is_scalar()) {
    const arrow::Scalar& scalar = *datum.scalar();
    if (!scalar.is_valid) return false;
    if (scalar.type->id() == arrow::Type::INT64) {
      operand->precision = kInt64Digits;
      operand->constant = static_cast<const arrow::Int64Scalar&>(scalar).value;
      return true;
    }
  }
  if (datum.type()->id() != arrow::Type::DECIMAL128) return false;
  const auto& type = static_cast<const arrow::Decimal128Type&>(*datum.type());
  operand->precision = type.precision();
  operand->scale = type.scale();
  if (datum.is_scalar()) {
    const auto value = static_cast<const arrow::Decimal128Scalar&>(*datum.scalar()).value;
    operand->constant = (static_cast<Int128>(value.high_bits()) << 64) | value.low_bits();
  }
  return true;
}

// Makes the operand one of a larger scale. Returns whether its type allows for it.
bool Rescale(std::int32_t scale, Operand* operand) {
  const std::int32_t up = scale - operand->scale;
  if (up > kDigitsMax || operand->precision + up > kDigitsMax) return false;
  operand->factor = PowerOfTen(up);
  operand->precision += up;
  operand->scale = scale;
  return true;
}

// Calls use(i, a, b) for all rows.
template <class Use>
void ForEach(const Operand& a, const Operand& b, std::int64_t rows, const Use& use) {
  const auto walk = [&](const auto& left, const auto& right) {
    for (std::int64_t i = 0; i < rows; ++i) use(i, left(i), right(i));
  };
  const auto column = [](const Operand& operand) {
    return [values = operand.values(), factor = operand.factor](std::int64_t i) {
      return Multiply(Load(values, i), factor);
    };
  };
  const auto plain = [](const Operand& operand) {
    return [values = operand.values()](std::int64_t i) { return Load(values, i); };
  };
  const auto constant = [](const Operand& operand) {
    return [value = Multiply(operand.constant, operand.factor)](std::int64_t) { return value; };
  };
  if (!a.array) {
    walk(constant(a), column(b));
  } else if (!b.array) {
    a.factor == 1 ? walk(plain(a), constant(b)) : walk(column(a), constant(b));
  } else if (a.factor == 1 && b.factor == 1) {
    walk(plain(a), plain(b));
  } else {
    walk(column(a), column(b));
  }
}

Result<std::shared_ptr<arrow::Buffer>> CopyValidity(const arrow::Array& array,
                                                    arrow::MemoryPool* pool) {
  if (array.null_count() == 0) return nullptr;
  return arrow::internal::CopyBitmap(pool, array.null_bitmap_data(), array.offset(),
                                     array.length());
}

Result<std::shared_ptr<arrow::Buffer>> JoinValidity(const Operand& a, const Operand& b,
                                                    arrow::MemoryPool* pool) {
  const bool from_a = a.array && a.array->null_count() > 0;
  const bool from_b = b.array && b.array->null_count() > 0;
  if (from_a && from_b) {
    return arrow::internal::BitmapAnd(pool, a.array->null_bitmap_data(), a.array->offset(),
                                      b.array->null_bitmap_data(), b.array->offset(),
                                      a.array->length(), 0);
  }
  if (!from_a && !from_b) return nullptr;
  return CopyValidity(from_a ? *a.array : *b.array, pool);
}

template <class Op>
Result<std::optional<arrow::Datum>> Calculate(std::int32_t precision, std::int32_t scale,
                                              const Operand& a, const Operand& b, std::int64_t rows,
                                              arrow::MemoryPool* pool, const Op& op) {
  if (precision > kDigitsMax) return std::nullopt;
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> values,
                        arrow::AllocateBuffer(16 * rows, pool));
  std::uint8_t* const out = values->mutable_data();
  ForEach(a, b, rows, [&](std::int64_t i, Int128 left, Int128 right) {
    const Int128 result = op(left, right);
    std::memcpy(out + 16 * i, &result, sizeof result);
  });
  ARROW_ASSIGN_OR_RAISE(auto validity, JoinValidity(a, b, pool));
  return arrow::Datum(arrow::ArrayData::Make(arrow::decimal128(precision, scale), rows,
                                             {std::move(validity), std::move(values)}));
}

template <class Op>
Result<std::optional<arrow::Datum>> Compare(const Operand& a, const Operand& b, std::int64_t rows,
                                            arrow::MemoryPool* pool, const Op& op) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bits,
                        arrow::AllocateEmptyBitmap(rows, pool));
  std::uint8_t* const out = bits->mutable_data();
  unsigned byte = 0;
  ForEach(a, b, rows, [&](std::int64_t i, Int128 left, Int128 right) {
    byte |= unsigned{op(left, right)} << (i & 7);
    if ((i & 7) != 7) return;
    out[i >> 3] = static_cast<std::uint8_t>(byte);
    byte = 0;
  });
  if ((rows & 7) != 0) out[rows >> 3] = static_cast<std::uint8_t>(byte);
  ARROW_ASSIGN_OR_RAISE(auto validity, JoinValidity(a, b, pool));
  return arrow::Datum(
      arrow::ArrayData::Make(arrow::boolean(), rows, {std::move(validity), std::move(bits)}));
}

// To a scale that is not smaller. Nothing if a value does not fit: Arrow says which.
Result<std::optional<arrow::Datum>> CastUp(Operand from, const arrow::compute::CastOptions& options,
                                           arrow::MemoryPool* pool) {
  const arrow::DataType* type = options.to_type.type;
  if (!from.array || type == nullptr || type->id() != arrow::Type::DECIMAL128) return std::nullopt;
  const auto& to = static_cast<const arrow::Decimal128Type&>(*type);
  const std::int32_t up = to.scale() - from.scale;
  if (options.allow_decimal_truncate || up < 0 || from.precision + up > kDigitsMax) {
    return std::nullopt;
  }
  const arrow::Array& array = *from.array;
  const Int128 factor = PowerOfTen(up);
  const Int128 limit = PowerOfTen(to.precision());
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> values,
                        arrow::AllocateBuffer(16 * array.length(), pool));
  const std::uint8_t* const in = from.values();
  std::uint8_t* const out = values->mutable_data();
  const bool has_nulls = array.null_count() > 0;
  bool fits = true;
  for (std::int64_t i = 0; i < array.length(); ++i) {
    const Int128 value = Multiply(Load(in, i), factor);
    fits &= (value < limit && value > -limit) || (has_nulls && array.IsNull(i));
    std::memcpy(out + 16 * i, &value, sizeof value);
  }
  if (!fits) return std::nullopt;
  ARROW_ASSIGN_OR_RAISE(auto validity, CopyValidity(array, pool));
  return arrow::Datum(arrow::ArrayData::Make(options.to_type.GetSharedPtr(), array.length(),
                                             {std::move(validity), std::move(values)}));
}

constexpr std::array<const char*, 9> kBinary = {"add",        "subtract",  "multiply",
                                                "equal",      "not_equal", "less",
                                                "less_equal", "greater",   "greater_equal"};

}  // namespace

bool IsDecimalFunction(const std::string& function) {
  return function == "cast" || std::find(kBinary.begin(), kBinary.end(), function) != kBinary.end();
}

Result<std::optional<arrow::Datum>> ComputeDecimals(const std::string& function,
                                                    const std::vector<arrow::Datum>& arguments,
                                                    const arrow::compute::FunctionOptions* options,
                                                    arrow::MemoryPool* pool) {
  std::array<Operand, 2> operands;
  std::array<std::shared_ptr<arrow::Array>, 2> arrays;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i == operands.size() || !MakeOperand(arguments[i], &operands[i])) return std::nullopt;
    if (arguments[i].is_array()) arrays[i] = arguments[i].make_array();
    operands[i].array = arrays[i].get();
  }
  auto& [a, b] = operands;
  if (function == "cast") {
    if (options == nullptr) return std::nullopt;
    return CastUp(a, static_cast<const arrow::compute::CastOptions&>(*options), pool);
  }
  if (arguments.size() != 2 || (!a.array && !b.array)) return std::nullopt;
  const std::int64_t rows = (a.array ? a : b).array->length();
  if (function == "multiply") {
    return Calculate(a.precision + b.precision + 1, a.scale + b.scale, a, b, rows, pool,
                     Multiplies());
  }
  const std::int32_t scale = std::max(a.scale, b.scale);
  if (!Rescale(scale, &a) || !Rescale(scale, &b)) return std::nullopt;
  const std::int32_t precision = std::max(a.precision, b.precision) + 1;
  const auto compare = [&](const auto& op) { return Compare(a, b, rows, pool, op); };
  if (function == "add") return Calculate(precision, scale, a, b, rows, pool, Adds());
  if (function == "subtract") return Calculate(precision, scale, a, b, rows, pool, Subtracts());
  if (function == "equal") return compare([](Int128 l, Int128 r) { return l == r; });
  if (function == "not_equal") return compare([](Int128 l, Int128 r) { return l != r; });
  if (function == "less") return compare([](Int128 l, Int128 r) { return l < r; });
  if (function == "less_equal") return compare([](Int128 l, Int128 r) { return l <= r; });
  if (function == "greater") return compare([](Int128 l, Int128 r) { return l > r; });
  return compare([](Int128 l, Int128 r) { return l >= r; });
}

}  // namespace headrace
