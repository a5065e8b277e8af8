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
// So values of one kind encode alike whatever their width. Keys that are compared beyond one table
// (the index of a block, the bounds of a merge) encode alike for all types that can be unified, at
// some more bytes:
//
//   number   whole [fraction]: integers, decimals, floats; times: whole, in the finest unit
//   whole    2 and 8 bytes, where they fit; 1 or 3 and 32 bytes; 0 or 4 and a float's 8 bytes
//   fraction 1 for none, else 0 (below zero) or 2, and: of a float 8 bytes; of a decimal 32 bytes,
//            as if it had 76 digits. So one float and one decimal do not compare.

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
  /// Fails if a column is unknown or of a type that cannot be encoded. `any_type`: for comparison
  /// with keys of other types.
  static Result<SortKeyEncoder> Make(const arrow::Table& table, const std::vector<SortKey>& keys,
                                     arrow::MemoryPool* pool, bool any_type = false);
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

}  // namespace headrace
