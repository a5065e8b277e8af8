#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "headrace/base/status.h"

namespace arrow {
class ChunkedArray;
class MemoryPool;
class Table;
}  // namespace arrow

// Rows into another order, fast: what sorting, shuffling and joining end with.
//
// Fixed-width values (tensors too), booleans, strings and dictionary codes are moved by loops of
// our own, extension types as their storage; nested types by Arrow's Take. Row numbers are 32 bits
// wide: a task has fewer than 2^32 - 1 rows.

namespace headrace {

/// Stands for a row that is not there: its values are null.
inline constexpr std::uint32_t kNoRow = UINT32_MAX;

/// Makes the rows of one table ready to be taken in any order, as often as wanted. Threads: may be
/// read from any thread.
class RowGatherer {
 public:
  /// Copies columns of several chunks into one chunk each. A text column stays in several where it
  /// is too large for one. Null `pool`: the default one.
  static Result<RowGatherer> Make(std::shared_ptr<arrow::Table> table, arrow::MemoryPool* pool);

  /// Returns a table of `rows`, in that order. `may_miss`: kNoRow is among them. Columns have one
  /// chunk, or more where text does not fit into one.
  Result<std::shared_ptr<arrow::Table>> Gather(std::span<const std::uint32_t> rows,
                                               bool may_miss = false) const;

  /// The rows as they lie.
  const std::shared_ptr<arrow::Table>& table() const { return table_; }

 private:
  RowGatherer(std::shared_ptr<arrow::Table> table, arrow::MemoryPool* pool)
      : table_(std::move(table)), pool_(pool) {}

  std::shared_ptr<arrow::Table> table_;
  arrow::MemoryPool* pool_;
};

/// Returns a table of `rows` of `table`, in that order. See RowGatherer, which is for several
/// calls.
Result<std::shared_ptr<arrow::Table>> GatherRows(std::shared_ptr<arrow::Table> table,
                                                 std::span<const std::uint32_t> rows,
                                                 arrow::MemoryPool* pool, bool may_miss = false);

/// The same of one column.
Result<std::shared_ptr<arrow::ChunkedArray>> GatherColumn(
    const std::shared_ptr<arrow::ChunkedArray>& column, std::span<const std::uint32_t> rows,
    arrow::MemoryPool* pool, bool may_miss = false);

/// Returns `column` in as few chunks as can hold it; the same object if it has one already. At
/// least one chunk, perhaps empty. Dictionaries are unified, as by JoinArrays() of block/unify.h.
Result<std::shared_ptr<arrow::ChunkedArray>> CombineColumn(
    const std::shared_ptr<arrow::ChunkedArray>& column, arrow::MemoryPool* pool);

}  // namespace headrace
