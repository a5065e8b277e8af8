#include "headrace/data/exchange/value_encoder.h"

#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/data/exchange/key_column.h"
#include "headrace/data/exchange/number_key.h"
#include "headrace/data/exchange/ordered_bits.h"

namespace headrace {

namespace {

enum Mark : std::uint8_t {
  kNullFirst = 0,
  kNanFirst = 1,
  kLargeDescending = 2,
  kValue = 3,
  kLargeAscending = 4,
  kNanLast = 5,
  kNullLast = 6,
};

// A codec knows the values that are not null: Size() and Put() with the mark. What Put() writes
// after the mark is flipped by its caller where the order is descending.

template <class Array>
struct WholeCodec {
  const Array& array;
  EncodingOrder order;

  std::size_t Size(std::int64_t) const { return 9; }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    const auto value = array.raw_values()[row];
    *out = kValue;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::uint64_t>) {
      if (value >> 63) *out = order.descending ? kLargeDescending : kLargeAscending;
    }
    return PutBigEndian(OrderedBits(static_cast<std::int64_t>(value)), out + 1);
  }
};

struct BoolCodec {
  const arrow::BooleanArray& array;
  EncodingOrder order;

  std::size_t Size(std::int64_t) const { return 2; }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    *out++ = kValue;
    *out++ = array.Value(row) ? 1 : 0;
    return out;
  }
};

template <class Array>
struct FloatCodec {
  const Array& array;
  EncodingOrder order;

  double Value(std::int64_t row) const {
    if constexpr (std::is_same_v<Array, arrow::HalfFloatArray>) {
      return arrow::util::Float16::FromBits(array.raw_values()[row]).ToDouble();
    } else {
      return array.raw_values()[row];
    }
  }
  std::size_t Size(std::int64_t row) const {
    const double value = Value(row);
    return value != value ? 1 : 9;
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    const double value = Value(row);
    if (value != value) {
      *out++ = order.nulls_first ? kNanFirst : kNanLast;
      return out;
    }
    *out++ = kValue;
    return PutBigEndian(OrderedBits(value), out);
  }
};

// Decimals of 32 and 64 bits as if they had 128.
struct DecimalCodec {
  const arrow::FixedSizeBinaryArray& array;
  EncodingOrder order;

  std::size_t Size(std::int64_t) const { return array.byte_width() > 16 ? 33 : 17; }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    const auto width = static_cast<std::size_t>(array.byte_width());
    const std::size_t encoded = width > 16 ? 32 : 16;
    std::uint8_t little[32];
    std::memcpy(little, array.GetValue(row), width);
    const bool negative = little[width - 1] >> 7;
    std::memset(little + width, negative ? 0xFF : 0, encoded - width);
    little[encoded - 1] ^= 0x80;
    *out++ = kValue;
    for (std::size_t i = encoded; i-- > 0;) *out++ = little[i];
    return out;
  }
};

template <class Array>
struct TextCodec {
  const Array& array;
  EncodingOrder order;

  std::size_t Size(std::int64_t row) const {
    const std::string_view text = array.GetView(row);
    if (order.bare) return 1 + text.size();
    std::size_t zeros = 0;
    for (const char c : text) zeros += c == 0;
    return 3 + text.size() + zeros;
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    const std::string_view text = array.GetView(row);
    *out++ = kValue;
    if (order.bare) {
      if (!text.empty()) std::memcpy(out, text.data(), text.size());
      return out + text.size();
    }
    for (const char c : text) {
      *out++ = static_cast<std::uint8_t>(c);
      if (c == 0) *out++ = 255;
    }
    *out++ = 0;
    *out++ = 1;
    return out;
  }
};

struct NullCodec {
  const arrow::NullArray& array;
  EncodingOrder order;

  std::size_t Size(std::int64_t) const { return 0; }
  std::uint8_t* Put(std::int64_t, std::uint8_t* out) const { return out; }
};

template <class Array>
struct ListCodec {
  const Array& array;
  EncodingOrder order;
  std::shared_ptr<ValueEncoder> values;

  std::size_t Size(std::int64_t row) const {
    const std::int64_t begin = array.value_offset(row);
    const std::int64_t end = begin + array.value_length(row);
    std::size_t size = 2 + static_cast<std::size_t>(end - begin);
    for (std::int64_t i = begin; i < end; ++i) size += values->Size(i);
    return size;
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    const std::int64_t begin = array.value_offset(row);
    const std::int64_t end = begin + array.value_length(row);
    *out++ = kValue;
    for (std::int64_t i = begin; i < end; ++i) {
      *out++ = kValue;
      out = values->Put(i, out);
    }
    *out++ = 0;
    return out;
  }
};

