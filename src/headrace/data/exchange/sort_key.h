#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/exchange.h"

namespace arrow {
class DataType;
class MemoryPool;
class Schema;
class Table;
}  // namespace arrow

// Keys as bytes whose order, by memcmp and then length, is the order of the rows.
//
//   key    = column …                         in the order of the keys
//   column = mark [value]                     null and nan are a mark alone
//
//   mark     0 null first   1 nan first   3 value   5 nan last   6 null last
//            (2 and 4: unsigned numbers over INT64_MAX, in descending and ascending order)
//   value    whole numbers, dates, times: 8 bytes; floats: 8 bytes, as double; decimals: 16, 32;
//            text: its bytes, 0 as 0 255, then 0 1, but as it is where it ends an ascending key;
//            lists: 3 before each element, then 0; structs: their fields. Flipped if descending.
//
// So values of one kind encode alike whatever their width, and blocks of int32 and int64 keys, or
// of string and large_string ones, can be merged.

namespace headrace {

/// Returns keys as bytes, for all rows: key i is [offsets[i], offsets[i + 1]) of `bytes`.
struct EncodedKeys {
  std::vector<std::int64_t> offsets;
  std::unique_ptr<std::uint8_t[]> bytes;

  std::string_view operator[](std::size_t row) const {
    return {reinterpret_cast<const char*>(bytes.get()) + offsets[row],
            static_cast<std::size_t>(offsets[row + 1] - offsets[row])};
  }
};

/// Encodes the keys of one table. Threads: may be used from any thread.
class SortKeyEncoder {
 public:
  /// Fails if a column is unknown or of a type that cannot be encoded.
  static Result<SortKeyEncoder> Make(const arrow::Table& table, const std::vector<SortKey>& keys,
                                     arrow::MemoryPool* pool);
  SortKeyEncoder(SortKeyEncoder&&) noexcept;
  SortKeyEncoder& operator=(SortKeyEncoder&&) noexcept;
  ~SortKeyEncoder();

  std::int64_t num_rows() const { return num_rows_; }

  /// Appends the key of one row to `out`.
  void Append(std::int64_t row, std::string* out) const;

  /// Encodes all rows.
  EncodedKeys EncodeAll() const;

 private:
  class Column;
  SortKeyEncoder();
  std::vector<std::unique_ptr<Column>> columns_;
  std::int64_t num_rows_ = 0;
};

/// Returns an error that names the column if rows with this schema cannot be sorted by `keys`: an
/// unknown column, or a type without an order (lists, structs, Python objects). Grouping takes
/// these too: `any_type`.
Status CheckSortKeys(const std::vector<SortKey>& keys, const arrow::Schema& schema,
                     bool any_type = false);

/// Returns the name of the encoding of a type: keys of types with equal names can be compared.
std::string KeyEncodingOf(const arrow::DataType& type);

}  // namespace headrace
