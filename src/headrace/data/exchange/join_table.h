#pragma once

#include <arrow/type_fwd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/group_table.h"
#include "headrace/data/exchange/hash_slots.h"

namespace headrace {

/// The groups of one side of a join whose one key is a whole number, a date or a time, and whose
/// values lie not too far apart, as those of numbered rows do. Where they lie close together, a
/// list of the groups by value; else a bit for each value, and a list of the groups of those that
/// there are: what is not there is told by a bit, and both are small beside a hash table. Threads:
/// const methods from any thread.
class DenseGroups {
 public:
  /// Numbers the groups of all rows as GroupTable does for joins; `groups` has room for them.
  /// Returns null, and writes nothing, where the keys are of another kind or too far apart.
  static std::unique_ptr<DenseGroups> Make(const arrow::ChunkedArray& keys, std::uint32_t* groups);

  /// Writes the group of each key, GroupTable::kNoGroup where there is none. Requires: the type of
  /// the keys that it was made of.
  void Find(const arrow::Array& keys, std::uint32_t* groups) const;

  std::size_t num_groups() const { return num_groups_; }

 private:
  // 32 values: which of them are keys, and how many keys are less than all of them.
  struct Word {
    std::uint32_t bits;
    std::uint32_t before;
  };

  DenseGroups(std::uint64_t least, std::uint64_t range, std::size_t num_words, std::size_t listed)
      : least_(least), range_(range), words_(num_words), numbers_(listed) {}

  template <class T>
  static std::unique_ptr<DenseGroups> MakeOf(const arrow::ChunkedArray& keys,
                                             std::uint32_t* groups);
  // Fills words_; returns the number of keys that differ.
  template <class T>
  static std::size_t MarkKeys(const arrow::ChunkedArray& keys, std::uint64_t least,
                              group_table::Zeroed<Word>* words);

  // Returns the place in numbers_ of the value that is `at` above the least, or kNowhere. Requires:
  // at < range_.
  template <bool kMarked>
  [[gnu::always_inline]] inline std::size_t PlaceOf(std::uint64_t at) const;
  template <bool kMarked>
  void FindIn(const arrow::Array& keys, std::uint32_t* groups) const;

  static constexpr std::size_t kNowhere = SIZE_MAX;

  std::uint64_t least_;                         // Of the keys, its sign drawn out to 64 bits.
  std::uint64_t range_;                         // The last key is less than this above the least.
  group_table::Zeroed<Word> words_;             // None: the list has a place for each value.
  group_table::Zeroed<std::uint32_t> numbers_;  // Of the groups, and 1. 0: none.
  std::size_t num_groups_ = 0;
};

/// The rows of one side of a join by their keys. Threads: one at a time, but const methods from any
/// thread.
class JoinTable {
 public:
  static constexpr std::uint32_t kNoGroup = GroupTable::kNoGroup;

  /// `keys`: the key columns alone. Rows with a null key are in no group.
  static Result<JoinTable> Make(const arrow::Table& keys, arrow::MemoryPool* pool);

  /// Writes the group of each row of the other side, whose keys have the same types.
  Status Find(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* groups) const;

  /// Whether each row is a group of its own, and has its number.
  bool groups_are_rows() const { return groups_are_rows_; }

  /// Returns the rows of a group, in order. Requires: not groups_are_rows().
  std::span<const std::uint32_t> Rows(std::uint32_t group) const {
    return {rows_.data() + begins_[group], begins_[group + 1] - begins_[group]};
  }

  /// Notes that the other side has rows of this group.
  void Meet(std::uint32_t group) { met_[group] = 1; }

  /// The same by rows of this side.
  void MeetRows(const std::vector<std::uint32_t>& rows) {
    for (const std::uint32_t row : rows) Meet(groups_are_rows_ ? row : group_of_row_[row]);
  }

  /// Returns the rows whose group was met, or those whose group was not (or that have none), in
  /// order.
  std::vector<std::uint32_t> RowsThatMet(bool met) const;

 private:
  JoinTable() = default;

  // Sets what tells the rows of each group. `groups`: of each row.
  void SetRows(std::vector<std::uint32_t> groups, std::size_t num_groups);

  std::unique_ptr<DenseGroups> dense_;  // Or null,
  std::unique_ptr<GroupTable> groups_;  // then this one.
  bool groups_are_rows_ = false;        // Then the next three are empty.
  std::vector<std::uint32_t> group_of_row_;
  std::vector<std::uint32_t> rows_;    // In order of groups.
  std::vector<std::uint32_t> begins_;  // Where each group's begin in rows_; and the end.
  std::vector<std::uint8_t> met_;
};

/// The right side of a join, ready to be probed. Several tasks may share one that none of them
/// notes meetings in.
struct JoinSide {
  JoinTable table;
  RowGatherer columns;  // That leave.
};

}  // namespace headrace