struct StructCodec {
  const arrow::StructArray& array;
  EncodingOrder order;
  std::vector<std::shared_ptr<ValueEncoder>> fields;

  std::size_t Size(std::int64_t row) const {
    std::size_t size = 1;
    for (const auto& field : fields) size += field->Size(row);
    return size;
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    *out++ = kValue;
    for (const auto& field : fields) out = field->Put(row, out);
    return out;
  }
};

// ---- Numbers and times that are compared with those of other types.

template <class Put>
std::size_t SizeOf(const Put& put) {
  std::uint8_t scratch[kNumberKeyBytes];
  return 1 + static_cast<std::size_t>(put(scratch) - scratch);
}

// Whole numbers, in units of `factor`.
template <class Array>
struct AnyWholeCodec {
  const Array& array;
  EncodingOrder order;
  std::int64_t factor = 1;

  std::uint8_t* PutValue(std::int64_t row, std::uint8_t* out) const {
    return PutNumber(static_cast<__int128>(array.raw_values()[row]) * factor, out);
  }
  std::size_t Size(std::int64_t row) const {
    return SizeOf([&](std::uint8_t* out) { return PutValue(row, out); });
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    *out = kValue;
    return PutValue(row, out + 1);
  }
};

template <class Array>
struct AnyFloatCodec {
  FloatCodec<Array> plain;
  EncodingOrder order = plain.order;

  std::size_t Size(std::int64_t row) const {
    const double value = plain.Value(row);
    if (value != value) return 1;
    return SizeOf([&](std::uint8_t* out) { return PutNumber(value, out); });
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    const double value = plain.Value(row);
    if (value != value) return plain.Put(row, out);
    *out = kValue;
    return PutNumber(value, out + 1);
  }
};

struct AnyDecimalCodec {
  const arrow::FixedSizeBinaryArray& array;
  EncodingOrder order;
  std::int32_t scale = 0;

  std::uint8_t* PutValue(std::int64_t row, std::uint8_t* out) const {
    const auto width = static_cast<std::size_t>(array.byte_width());
    const std::uint8_t* value = array.GetValue(row);
    std::array<std::uint64_t, 4> limbs;
    limbs.fill(value[width - 1] >> 7 ? ~std::uint64_t{0} : 0);
    std::memcpy(limbs.data(), value, width);
    return PutNumber(arrow::Decimal256(arrow::Decimal256::LittleEndianArray, limbs), scale, out);
  }
  std::size_t Size(std::int64_t row) const {
    return SizeOf([&](std::uint8_t* out) { return PutValue(row, out); });
  }
  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const {
    *out = kValue;
    return PutValue(row, out + 1);
  }
};

template <class Codec>
class EncoderOf final : public ValueEncoder {
 public:
  EncoderOf(std::shared_ptr<arrow::Array> array, Codec codec)
      : array_(std::move(array)),
        codec_(std::move(codec)),
        has_nulls_(array_->null_count() > 0),
        null_mark_(codec_.order.nulls_first ? kNullFirst : kNullLast),
        flips_(codec_.order.descending) {}

  std::size_t Size(std::int64_t row) const override {
    return has_nulls_ && array_->IsNull(row) ? 1 : codec_.Size(row);
  }

  std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const override {
    if (has_nulls_ && array_->IsNull(row)) {
      *out = null_mark_;
      return out + 1;
    }
    std::uint8_t* const end = codec_.Put(row, out);
    if (flips_) {
      for (std::uint8_t* at = out + 1; at < end; ++at) *at = static_cast<std::uint8_t>(~*at);
    }
    return end;
  }

  void AddSizes(std::int64_t begin, std::int64_t end, std::int64_t* sizes) const override {
    for (std::int64_t row = begin; row < end; ++row) {
      *sizes++ += static_cast<std::int64_t>(EncoderOf::Size(row));
    }
  }

  void PutRows(std::int64_t begin, std::int64_t end, std::uint8_t** cursors) const override {
    for (std::int64_t row = begin; row < end; ++row, ++cursors) {
      *cursors = EncoderOf::Put(row, *cursors);
    }
  }

 private:
  const std::shared_ptr<arrow::Array> array_;
  const Codec codec_;
  const bool has_nulls_;
  const std::uint8_t null_mark_;
  const bool flips_;
};

