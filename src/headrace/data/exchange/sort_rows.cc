#include "headrace/data/exchange/sort_rows.h"

#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/table.h>
#include <arrow/util/float16.h>

#include <type_traits>
#include <utility>

#include "headrace/data/exchange/byte_sort.h"
#include "headrace/data/exchange/column_rows.h"
#include "headrace/data/exchange/key_column.h"
#include "headrace/data/exchange/ordered_bits.h"
#include "headrace/data/exchange/radix_sort.h"
#include "headrace/data/exchange/sort_key.h"

namespace headrace {

namespace {

using RowNumbers = std::vector<std::uint32_t>;

// Rows to be sorted: those with values and their keys, the others as they came.
struct Classes {
  explicit Classes(std::int64_t rows) : values(new KeyedRow[static_cast<std::size_t>(rows)]) {}

  std::unique_ptr<KeyedRow[]> values;
  std::size_t num_values = 0;
  RowNumbers nans;
  RowNumbers nulls;
};

RowNumbers InOrder(const Classes& classes, bool nulls_first) {
  RowNumbers rows(classes.num_values + classes.nans.size() + classes.nulls.size());
  auto out = rows.begin();
  const auto put = [&out](const RowNumbers& some) {
    out = std::copy(some.begin(), some.end(), out);
  };
  if (nulls_first) {
    put(classes.nulls);
    put(classes.nans);
  }
  for (std::size_t i = 0; i < classes.num_values; ++i) *out++ = classes.values[i].row;
  if (!nulls_first) {
    put(classes.nans);
    put(classes.nulls);
  }
  return rows;
}

// ---- One key of at most 8 bytes.

// Adds the rows of one chunk, whose first row has the number `row`. `bits_of` gives OrderedBits.
template <class BitsOf>
void AddBits(const arrow::Array& array, std::uint32_t row, bool descending, Classes* classes,
             BitsOf&& bits_of) {
  const std::uint64_t flip = descending ? ~std::uint64_t{0} : 0;
  KeyedRow* out = classes->values.get() + classes->num_values;
  const bool has_nulls = array.null_count() > 0;
  for (std::int64_t i = 0; i < array.length(); ++i, ++row) {
    if (has_nulls && array.IsNull(i)) {
      classes->nulls.push_back(row);
    } else {
      *out++ = {bits_of(i) ^ flip, row};
    }
  }
  classes->num_values = static_cast<std::size_t>(out - classes->values.get());
}

template <class ValueOf>
void AddFloats(const arrow::Array& array, std::uint32_t row, bool descending, Classes* classes,
               ValueOf&& value_of) {
  const std::uint64_t flip = descending ? ~std::uint64_t{0} : 0;
  KeyedRow* out = classes->values.get() + classes->num_values;
  const bool has_nulls = array.null_count() > 0;
  for (std::int64_t i = 0; i < array.length(); ++i, ++row) {
    if (has_nulls && array.IsNull(i)) {
      classes->nulls.push_back(row);
      continue;
    }
    const double value = value_of(i);
    if (value != value) [[unlikely]] {
      classes->nans.push_back(row);
    } else {
      *out++ = {OrderedBits(value) ^ flip, row};
    }
  }
  classes->num_values = static_cast<std::size_t>(out - classes->values.get());
}

template <class Array>
void AddNumbers(const arrow::Array& array, std::uint32_t row, bool descending, Classes* classes) {
  const auto* values = static_cast<const Array&>(array).raw_values();
  using Value = std::remove_cvref_t<decltype(values[0])>;
  if constexpr (std::is_same_v<Array, arrow::HalfFloatArray>) {
    AddFloats(array, row, descending, classes, [values](std::int64_t i) {
      return arrow::util::Float16::FromBits(values[i]).ToDouble();
    });
  } else if constexpr (std::is_floating_point_v<Value>) {
    AddFloats(array, row, descending, classes,
              [values](std::int64_t i) { return static_cast<double>(values[i]); });
  } else if constexpr (std::is_unsigned_v<Value>) {
    AddBits(array, row, descending, classes,
            [values](std::int64_t i) { return static_cast<std::uint64_t>(values[i]); });
  } else {
    AddBits(array, row, descending, classes,
            [values](std::int64_t i) { return OrderedBits(static_cast<std::int64_t>(values[i])); });
  }
}

// Returns false if values of this type do not fit into 8 bytes.
bool AddChunk(const arrow::Array& array, std::uint32_t row, bool descending, Classes* classes) {
  switch (array.type_id()) {
#define HEADRACE_NUMBERS(ID, ARRAY)                            \
  case arrow::Type::ID:                                        \
    AddNumbers<arrow::ARRAY>(array, row, descending, classes); \
    return true;
    HEADRACE_NUMBERS(INT8, Int8Array)
    HEADRACE_NUMBERS(INT16, Int16Array)
    HEADRACE_NUMBERS(INT32, Int32Array)
    HEADRACE_NUMBERS(INT64, Int64Array)
    HEADRACE_NUMBERS(UINT8, UInt8Array)
    HEADRACE_NUMBERS(UINT16, UInt16Array)
    HEADRACE_NUMBERS(UINT32, UInt32Array)
    HEADRACE_NUMBERS(UINT64, UInt64Array)
    HEADRACE_NUMBERS(HALF_FLOAT, HalfFloatArray)
    HEADRACE_NUMBERS(FLOAT, FloatArray)
    HEADRACE_NUMBERS(DOUBLE, DoubleArray)
    HEADRACE_NUMBERS(DATE32, Date32Array)
    HEADRACE_NUMBERS(DATE64, Date64Array)
    HEADRACE_NUMBERS(TIME32, Time32Array)
    HEADRACE_NUMBERS(TIME64, Time64Array)
    HEADRACE_NUMBERS(TIMESTAMP, TimestampArray)
    HEADRACE_NUMBERS(DURATION, DurationArray)
#undef HEADRACE_NUMBERS
    case arrow::Type::BOOL: {
      const auto& values = static_cast<const arrow::BooleanArray&>(array);
      AddBits(array, row, descending, classes,
              [&](std::int64_t i) { return std::uint64_t{values.Value(i)}; });
      return true;
    }
    default:
      return false;
  }
}

void SortClasses(Classes* classes) {
  const std::unique_ptr<KeyedRow[]> scratch(new KeyedRow[classes->num_values]);
  SortKeyedRows(classes->values.get(), scratch.get(), classes->num_values);
}

// ---- Keys as bytes.

template <class Offset>
RowNumbers SortBytes(ByteKeys<Offset> keys, Classes classes, bool nulls_first) {
  {
    const std::unique_ptr<KeyedRow[]> scratch(new KeyedRow[classes.num_values]);
    ByteSorter<Offset>(keys).Sort(classes.values.get(), scratch.get(), classes.num_values);
  }
  return InOrder(classes, nulls_first);
}

template <class Offset>
RowNumbers SortText(const arrow::Array& array, bool nulls_first) {
  Classes classes(array.length());
  AddBits(array, 0, false, &classes, [](std::int64_t) { return std::uint64_t{0}; });
  const TextRows<Offset> text = TextRowsOf<Offset>(*array.data());
  return SortBytes(ByteKeys<Offset>{text.offsets, text.bytes, text.size}, std::move(classes),
                   nulls_first);
}

Result<RowNumbers> SortEncoded(const arrow::Table& table, const std::vector<SortKey>& keys,
                               arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto encoder, SortKeyEncoder::Make(table, keys, pool));
  const EncodedKeys encoded = encoder.EncodeAll();
  Classes classes(table.num_rows());
  classes.num_values = static_cast<std::size_t>(table.num_rows());
  for (std::uint32_t row = 0; row < classes.num_values; ++row) classes.values[row].row = row;
  return SortBytes(
      ByteKeys<std::int64_t>{encoded.offsets.data(), encoded.bytes.get(), encoded.offsets.back()},
      std::move(classes), false);
}

}  // namespace

