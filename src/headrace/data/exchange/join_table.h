#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/group_table.h"

namespace headrace {

/// The rows of one side of a join by their keys. Threads: one at a time, but const methods from any
/// thread.
class JoinTable {
 public:
  static constexpr std::uint32_t kNoGroup = GroupTable::kNoGroup;

  /// `keys`: the key columns alone. Rows with a null key are in no group.
  static Result<JoinTable> Make(const arrow::Table& keys, arrow::MemoryPool* pool);

  /// Writes the group of each row of the other side, whose keys have the same types.
  Status Find(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* groups) const {
    return groups_->Find(keys, rows, groups);
  }

  /// Returns the rows of a group, in order.
  std::span<const std::uint32_t> Rows(std::uint32_t group) const {
    if (unique_) return {&rows_[group], 1};
    return {rows_.data() + begins_[group], begins_[group + 1] - begins_[group]};
  }

  /// Notes that the other side has rows of this group.
  void Meet(std::uint32_t group) { met_[group] = 1; }

  /// The same by rows of this side.
  void MeetRows(const std::vector<std::uint32_t>& rows) {
    for (const std::uint32_t row : rows) Meet(group_of_row_[row]);
  }

  /// Returns the rows whose group was met, or those whose group was not (or that have none), in
  /// order.
  std::vector<std::uint32_t> RowsThatMet(bool met) const;

 private:
  JoinTable() = default;

  std::unique_ptr<GroupTable> groups_;
  std::vector<std::uint32_t> group_of_row_;
  std::vector<std::uint32_t> rows_;    // In order of groups.
  std::vector<std::uint32_t> begins_;  // Where each group's begin in rows_; and the end.
  std::vector<std::uint8_t> met_;
  bool unique_ = false;  // No group has two rows.
};

/// The right side of a join, ready to be probed. Several tasks may share one that none of them
/// notes meetings in.
struct JoinSide {
  JoinTable table;
  RowGatherer columns;  // That leave.
};

}  // namespace headrace
