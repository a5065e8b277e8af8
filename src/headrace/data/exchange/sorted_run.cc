#include "headrace/data/exchange/sorted_run.h"

#include <arrow/table.h>

#include <algorithm>
#include <utility>

namespace headrace {
namespace {

// What lies between two keys of an index, and how many keys there are at least.
constexpr std::int64_t kIndexBytes = 64 << 10;
constexpr std::int64_t kIndexKeys = 128;

}  // namespace

Result<std::shared_ptr<const BlockIndex>> IndexOfRun(const arrow::Table& table,
                                                     const std::vector<SortKey>& keys,
                                                     arrow::MemoryPool* pool) {
  auto index = std::make_shared<BlockIndex>();
  const std::int64_t rows = table.num_rows();
  const std::int64_t wanted = std::max(kIndexKeys, MeasureBytes(table) / kIndexBytes);
  index->stride = std::max<std::int64_t>(1, (rows + wanted - 1) / wanted);
  if (rows == 0) return index;
  ARROW_ASSIGN_OR_RAISE(auto encoder, SortKeyEncoder::Make(table, keys, pool, /*any_type=*/true));
  for (std::int64_t row = 0; row < rows; row += index->stride) {
    encoder.Append(row, &index->keys.emplace_back());
  }
  encoder.Append(rows - 1, &index->keys.emplace_back());
  return index;
}

Status SortedRun::Add(std::shared_ptr<arrow::Table> block, const std::vector<SortKey>& keys,
                      arrow::MemoryPool* pool) {
  if (block->num_rows() == 0) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(auto encoder, SortKeyEncoder::Make(*block, keys, pool, /*any_type=*/true));
  const std::int64_t first = end_;
  end_ += block->num_rows();
  pieces_.push_back({std::move(block), std::move(encoder), first, end_});
  return Status::OK();
}

std::size_t SortedRun::PieceOf(std::int64_t row) const {
  const auto after = std::upper_bound(
      pieces_.begin(), pieces_.end(), row,
      [](std::int64_t value, const Piece& piece) { return value < piece.first_row; });
  return static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

RunBound SortedRun::BoundOf(std::int64_t row) const {
  const Piece& piece = pieces_[PieceOf(row)];
  RunBound bound;
  bound.run = number_;
  piece.encoder.Append(row - piece.first_row, &bound.key);
  return bound;
}

std::int64_t SortedRun::Find(const RunBound& bound, std::int64_t begin, std::int64_t end) const {
  const bool equal_is_before = number_ < bound.run;
  while (begin < end) {
    const std::int64_t middle = begin + (end - begin) / 2;
    const int order = BoundOf(middle).key.compare(bound.key);
    if (order < 0 || (order == 0 && equal_is_before)) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

void SortedRun::Cut(const KeyRange& range) {
  if (range.low) next_ = Find(*range.low, next_, end_);
  if (range.high) end_ = Find(*range.high, next_, end_);
}

void SortedRun::Take(std::int64_t end, std::vector<std::shared_ptr<arrow::Table>>* slices) {
  while (next_ < end) {
    Piece& piece = pieces_[PieceOf(next_)];
    const std::int64_t to = std::min(end, piece.end_row);
    slices->push_back(piece.table->Slice(next_ - piece.first_row, to - next_));
    next_ = to;
    if (next_ == piece.end_row) piece.table.reset();
  }
}

}  // namespace headrace
