#include "headrace/data/exchange/key_hash.h"

#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/table.h>
#include <arrow/type_traits.h>
#include <arrow/util/float16.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "headrace/data/exchange/key_column.h"
#include "headrace/data/exchange/sort_key.h"

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

std::uint64_t HashBytes(std::string_view text) {
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

// Of a two's complement number in little-endian limbs: limbs that only repeat the sign are left
// out, so that all widths agree.
std::uint64_t HashLimbs(const std::uint8_t* bytes, std::size_t width) {
  std::uint64_t limbs[4] = {};
  std::memcpy(limbs, bytes, width);
  std::size_t count = width / 8;
  const auto sign = [](std::uint64_t limb) { return limb >> 63 ? ~std::uint64_t{0} : 0; };
  while (count > 1 && limbs[count - 1] == sign(limbs[count - 2])) --count;
  std::uint64_t hash = HashNumber(limbs[0]);
  for (std::size_t i = 1; i < count; ++i) hash = Fold(hash ^ kThird, limbs[i] ^ kSecond);
  return hash;
}

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
void AddTimes(const arrow::Array& array, std::uint64_t factor, Sink* sink) {
  const auto* values = static_cast<const Array&>(array).raw_values();
  sink->Add(array, [values, factor](std::int64_t i) {
    return HashNumber(static_cast<std::uint64_t>(static_cast<std::int64_t>(values[i])) * factor);
  });
}

std::uint64_t NanosOf(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return 1'000'000'000;
    case arrow::TimeUnit::MILLI:
      return 1'000'000;
    case arrow::TimeUnit::MICRO:
      return 1'000;
    case arrow::TimeUnit::NANO:
      break;
  }
  return 1;
}

template <class Array>
void AddText(const arrow::Array& array, Sink* sink) {
  const auto& text = static_cast<const Array&>(array);
  sink->Add(array, [&text](std::int64_t i) { return HashBytes(text.GetView(i)); });
}

// Fixed binary and decimals.
void AddFixedBytes(const arrow::FixedSizeBinaryArray& array, Sink* sink) {
  const auto width = static_cast<std::size_t>(array.byte_width());
  if (!arrow::is_decimal(array.type_id())) {
    sink->Add(array, [&](std::int64_t i) { return HashBytes(array.GetView(i)); });
  } else if (width == 4) {
    sink->Add(array, [&](std::int64_t i) {
      std::int32_t value;
      std::memcpy(&value, array.GetValue(i), 4);
      return HashNumber(static_cast<std::uint64_t>(std::int64_t{value}));
    });
  } else {
    sink->Add(array, [&](std::int64_t i) { return HashLimbs(array.GetValue(i), width); });
  }
}

Status AddEncoded(const std::shared_ptr<arrow::Array>& array, arrow::MemoryPool* pool, Sink* sink) {
  const auto table = arrow::Table::Make(arrow::schema({arrow::field("", array->type())}), {array});
  ARROW_ASSIGN_OR_RAISE(auto encoder, SortKeyEncoder::Make(*table, {SortKey{""}}, pool));
  const EncodedKeys keys = encoder.EncodeAll();
  sink->Add(*array, [&](std::int64_t i) { return HashBytes(keys[static_cast<std::size_t>(i)]); });
  return Status::OK();
}

Status AddChunk(const std::shared_ptr<arrow::Array>& array, arrow::MemoryPool* pool, Sink* sink) {
  const arrow::DataType& type = *array->type();
  switch (type.id()) {
#define HEADRACE_NUMBERS(ID, ARRAY)         \
  case arrow::Type::ID:                     \
    AddNumbers<arrow::ARRAY>(*array, sink); \
    return Status::OK();
#define HEADRACE_TIMES(ID, ARRAY, TYPE)                                                          \
  case arrow::Type::ID:                                                                          \
    AddTimes<arrow::ARRAY>(*array, NanosOf(static_cast<const arrow::TYPE&>(type).unit()), sink); \
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
    HEADRACE_NUMBERS(DATE64, Date64Array)
    HEADRACE_TIMES(TIME32, Time32Array, Time32Type)
    HEADRACE_TIMES(TIME64, Time64Array, Time64Type)
    HEADRACE_TIMES(TIMESTAMP, TimestampArray, TimestampType)
    HEADRACE_TIMES(DURATION, DurationArray, DurationType)
    HEADRACE_TEXT(STRING, StringArray)
    HEADRACE_TEXT(BINARY, BinaryArray)
    HEADRACE_TEXT(LARGE_STRING, LargeStringArray)
    HEADRACE_TEXT(LARGE_BINARY, LargeBinaryArray)
    HEADRACE_TEXT(STRING_VIEW, StringViewArray)
    HEADRACE_TEXT(BINARY_VIEW, BinaryViewArray)
#undef HEADRACE_NUMBERS
#undef HEADRACE_TIMES
#undef HEADRACE_TEXT
    case arrow::Type::DATE32:
      AddTimes<arrow::Date32Array>(*array, 86'400'000, sink);  // Milliseconds, as of date64.
      return Status::OK();
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
  if (arrow::is_decimal(type.id()) || type.id() == arrow::Type::FIXED_SIZE_BINARY) {
    AddFixedBytes(static_cast<const arrow::FixedSizeBinaryArray&>(*array), sink);
    return Status::OK();
  }
  return AddEncoded(array, pool, sink);
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
