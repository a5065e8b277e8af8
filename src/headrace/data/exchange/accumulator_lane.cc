#include "headrace/data/exchange/accumulator_lane.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace headrace::accumulator {

namespace {

template <class From, class To>
const To* Widen(const arrow::Array& array, std::vector<To>* scratch) {
  const From* values = array.data()->GetValues<From>(1);
  if constexpr (std::is_same_v<From, To>) return values;
  scratch->resize(static_cast<std::size_t>(array.length()));
  for (std::int64_t i = 0; i < array.length(); ++i) (*scratch)[i] = static_cast<To>(values[i]);
  return scratch->data();
}

template <class To, class Get>
const To* Compute(const arrow::Array& array, std::vector<To>* scratch, const Get& get) {
  scratch->resize(static_cast<std::size_t>(array.length()));
  for (std::int64_t i = 0; i < array.length(); ++i) (*scratch)[i] = get(i);
  return scratch->data();
}

template <class Decimal>
const double* DecimalsToDoubles(const arrow::Array& array, std::vector<double>* scratch) {
  const auto* values = array.data()->GetValues<Decimal>(1);
  const auto scale = static_cast<const arrow::DecimalType&>(*array.type()).scale();
  return Compute(array, scratch, [&](std::int64_t i) { return values[i].ToDouble(scale); });
}

// As above, bit by bit, but without a call for values that a double holds exactly.
const double* Decimals128ToDoubles(const arrow::Array& array, std::vector<double>* scratch) {
  constexpr std::int64_t kExact = (std::int64_t{1} << 53) - 1;
  const auto* values = array.data()->GetValues<arrow::Decimal128>(1);
  const auto scale = static_cast<const arrow::DecimalType&>(*array.type()).scale();
  const double unit = arrow::Decimal128(1).ToDouble(scale);
  return Compute(array, scratch, [&](std::int64_t i) {
    const auto low = static_cast<std::int64_t>(values[i].low_bits());
    const bool is_exact = values[i].high_bits() == low >> 63 && low <= kExact && low >= -kExact;
    return is_exact ? static_cast<double>(low) * unit : values[i].ToDouble(scale);
  });
}

template <class T>
const T* ReadBools(const arrow::Array& array, std::vector<T>* scratch) {
  const std::uint8_t* bits = array.data()->buffers[1]->data();
  return Compute(array, scratch, [&](std::int64_t i) {
    return static_cast<T>(arrow::bit_util::GetBit(bits, array.offset() + i));
  });
}

// Integers and what is stored as them.
template <class T>
const T* ReadIntegers(const arrow::Array& array, std::vector<T>* scratch) {
  const arrow::DataType& type = *array.type();
  const bool is_unsigned = arrow::is_unsigned_integer(type.id());
  switch (type.bit_width()) {
    case 8:
      return is_unsigned ? Widen<std::uint8_t>(array, scratch) : Widen<std::int8_t>(array, scratch);
    case 16:
      return is_unsigned ? Widen<std::uint16_t>(array, scratch)
                         : Widen<std::int16_t>(array, scratch);
    case 32:
      return is_unsigned ? Widen<std::uint32_t>(array, scratch)
                         : Widen<std::int32_t>(array, scratch);
    default:
      return is_unsigned ? Widen<std::uint64_t>(array, scratch)
                         : Widen<std::int64_t>(array, scratch);
  }
}

template <class T>
const T* Zeros(const arrow::Array& array, std::vector<T>* scratch) {
  scratch->assign(static_cast<std::size_t>(array.length()), T());
  return scratch->data();
}

}  // namespace

Lane LaneOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::NA:
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DURATION:
      return Lane::kInt64;
    case arrow::Type::BOOL:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
    case arrow::Type::UINT64:
      return Lane::kUInt64;
    case arrow::Type::HALF_FLOAT:
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE:
      return Lane::kDouble;
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
      return Lane::kDecimal128;
    case arrow::Type::DECIMAL256:
      return Lane::kDecimal256;
    default:
      return Lane::kNone;
  }
}

template <>
const std::int64_t* ReadLane(const arrow::Array& array, std::vector<std::int64_t>* scratch) {
  if (array.type_id() == arrow::Type::NA) return Zeros(array, scratch);
  if (array.type_id() == arrow::Type::BOOL) return ReadBools(array, scratch);
  return ReadIntegers(array, scratch);
}

template <>
const std::uint64_t* ReadLane(const arrow::Array& array, std::vector<std::uint64_t>* scratch) {
  if (array.type_id() == arrow::Type::BOOL) return ReadBools(array, scratch);
  return ReadIntegers(array, scratch);
}

template <>
const arrow::Decimal128* ReadLane(const arrow::Array& array,
                                  std::vector<arrow::Decimal128>* scratch) {
  switch (array.type_id()) {
    case arrow::Type::DECIMAL32:
      return Widen<std::int32_t>(array, scratch);
    case arrow::Type::DECIMAL64:
      return Widen<std::int64_t>(array, scratch);
    default:
      return Widen<arrow::Decimal128>(array, scratch);
  }
}

template <>
const arrow::Decimal256* ReadLane(const arrow::Array& array,
                                  std::vector<arrow::Decimal256>* scratch) {
  return Widen<arrow::Decimal256>(array, scratch);
}