using Made = Result<std::unique_ptr<ValueEncoder>>;

template <class Codec>
Made MakeOf(std::shared_ptr<arrow::Array> array, Codec codec) {
  return std::make_unique<EncoderOf<Codec>>(std::move(array), std::move(codec));
}

template <template <class> class Codec, class Array>
Made MakeFor(std::shared_ptr<arrow::Array> array, EncodingOrder order) {
  const auto& typed = static_cast<const Array&>(*array);
  return MakeOf(std::move(array), Codec<Array>{typed, order});
}

// Of the values within lists and structs: these are in ascending order, since the whole is flipped.
Result<std::shared_ptr<ValueEncoder>> MakeInner(const std::shared_ptr<arrow::Array>& array,
                                                arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto plain, PlainArray(array, pool));
  ARROW_ASSIGN_OR_RAISE(auto inner, ValueEncoder::Make(std::move(plain), {}, pool));
  return std::shared_ptr<ValueEncoder>(std::move(inner));
}

template <class Array>
Made MakeList(std::shared_ptr<arrow::Array> array, EncodingOrder order, arrow::MemoryPool* pool) {
  const auto& typed = static_cast<const Array&>(*array);
  ARROW_ASSIGN_OR_RAISE(auto values, MakeInner(typed.values(), pool));
  return MakeOf(std::move(array), ListCodec<Array>{typed, order, std::move(values)});
}

template <class Array>
Made MakeAnyWhole(std::shared_ptr<arrow::Array> array, EncodingOrder order) {
  const std::int64_t factor = UnitOf(*array->type());
  const auto& typed = static_cast<const Array&>(*array);
  return MakeOf(std::move(array), AnyWholeCodec<Array>{typed, order, factor});
}

template <class Array>
Made MakeAnyFloat(std::shared_ptr<arrow::Array> array, EncodingOrder order) {
  const auto& typed = static_cast<const Array&>(*array);
  return MakeOf(std::move(array), AnyFloatCodec<Array>{{typed, order}});
}

// Null: other values have one encoding only.
Made MakeAnyType(const std::shared_ptr<arrow::Array>& array, EncodingOrder order) {
  switch (array->type_id()) {
#define HEADRACE_CODEC(ID, MAKE, ARRAY) \
  case arrow::Type::ID:                 \
    return MAKE<arrow::ARRAY>(array, order);
    HEADRACE_CODEC(INT8, MakeAnyWhole, Int8Array)
    HEADRACE_CODEC(INT16, MakeAnyWhole, Int16Array)
    HEADRACE_CODEC(INT32, MakeAnyWhole, Int32Array)
    HEADRACE_CODEC(INT64, MakeAnyWhole, Int64Array)
    HEADRACE_CODEC(UINT8, MakeAnyWhole, UInt8Array)
    HEADRACE_CODEC(UINT16, MakeAnyWhole, UInt16Array)
    HEADRACE_CODEC(UINT32, MakeAnyWhole, UInt32Array)
    HEADRACE_CODEC(UINT64, MakeAnyWhole, UInt64Array)
    HEADRACE_CODEC(DATE32, MakeAnyWhole, Date32Array)
    HEADRACE_CODEC(DATE64, MakeAnyWhole, Date64Array)
    HEADRACE_CODEC(TIME32, MakeAnyWhole, Time32Array)
    HEADRACE_CODEC(TIME64, MakeAnyWhole, Time64Array)
    HEADRACE_CODEC(TIMESTAMP, MakeAnyWhole, TimestampArray)
    HEADRACE_CODEC(DURATION, MakeAnyWhole, DurationArray)
    HEADRACE_CODEC(HALF_FLOAT, MakeAnyFloat, HalfFloatArray)
    HEADRACE_CODEC(FLOAT, MakeAnyFloat, FloatArray)
    HEADRACE_CODEC(DOUBLE, MakeAnyFloat, DoubleArray)
#undef HEADRACE_CODEC
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256: {
      const auto& typed = static_cast<const arrow::FixedSizeBinaryArray&>(*array);
      const auto scale = static_cast<const arrow::DecimalType&>(*array->type()).scale();
      if (scale < -38 || scale > 76) break;
      return MakeOf(array, AnyDecimalCodec{typed, order, scale});
    }
    default:
      break;
  }
  return std::unique_ptr<ValueEncoder>();
}

