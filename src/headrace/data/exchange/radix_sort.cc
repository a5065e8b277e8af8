#include "headrace/data/exchange/radix_sort.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace headrace {

namespace {

constexpr std::size_t kBuckets = 256;
// Up to so many, rows are shifted into place one by one.
constexpr std::size_t kFewRows = 24;
// Up to so many, rows and scratch stay in the second-level cache from pass to pass.
constexpr std::size_t kCacheRows = 16 << 10;

std::size_t DigitOf(std::uint64_t key, int shift) { return (key >> shift) & (kBuckets - 1); }

void CopyKeyedRows(const KeyedRow* from, KeyedRow* to, std::size_t count) {
  std::memcpy(to, from, count * sizeof(KeyedRow));
}

// Shifts rows into place. Gives up after `most_moves`; the rows are then partly sorted.
bool InsertionSort(KeyedRow* rows, std::size_t count, std::size_t most_moves) {
  std::size_t moves = 0;
  for (std::size_t i = 1; i < count; ++i) {
    if (rows[i - 1].key <= rows[i].key) continue;
    const KeyedRow moving = rows[i];
    std::size_t at = i;
    do {
      rows[at] = rows[at - 1];
      --at;
    } while (at > 0 && rows[at - 1].key > moving.key);
    rows[at] = moving;
    moves += i - at;
    if (moves > most_moves) return false;
  }
  return true;
}

struct Spread {
  std::uint64_t varying = 0;  // Bits that are not the same in all keys.
  bool sorted = true;
};

Spread Inspect(const KeyedRow* rows, std::size_t count) {
  Spread spread;
  const std::uint64_t first = rows[0].key;
  std::uint64_t last = first;
  unsigned descents = 0;
  for (std::size_t i = 1; i < count; ++i) {
    const std::uint64_t key = rows[i].key;
    spread.varying |= key ^ first;
    descents |= static_cast<unsigned>(key < last);
    last = key;
  }
  spread.sorted = descents == 0;
  return spread;
}

// Moves rows to the places of their digit, stably. Sets ends[d] to the end of digit d.
void Partition(const KeyedRow* from, KeyedRow* to, std::size_t count, int shift,
               std::size_t* ends) {
  std::size_t sizes[4][kBuckets] = {};  // Four counters, so that equal digits do not wait.
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    ++sizes[0][DigitOf(from[i].key, shift)];
    ++sizes[1][DigitOf(from[i + 1].key, shift)];
    ++sizes[2][DigitOf(from[i + 2].key, shift)];
    ++sizes[3][DigitOf(from[i + 3].key, shift)];
  }
  for (; i < count; ++i) ++sizes[0][DigitOf(from[i].key, shift)];
  std::size_t begin = 0;
  for (std::size_t d = 0; d < kBuckets; ++d) {
    ends[d] = begin;
    begin += sizes[0][d] + sizes[1][d] + sizes[2][d] + sizes[3][d];
  }
  for (i = 0; i < count; ++i) to[ends[DigitOf(from[i].key, shift)]++] = from[i];
}

// Least significant digits first, over digits that start at `low` and end above `high`.
void SortByDigits(KeyedRow* rows, KeyedRow* scratch, std::size_t count, int low, int high) {
  KeyedRow* from = rows;
  KeyedRow* to = scratch;
  std::size_t ends[kBuckets];
  for (int shift = low; shift <= high; shift += 8) {
    Partition(from, to, count, shift, ends);
    std::swap(from, to);
  }
  if (from != rows) CopyKeyedRows(from, rows, count);
}

// The leading varying bits bring nearly all rows into place, insertion the rest; if these bits do
// not tell the rows apart, all digits must.
void SortInCache(KeyedRow* rows, KeyedRow* scratch, std::size_t count, std::uint64_t varying) {
  const int high = 63 - std::countl_zero(varying);
  const int bits = 2 * static_cast<int>(std::bit_width(count)) > 16 && count > 2048 ? 24 : 16;
  const int low = std::max(high + 1 - bits, std::countr_zero(varying));
  SortByDigits(rows, scratch, count, low, high);
  if (!InsertionSort(rows, count, 4 * count)) {
    SortByDigits(rows, scratch, count, std::countr_zero(varying), high);
  }
}

// Sorts rows[0, count), whose result is to lie in `rows` or, if `into_other`, in `other`.
void SortRange(KeyedRow* rows, KeyedRow* other, std::size_t count, bool into_other) {
  if (count <= kFewRows) {
    if (into_other) {
      CopyKeyedRows(rows, other, count);
      rows = other;
    }
    InsertionSort(rows, count, count * count);
    return;
  }
  const Spread spread = Inspect(rows, count);
  if (spread.sorted || count <= kCacheRows) {
    if (!spread.sorted) SortInCache(rows, other, count, spread.varying);
    if (into_other) CopyKeyedRows(rows, other, count);
    return;
  }
  const int high = 63 - std::countl_zero(spread.varying);
  std::size_t ends[kBuckets];
  Partition(rows, other, count, std::max(0, high - 7), ends);
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    if (end > begin) SortRange(other + begin, rows + begin, end - begin, !into_other);
    begin = end;
  }
}

}  // namespace

void SortKeyedRows(KeyedRow* rows, KeyedRow* scratch, std::size_t count) {
  SortRange(rows, scratch, count, false);
}

}  // namespace headrace