template <>
const double* ReadLane(const arrow::Array& array, std::vector<double>* scratch) {
  switch (array.type_id()) {
    case arrow::Type::NA:
      return Zeros(array, scratch);
    case arrow::Type::BOOL:
      return ReadBools(array, scratch);
    case arrow::Type::HALF_FLOAT: {
      const auto* values = array.data()->GetValues<std::uint16_t>(1);
      return Compute(array, scratch, [&](std::int64_t i) {
        return arrow::util::Float16::FromBits(values[i]).ToDouble();
      });
    }
    case arrow::Type::FLOAT:
      return Widen<float>(array, scratch);
    case arrow::Type::DOUBLE:
      return Widen<double>(array, scratch);
    case arrow::Type::DECIMAL32:
      return DecimalsToDoubles<arrow::Decimal32>(array, scratch);
    case arrow::Type::DECIMAL64:
      return DecimalsToDoubles<arrow::Decimal64>(array, scratch);
    case arrow::Type::DECIMAL128:
      return Decimals128ToDoubles(array, scratch);
    case arrow::Type::DECIMAL256:
      return DecimalsToDoubles<arrow::Decimal256>(array, scratch);
    default:
      return ReadIntegers(array, scratch);
  }
}

namespace {

// Writes `values` as `To`s.
template <class To, class T>
void Narrow(const std::vector<T>& values, std::uint8_t* out) {
  for (const T& value : values) {
    const To narrow = static_cast<To>(value);
    std::memcpy(out, &narrow, sizeof narrow);
    out += sizeof narrow;
  }
}

template <class T>
void Store(const arrow::DataType& type, const std::vector<T>& values, std::uint8_t* out) {
  const int width = type.bit_width();
  if constexpr (std::is_integral_v<T>) {
    if (width == 1) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        arrow::bit_util::SetBitTo(out, static_cast<std::int64_t>(i), values[i] != 0);
      }
    } else if (width == 8) {
      Narrow<std::int8_t>(values, out);
    } else if (width == 16) {
      Narrow<std::int16_t>(values, out);
    } else if (width == 32) {
      Narrow<std::int32_t>(values, out);
    } else {
      Narrow<T>(values, out);
    }
  } else if constexpr (std::is_same_v<T, double>) {
    if (width == 16) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint16_t bits = arrow::util::Float16::FromDouble(values[i]).bits();
        std::memcpy(out + 2 * i, &bits, sizeof bits);
      }
    } else if (width == 32) {
      Narrow<float>(values, out);
    } else {
      Narrow<double>(values, out);
    }
  } else if constexpr (std::is_same_v<T, arrow::Decimal128>) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto low = static_cast<std::int64_t>(values[i].low_bits());
      if (width == 32) {
        const auto narrow = static_cast<std::int32_t>(low);
        std::memcpy(out + 4 * i, &narrow, sizeof narrow);
      } else if (width == 64) {
        std::memcpy(out + 8 * i, &low, sizeof low);
      } else {
        std::memcpy(out + 16 * i, &values[i], 16);
      }
    }
  } else {
    Narrow<T>(values, out);
  }
}

}  // namespace

template <class T>
Result<std::shared_ptr<arrow::Array>> MakeLaneArray(const std::shared_ptr<arrow::DataType>& type,
                                                    const std::vector<T>& values,
                                                    std::shared_ptr<arrow::Buffer> validity,
                                                    arrow::MemoryPool* pool) {
  const auto rows = static_cast<std::int64_t>(values.size());
  if (type->id() == arrow::Type::NA) {
    return std::make_shared<arrow::NullArray>(rows);
  }
  const std::int64_t bytes = arrow::bit_util::BytesForBits(rows * type->bit_width());
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> data, arrow::AllocateBuffer(bytes, pool));
  if (type->bit_width() == 1) std::fill_n(data->mutable_data(), bytes, std::uint8_t{0});
  Store(*type, values, data->mutable_data());
  return arrow::MakeArray(
      arrow::ArrayData::Make(type, rows, {std::move(validity), std::move(data)}));
}

template Result<std::shared_ptr<arrow::Array>> MakeLaneArray(
    const std::shared_ptr<arrow::DataType>&, const std::vector<std::int64_t>&,
    std::shared_ptr<arrow::Buffer>, arrow::MemoryPool*);
template Result<std::shared_ptr<arrow::Array>> MakeLaneArray(
    const std::shared_ptr<arrow::DataType>&, const std::vector<std::uint64_t>&,
    std::shared_ptr<arrow::Buffer>, arrow::MemoryPool*);
template Result<std::shared_ptr<arrow::Array>> MakeLaneArray(
    const std::shared_ptr<arrow::DataType>&, const std::vector<double>&,
    std::shared_ptr<arrow::Buffer>, arrow::MemoryPool*);
template Result<std::shared_ptr<arrow::Array>> MakeLaneArray(
    const std::shared_ptr<arrow::DataType>&, const std::vector<arrow::Decimal128>&,
    std::shared_ptr<arrow::Buffer>, arrow::MemoryPool*);
template Result<std::shared_ptr<arrow::Array>> MakeLaneArray(
    const std::shared_ptr<arrow::DataType>&, const std::vector<arrow::Decimal256>&,
    std::shared_ptr<arrow::Buffer>, arrow::MemoryPool*);

}  // namespace headrace::accumulator
