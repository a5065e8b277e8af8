#include "headrace/data/exchange/key_hash.h"

#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/table.h>
#include <arrow/type_traits.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "headrace/data/exchange/key_column.h"

namespace headrace {

namespace {

constexpr std::uint64_t kFirst = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t kSecond = 0xD6E8FEB86659FD93ULL;
constexpr std::uint64_t kThird = 0xA0761D6478BD642FULL;

// Folds the 128-bit product: each bit of the result depends on all bits of both.
std::uint64_t Fold(std::uint64_t a, std::uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t HashNumber(std::uint64_t value) { return Fold(value ^ kFirst, kSecond); }

// A whole number hashes as the integer that it equals: blocks may hold one key as both.
std::uint64_t HashFloat(double value) {
  if (value >= 0x1p63 && value < 0x1p64) return HashNumber(static_cast<std::uint64_t>(value));
  if (value >= -0x1p63 && value < 0x1p63 && value == std::trunc(value)) {
    return HashNumber(static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  }
  if (value != value) value = std::numeric_limits<double>::quiet_NaN();
  return HashNumber(std::bit_cast<std::uint64_t>(value));
}

template <class T>
std::uint64_t Load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

std::uint64_t HashText(std::string_view text) {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t hash = left * kThird;
  while (left > 16) {
    hash = Fold(Load<std::uint64_t>(at) ^ kSecond ^ hash, Load<std::uint64_t>(at + 8) ^ kFirst);
    at += 16;
    left -= 16;
  }
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (left >= 8) {
    low = Load<std::uint64_t>(at);
    high = Load<std::uint64_t>(at + left - 8);
  } else if (left >= 4) {
    low = Load<std::uint32_t>(at);
    high = Load<std::uint32_t>(at + left - 4);
  } else if (left > 0) {
    low = static_cast<std::uint8_t>(at[0]) | (static_cast<std::uint8_t>(at[left / 2]) << 8);
    high = static_cast<std::uint8_t>(at[left - 1]);
  }
  return Fold(Fold(low ^ kSecond ^ hash, high ^ kFirst), kThird);
}

// Decimals hash as the integer that they equal, or else as the nearest float: blocks may hold one
// key as all three, or as decimals of several scales.
class DecimalHasher {
 public:
  explicit DecimalHasher(const arrow::FixedSizeBinaryArray& array)
      : array_(array),
        width_(static_cast<std::size_t>(array.byte_width())),
        scale_(static_cast<const arrow::DecimalType&>(*array.type()).scale()) {
    for (std::int32_t i = 0; i < scale_ && i < kShortScale; ++i) power_ *= 10;
  }

  std::uint64_t operator()(std::int64_t row) const {
    const std::uint8_t* bytes = array_.GetValue(row);
    std::array<std::uint64_t, 4> limbs;
    limbs.fill(bytes[width_ - 1] >> 7 ? ~std::uint64_t{0} : 0);
    std::memcpy(limbs.data(), bytes, width_);
    const auto low = static_cast<std::int64_t>(limbs[0]);
    const std::uint64_t sign = low < 0 ? ~std::uint64_t{0} : 0;
    const bool is_short = limbs[1] == sign && limbs[2] == sign && limbs[3] == sign &&
                          low > -kExact && low < kExact && scale_ >= 0 && scale_ <= kShortScale;
    if (!is_short) {
      return HashLong(arrow::Decimal256(arrow::Decimal256::LittleEndianArray, limbs), scale_);
    }
    if (low % power_ == 0) return HashNumber(static_cast<std::uint64_t>(low / power_));
    return HashFloat(static_cast<double>(low) / static_cast<double>(power_));
  }

 private:
  static constexpr std::int32_t kShortScale = 18;
  static constexpr std::int64_t kExact = std::int64_t{1} << 53;  // As a float.

  // Drops the zeros at the end first, so that it is rounded alike whatever the scale.
  static std::uint64_t HashLong(arrow::Decimal256 value, std::int32_t scale) {
    while (scale > 0) {
      const auto parts = *value.Divide(10);
      if (parts.second != arrow::Decimal256()) break;
      value = parts.first;
      --scale;
    }
    if (scale == 0) {
      const auto limbs = value.little_endian_array();
      const std::uint64_t sign = value.IsNegative() ? ~std::uint64_t{0} : 0;
      if (limbs[1] == sign && limbs[2] == sign && limbs[3] == sign) return HashNumber(limbs[0]);
    }
    const double digits = value.ToDouble(0);
    if (scale > 0 && scale <= kShortScale && std::abs(digits) < static_cast<double>(kExact)) {
      return HashFloat(digits / std::pow(10.0, scale));
    }
    return HashFloat(value.ToDouble(scale));
  }

  const arrow::FixedSizeBinaryArray& array_;
  const std::size_t width_;
  const std::int32_t scale_;
  std::int64_t power_ = 1;
};

// Where the hashes of a column's rows go. The first column sets, the others mix in.
class Sink {
 public:
  Sink(std::uint64_t* hashes, bool first) : hashes_(hashes), first_(first) {}

  template <class HashOf>
  void Add(const arrow::Array& array, HashOf&& hash_of) {
    const std::int64_t rows = array.length();
    if (array.null_count() == 0) {
      if (first_) {
        for (std::int64_t i = 0; i < rows; ++i) hashes_[i] = hash_of(i);
      } else {
        for (std::int64_t i = 0; i < rows; ++i) hashes_[i] = Mix(hashes_[i], hash_of(i));
      }
    } else {
      for (std::int64_t i = 0; i < rows; ++i) {
        const std::uint64_t hash = array.IsNull(i) ? kNullHash : hash_of(i);
        hashes_[i] = first_ ? hash : Mix(hashes_[i], hash);
      }
    }
    hashes_ += rows;
  }

 private:
  static std::uint64_t Mix(std::uint64_t hash, std::uint64_t next) {
    return Fold(hash ^ kThird, next ^ kSecond);
  }

  std::uint64_t* hashes_;
  const bool first_;
};

template <class Array>
void AddNumbers(const arrow::Array& array, Sink* sink) {
  const auto* values = static_cast<const Array&>(array).raw_values();
  using Value = std::remove_cvref_t<decltype(values[0])>;
  if constexpr (std::is_floating_point_v<Value>) {
    sink->Add(array, [values](std::int64_t i) { return HashFloat(values[i]); });
  } else {
    sink->Add(array, [values](std::int64_t i) {
      return HashNumber(static_cast<std::uint64_t>(static_cast<std::int64_t>(values[i])));
    });
  }
}

// Of times: their units differ from block to block, so all count in the finest.
template <class Array>
void AddTimes(const arrow::Array& array, std::int64_t unit, Sink* sink) {
  const auto* values = static_cast<const Array&>(array).raw_values();
  const auto factor = static_cast<std::uint64_t>(unit);
  sink->Add(array, [values, factor](std::int64_t i) {
    return HashNumber(static_cast<std::uint64_t>(static_cast<std::int64_t>(values[i])) * factor);
  });
}

template <class Array>
void AddText(const arrow::Array& array, Sink* sink) {
  const auto& text = static_cast<const Array&>(array);
  sink->Add(array, [&text](std::int64_t i) { return HashText(text.GetView(i)); });
}

Status AddChunk(const std::shared_ptr<arrow::Array>& array, arrow::MemoryPool* pool, Sink* sink);

// Sets the hashes of plain or other values, whatever their type.
Status HashValues(const std::shared_ptr<arrow::Array>& values, arrow::MemoryPool* pool,
                  std::vector<std::uint64_t>* hashes) {
  ARROW_ASSIGN_OR_RAISE(const auto plain, PlainArray(values, pool));
  hashes->resize(static_cast<std::size_t>(plain->length()));
  Sink sink(hashes->data(), /*first=*/true);
  return AddChunk(plain, pool, &sink);
}

template <class Array>
Status AddLists(const arrow::Array& array, arrow::MemoryPool* pool, Sink* sink) {
  const auto& lists = static_cast<const Array&>(array);
  std::vector<std::uint64_t> values;
  ARROW_RETURN_NOT_OK(HashValues(lists.values(), pool, &values));
  sink->Add(array, [&](std::int64_t i) {
    const std::int64_t begin = lists.value_offset(i);
    const std::int64_t end = begin + lists.value_length(i);
    std::uint64_t hash = kFirst;
    for (std::int64_t at = begin; at < end; ++at) {
      hash = Fold(hash ^ kThird, values[static_cast<std::size_t>(at)] ^ kSecond);
    }
    return hash;
  });
  return Status::OK();
}

// By name, whatever the order; a null field counts like one that is not there.
Status AddStructs(const arrow::StructArray& array, arrow::MemoryPool* pool, Sink* sink) {
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(array.length()), kFirst);
  std::vector<std::uint64_t> values;
  for (int i = 0; i < array.num_fields(); ++i) {
    ARROW_RETURN_NOT_OK(HashValues(array.field(i), pool, &values));
    const std::uint64_t name = HashText(array.struct_type()->field(i)->name());
    for (std::size_t row = 0; row < sums.size(); ++row) {
      if (values[row] != kNullHash) sums[row] += Fold(values[row] ^ kThird, name ^ kSecond);
    }
  }
  sink->Add(array, [&](std::int64_t i) { return HashNumber(sums[static_cast<std::size_t>(i)]); });
  return Status::OK();
}

Status AddNested(const std::shared_ptr<arrow::Array>& array, arrow::MemoryPool* pool, Sink* sink) {
  switch (array->type_id()) {
    case arrow::Type::LIST:
      return AddLists<arrow::ListArray>(*array, pool, sink);
    case arrow::Type::LARGE_LIST:
      return AddLists<arrow::LargeListArray>(*array, pool, sink);
    case arrow::Type::FIXED_SIZE_LIST:
      return AddLists<arrow::FixedSizeListArray>(*array, pool, sink);
    case arrow::Type::MAP:
      return AddLists<arrow::MapArray>(*array, pool, sink);
    case arrow::Type::STRUCT:
      return AddStructs(static_cast<const arrow::StructArray&>(*array), pool, sink);
    default:
      return Status::TypeError("cannot be a key: type ", array->type()->ToString());
  }
}

Status AddChunk(const std::shared_ptr<arrow::Array>& array, arrow::MemoryPool* pool, Sink* sink) {
  const arrow::DataType& type = *array->type();
  switch (type.id()) {
#define HEADRACE_NUMBERS(ID, ARRAY)         \
  case arrow::Type::ID:                     \
    AddNumbers<arrow::ARRAY>(*array, sink); \
    return Status::OK();
#define HEADRACE_TIMES(ID, ARRAY)                       \
  case arrow::Type::ID:                                 \
    AddTimes<arrow::ARRAY>(*array, UnitOf(type), sink); \
    return Status::OK();
#define HEADRACE_TEXT(ID, ARRAY)         \
  case arrow::Type::ID:                  \
    AddText<arrow::ARRAY>(*array, sink); \
    return Status::OK();
    HEADRACE_NUMBERS(INT8, Int8Array)
    HEADRACE_NUMBERS(INT16, Int16Array)
    HEADRACE_NUMBERS(INT32, Int32Array)
    HEADRACE_NUMBERS(INT64, Int64Array)
    HEADRACE_NUMBERS(UINT8, UInt8Array)
    HEADRACE_NUMBERS(UINT16, UInt16Array)
    HEADRACE_NUMBERS(UINT32, UInt32Array)
    HEADRACE_NUMBERS(UINT64, UInt64Array)
    HEADRACE_NUMBERS(FLOAT, FloatArray)
    HEADRACE_NUMBERS(DOUBLE, DoubleArray)
    HEADRACE_TIMES(DATE32, Date32Array)
    HEADRACE_TIMES(DATE64, Date64Array)
    HEADRACE_TIMES(TIME32, Time32Array)
    HEADRACE_TIMES(TIME64, Time64Array)
    HEADRACE_TIMES(TIMESTAMP, TimestampArray)
    HEADRACE_TIMES(DURATION, DurationArray)
    HEADRACE_TEXT(STRING, StringArray)
    HEADRACE_TEXT(BINARY, BinaryArray)
    HEADRACE_TEXT(LARGE_STRING, LargeStringArray)
    HEADRACE_TEXT(LARGE_BINARY, LargeBinaryArray)
    HEADRACE_TEXT(STRING_VIEW, StringViewArray)
    HEADRACE_TEXT(BINARY_VIEW, BinaryViewArray)
    HEADRACE_TEXT(FIXED_SIZE_BINARY, FixedSizeBinaryArray)
#undef HEADRACE_NUMBERS
#undef HEADRACE_TIMES
#undef HEADRACE_TEXT
    case arrow::Type::NA:
      sink->Add(*array, [](std::int64_t) { return kNullHash; });
      return Status::OK();
    case arrow::Type::BOOL: {
      const auto& values = static_cast<const arrow::BooleanArray&>(*array);
      sink->Add(*array, [&](std::int64_t i) { return HashNumber(values.Value(i) ? 1 : 0); });
      return Status::OK();
    }
    case arrow::Type::HALF_FLOAT: {
      const auto* values = static_cast<const arrow::HalfFloatArray&>(*array).raw_values();
      sink->Add(*array, [values](std::int64_t i) {
        return HashFloat(arrow::util::Float16::FromBits(values[i]).ToDouble());
      });
      return Status::OK();
    }
    default:
      break;
  }
  if (arrow::is_decimal(type.id())) {
    sink->Add(*array, DecimalHasher(static_cast<const arrow::FixedSizeBinaryArray&>(*array)));
    return Status::OK();
  }
  return AddNested(array, pool, sink);
}

}  // namespace

Status HashRows(const arrow::Table& table, const std::vector<std::string>& keys,
                arrow::MemoryPool* pool, std::vector<std::uint64_t>* hashes) {
  hashes->resize(static_cast<std::size_t>(table.num_rows()));
  if (keys.empty()) {
    std::fill(hashes->begin(), hashes->end(), kNullHash);
    return Status::OK();
  }
  bool first = true;
  for (const std::string& key : keys) {
    ARROW_ASSIGN_OR_RAISE(const int index, FindKeyColumn(*table.schema(), key));
    Sink sink(hashes->data(), first);
    first = false;
    ARROW_ASSIGN_OR_RAISE(auto chunks, PlainChunks(*table.column(index), pool));
    for (const auto& chunk : chunks) {
      ARROW_RETURN_NOT_OK(AddChunk(chunk, pool, &sink));
    }
  }
  return Status::OK();
}

}  // namespace headrace