Result<RowNumbers> SortRows(const arrow::Table& table, const std::vector<SortKey>& keys,
                            arrow::MemoryPool* pool) {
  if (table.num_rows() >= UINT32_MAX) {
    return Status::CapacityError("one task cannot sort ", table.num_rows(), " rows");
  }
  if (keys.size() != 1 || table.num_rows() == 0) return SortEncoded(table, keys, pool);
  const SortKey& key = keys.front();
  ARROW_ASSIGN_OR_RAISE(const int index, FindKeyColumn(*table.schema(), key.column));
  ARROW_ASSIGN_OR_RAISE(auto chunks, PlainChunks(*table.column(index), pool));
  Classes classes(table.num_rows());
  std::uint32_t row = 0;
  bool short_values = true;
  for (const auto& chunk : chunks) {
    short_values = short_values && AddChunk(*chunk, row, key.descending, &classes);
    row += static_cast<std::uint32_t>(chunk->length());
  }
  if (short_values) {
    SortClasses(&classes);
    return InOrder(classes, key.nulls_first);
  }
  classes = Classes(0);
  if (chunks.size() == 1 && !key.descending) {
    switch (chunks.front()->type_id()) {
      case arrow::Type::STRING:
      case arrow::Type::BINARY:
        return SortText<std::int32_t>(*chunks.front(), key.nulls_first);
      case arrow::Type::LARGE_STRING:
      case arrow::Type::LARGE_BINARY:
        return SortText<std::int64_t>(*chunks.front(), key.nulls_first);
      default:
        break;
    }
  }
  return SortEncoded(table, keys, pool);
}

}  // namespace headrace