Made MakeNested(std::shared_ptr<arrow::Array> array, EncodingOrder order, arrow::MemoryPool* pool) {
  switch (array->type_id()) {
    case arrow::Type::LIST:
      return MakeList<arrow::ListArray>(std::move(array), order, pool);
    case arrow::Type::MAP:
      return MakeList<arrow::MapArray>(std::move(array), order, pool);
    case arrow::Type::LARGE_LIST:
      return MakeList<arrow::LargeListArray>(std::move(array), order, pool);
    case arrow::Type::FIXED_SIZE_LIST:
      return MakeList<arrow::FixedSizeListArray>(std::move(array), order, pool);
    case arrow::Type::STRUCT: {
      const auto& typed = static_cast<const arrow::StructArray&>(*array);
      StructCodec codec{typed, order, {}};
      for (int i = 0; i < typed.num_fields(); ++i) {
        ARROW_ASSIGN_OR_RAISE(auto field, MakeInner(typed.field(i), pool));
        codec.fields.push_back(std::move(field));
      }
      return MakeOf(std::move(array), std::move(codec));
    }
    default:
      return Status::TypeError("cannot be a key: type ", array->type()->ToString());
  }
}

}  // namespace

Made ValueEncoder::Make(std::shared_ptr<arrow::Array> array, EncodingOrder order,
                        arrow::MemoryPool* pool) {
  if (order.any_type) {
    ARROW_ASSIGN_OR_RAISE(auto made, MakeAnyType(array, order));
    if (made) return made;
  }
  switch (array->type_id()) {
#define HEADRACE_CODEC(ID, CODEC, ARRAY) \
  case arrow::Type::ID:                  \
    return MakeFor<CODEC, arrow::ARRAY>(std::move(array), order);
    HEADRACE_CODEC(INT8, WholeCodec, Int8Array)
    HEADRACE_CODEC(INT16, WholeCodec, Int16Array)
    HEADRACE_CODEC(INT32, WholeCodec, Int32Array)
    HEADRACE_CODEC(INT64, WholeCodec, Int64Array)
    HEADRACE_CODEC(UINT8, WholeCodec, UInt8Array)
    HEADRACE_CODEC(UINT16, WholeCodec, UInt16Array)
    HEADRACE_CODEC(UINT32, WholeCodec, UInt32Array)
    HEADRACE_CODEC(UINT64, WholeCodec, UInt64Array)
    HEADRACE_CODEC(DATE32, WholeCodec, Date32Array)
    HEADRACE_CODEC(DATE64, WholeCodec, Date64Array)
    HEADRACE_CODEC(TIME32, WholeCodec, Time32Array)
    HEADRACE_CODEC(TIME64, WholeCodec, Time64Array)
    HEADRACE_CODEC(TIMESTAMP, WholeCodec, TimestampArray)
    HEADRACE_CODEC(DURATION, WholeCodec, DurationArray)
    HEADRACE_CODEC(INTERVAL_MONTHS, WholeCodec, MonthIntervalArray)
    HEADRACE_CODEC(HALF_FLOAT, FloatCodec, HalfFloatArray)
    HEADRACE_CODEC(FLOAT, FloatCodec, FloatArray)
    HEADRACE_CODEC(DOUBLE, FloatCodec, DoubleArray)
    HEADRACE_CODEC(STRING, TextCodec, StringArray)
    HEADRACE_CODEC(BINARY, TextCodec, BinaryArray)
    HEADRACE_CODEC(LARGE_STRING, TextCodec, LargeStringArray)
    HEADRACE_CODEC(LARGE_BINARY, TextCodec, LargeBinaryArray)
    HEADRACE_CODEC(STRING_VIEW, TextCodec, StringViewArray)
    HEADRACE_CODEC(BINARY_VIEW, TextCodec, BinaryViewArray)
    HEADRACE_CODEC(FIXED_SIZE_BINARY, TextCodec, FixedSizeBinaryArray)
#undef HEADRACE_CODEC
    case arrow::Type::NA: {
      const auto& typed = static_cast<const arrow::NullArray&>(*array);
      return MakeOf(std::move(array), NullCodec{typed, order});
    }
    case arrow::Type::BOOL: {
      const auto& typed = static_cast<const arrow::BooleanArray&>(*array);
      return MakeOf(std::move(array), BoolCodec{typed, order});
    }
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256: {
      const auto& typed = static_cast<const arrow::FixedSizeBinaryArray&>(*array);
      return MakeOf(std::move(array), DecimalCodec{typed, order});
    }
    default:
      return MakeNested(std::move(array), order, pool);
  }
}

}  // namespace headrace
