#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "headrace/data/exchange/radix_sort.h"

namespace headrace {

/// Keys of rows as bytes: that of a row is [offsets[row], offsets[row + 1]) of `bytes`, which has
/// `size` bytes in all.
template <class Offset>
struct ByteKeys {
  const Offset* offsets;
  const std::uint8_t* bytes;
  std::int64_t size;

  std::size_t Length(std::uint32_t row) const {
    return static_cast<std::size_t>(offsets[row + std::size_t{1}] - offsets[row]);
  }
  std::string_view Suffix(std::uint32_t row, std::size_t depth) const {
    return {reinterpret_cast<const char*>(bytes) + offsets[row] + depth, Length(row) - depth};
  }

  /// Returns the 8 bytes from `depth` on as a number that sorts like them; zeros after the end.
  std::uint64_t Word(std::uint32_t row, std::size_t depth) const {
    const std::size_t length = Length(row);
    if (length <= depth) return 0;
    const std::size_t left = length - depth;
    const auto begin = static_cast<std::int64_t>(offsets[row]) + static_cast<std::int64_t>(depth);
    std::uint64_t word = 0;
    if (begin + 8 <= size) {
      std::memcpy(&word, bytes + begin, 8);
      word = __builtin_bswap64(word);
      return left >= 8 ? word : word & ~(~std::uint64_t{0} >> (8 * left));
    }
    std::memcpy(&word, bytes + begin, std::min<std::size_t>(left, 8));
    return __builtin_bswap64(word);
  }
};

/// Sorts rows by byte keys, stably: by 8 bytes at a time, those that do not tell rows apart
/// skipped.
template <class Offset>
class ByteSorter {
 public:
  explicit ByteSorter(ByteKeys<Offset> keys) : keys_(keys) {}

  /// Sorts rows[0, count) whose keys agree in the first `depth` bytes. `scratch`: room for as many.
  void Sort(KeyedRow* rows, KeyedRow* scratch, std::size_t count, std::size_t depth = 0) const {
    if (count < 2) return;
    depth = CommonPrefix(rows, count, depth);
    for (std::size_t i = 0; i < count; ++i) rows[i].key = keys_.Word(rows[i].row, depth);
    SortKeyedRows(rows, scratch, count);
    std::size_t begin = 0;
    for (std::size_t end = 1; end <= count; ++end) {
      if (end < count && rows[end].key == rows[begin].key) continue;
      if (end - begin > kFewRows) {
        SortEqual(rows + begin, scratch + begin, end - begin, depth);
      } else if (end - begin > 1) {
        SortFew(rows + begin, end - begin, depth);
      }
      begin = end;
    }
  }

 private:
  static constexpr std::size_t kFewRows = 16;

  std::size_t CommonPrefix(const KeyedRow* rows, std::size_t count, std::size_t depth) const {
    const std::string_view first = keys_.Suffix(rows[0].row, depth);
    std::size_t common = first.size();
    for (std::size_t i = 1; i < count && common > 0; ++i) {
      const std::string_view other = keys_.Suffix(rows[i].row, depth);
      common = std::min(common, other.size());
      if (std::memcmp(first.data(), other.data(), common) != 0) {
        common = static_cast<std::size_t>(
            std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(common),
                          other.begin())
                .first -
            first.begin());
      }
    }
    return depth + common;
  }

  void SortFew(KeyedRow* rows, std::size_t count, std::size_t depth) const {
    for (std::size_t i = 1; i < count; ++i) {
      const KeyedRow moving = rows[i];
      const std::string_view key = keys_.Suffix(moving.row, depth);
      std::size_t at = i;
      while (at > 0 && key < keys_.Suffix(rows[at - 1].row, depth)) {
        rows[at] = rows[at - 1];
        --at;
      }
      rows[at] = moving;
    }
  }

  // Of rows whose word at `depth` is the same: those whose key ends in it come first, the shorter
  // before the longer, for the word has zeros in place of what is not there.
  void SortEqual(KeyedRow* rows, KeyedRow* scratch, std::size_t count, std::size_t depth) const {
    std::size_t ended = 0;
    std::size_t longer = 0;
    bool same_length = true;
    const std::size_t first_length = keys_.Length(rows[0].row);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t length = keys_.Length(rows[i].row);
      if (length <= depth + 8) {
        same_length = same_length && length == first_length;
        rows[ended++] = {length, rows[i].row};
      } else {
        scratch[longer++] = rows[i];
      }
    }
    std::copy(scratch, scratch + longer, rows + ended);
    if (!same_length) SortKeyedRows(rows, scratch, ended);
    Sort(rows + ended, scratch + ended, longer, depth + 8);
  }

  const ByteKeys<Offset> keys_;
};

}  // namespace headrace
