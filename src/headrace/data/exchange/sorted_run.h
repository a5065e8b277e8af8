#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/data/exchange/sort_key.h"
#include "headrace/protocol/exchange.h"

namespace arrow {
class MemoryPool;
class Table;
}  // namespace arrow

namespace headrace {

/// Returns the index of a sorted batch: keys so near each other that between two lie about
/// kIndexBytes, which is how exactly the driver can cut it.
Result<std::shared_ptr<const BlockIndex>> IndexOfRun(const arrow::Table& table,
                                                     const std::vector<SortKey>& keys,
                                                     arrow::MemoryPool* pool);

/// The sorted rows that a merge takes from one run: blocks that follow each other, and how far they
/// have been taken. Rows are numbered through all blocks.
class SortedRun {
 public:
  explicit SortedRun(std::uint32_t number) : number_(number) {}

  Status Add(std::shared_ptr<arrow::Table> block, const std::vector<SortKey>& keys,
             arrow::MemoryPool* pool);

  std::uint32_t number() const { return number_; }
  std::int64_t next() const { return next_; }
  std::int64_t end() const { return end_; }
  std::int64_t left() const { return end_ - next_; }

  /// Leaves only the rows of `range`.
  void Cut(const KeyRange& range);

  /// Returns the key and the run of a row.
  RunBound BoundOf(std::int64_t row) const;

  /// Returns the first row in [begin, end) that is not before `bound`, or `end`.
  std::int64_t Find(const RunBound& bound, std::int64_t begin, std::int64_t end) const;

  /// Takes the rows up to `end`: appends slices of blocks. Blocks that are used up are let go.
  void Take(std::int64_t end, std::vector<std::shared_ptr<arrow::Table>>* slices);

 private:
  struct Piece {
    std::shared_ptr<arrow::Table> table;  // Null: used up.
    SortKeyEncoder encoder;
    std::int64_t first_row;
    std::int64_t end_row;
  };

  std::size_t PieceOf(std::int64_t row) const;

  std::uint32_t number_;
  std::vector<Piece> pieces_;
  std::int64_t next_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace headrace
