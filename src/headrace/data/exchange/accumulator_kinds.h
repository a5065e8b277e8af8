#pragma once

#include <arrow/buffer.h>
#include <arrow/util/bit_util.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/data/exchange/accumulator.h"
#include "headrace/data/exchange/growing.h"

// The accumulators by file, and what they share.

namespace headrace::accumulator {

using Ptr = std::unique_ptr<Accumulator>;

/// What is known when one is made. `column` is not a dictionary.
struct Setting {
  AggregateSpec aggregate;
  std::shared_ptr<arrow::DataType> column;
  std::shared_ptr<arrow::DataType> result;
  arrow::MemoryPool* pool;
};

Ptr MakeCount(Setting setting);  // accumulator_count.cc; the shares too.
Ptr MakeShare(Setting setting);
Result<Ptr> MakeNumber(Setting setting);  // accumulator_number.cc: sum, min, max, abs_max.
Ptr MakeMoments(Setting setting);         // accumulator_moments.cc: mean, std.
Ptr MakeText(Setting setting);            // accumulator_text.cc: min and max of text.
Ptr MakeList(Setting setting);            // accumulator_list.cc
Result<Ptr> MakeUnique(Setting setting);
Ptr MakeQuantile(Setting setting);  // accumulator_quantile.cc
Ptr MakeFirst(Setting setting);     // accumulator_first.cc

/// Of each group: were there values, was there a null? Costs nothing until a first null is seen.
class Seen {
 public:
  void Resize(std::int64_t groups);
  bool tracks() const { return tracks_; }
  /// From now on the rows of every group must be noted.
  void Track();
  /// Says that all groups that there are have rows by now.
  void EndRows() { with_rows_ = groups_; }
  void NoteValue(std::uint32_t group) { bits_[group] |= kValue; }
  void NoteNull(std::uint32_t group) { bits_[group] |= kNull; }

  bool HasValue(std::int64_t group) const {
    return tracks_ ? (bits_[group] & kValue) != 0 : group < with_rows_;
  }
  bool HasNull(std::int64_t group) const { return tracks_ && (bits_[group] & kNull) != 0; }
  /// Returns whether the group's result is a value.
  bool IsValid(std::int64_t group, bool ignore_nulls) const {
    return HasValue(group) && (ignore_nulls || !HasNull(group));
  }

 private:
  enum : std::uint8_t { kValue = 1, kNull = 2 };
  std::vector<std::uint8_t> bits_;
  std::int64_t groups_ = 0;
  std::int64_t with_rows_ = 0;
  bool tracks_ = false;
};

/// Calls apply(state, row) for every row with its group's state. Fetches far states ahead.
template <class State, class Apply>
void ApplyRows(Growing<State>& states, const GroupIds& ids, const Apply& apply) {
  if (!ids.ids) {
    State state = states[0];
    for (std::int64_t i = 0; i < ids.rows; ++i) apply(state, i);
    states[0] = state;
    return;
  }
  constexpr std::int64_t kAhead = 16;
  State* const all = states.data();
  std::int64_t i = 0;
  if (states.size() * sizeof(State) > (512U << 10)) {
    for (; i + kAhead < ids.rows; ++i) {
      __builtin_prefetch(&all[ids.ids[i + kAhead]], 1);
      apply(all[ids.ids[i]], i);
    }
  }
  for (; i < ids.rows; ++i) apply(all[ids.ids[i]], i);
}

inline std::uint32_t GroupOf(const GroupIds& ids, std::int64_t row) {
  return ids.ids ? ids.ids[row] : 0;
}

/// Returns a bitmap of `rows` bits, set where valid(i); null if all are.
template <class Valid>
Result<std::shared_ptr<arrow::Buffer>> MakeValidity(std::int64_t rows, arrow::MemoryPool* pool,
                                                    const Valid& valid) {
  std::shared_ptr<arrow::Buffer> bits;
  for (std::int64_t i = 0; i < rows; ++i) {
    if (valid(i)) continue;
    if (!bits) {
      ARROW_ASSIGN_OR_RAISE(bits, arrow::AllocateBitmap(rows, pool));
      arrow::bit_util::SetBitsTo(bits->mutable_data(), 0, rows, true);
    }
    arrow::bit_util::ClearBit(bits->mutable_data(), i);
  }
  return bits;
}

/// Values by group, put in order of groups.
struct Grouped {
  std::vector<std::uint32_t> order;   // Places of the values of group 0, 1, …; stable.
  std::vector<std::int64_t> offsets;  // Where each group's begin in it; and the end.
};
Grouped GroupValues(const std::vector<std::uint32_t>& groups, std::int64_t num_groups);

}  // namespace headrace::accumulator
