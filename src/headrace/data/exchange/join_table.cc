#include "headrace/data/exchange/join_table.h"

#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <utility>

namespace headrace {

Result<JoinTable> JoinTable::Make(const arrow::Table& keys, arrow::MemoryPool* pool) {
  if (keys.num_rows() >= kNoGroup) {
    return Status::CapacityError("more than 2^32 - 2 rows on the right side of one join task");
  }
  JoinTable table;
  arrow::DataTypeVector types;
  for (const auto& field : keys.fields()) types.push_back(field->type());
  ARROW_ASSIGN_OR_RAISE(table.groups_, GroupTable::Make(types, GroupTable::Use::kJoin, pool));
  auto& groups = table.group_of_row_;
  groups.resize(static_cast<std::size_t>(keys.num_rows()));
  arrow::TableBatchReader reader(keys);
  reader.set_chunksize(64 << 10);
  std::int64_t row = 0;
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (!batch) break;
    ARROW_RETURN_NOT_OK(
        table.groups_->Add(batch->columns(), batch->num_rows(), groups.data() + row));
    row += batch->num_rows();
  }
  const auto num_groups = static_cast<std::size_t>(table.groups_->num_groups());
  table.met_.resize(num_groups);
  table.begins_.resize(num_groups + 1);
  for (const std::uint32_t group : groups) {
    if (group != kNoGroup) ++table.begins_[group + 1];
  }
  for (std::size_t i = 1; i <= num_groups; ++i) table.begins_[i] += table.begins_[i - 1];
  table.unique_ = table.begins_.back() == num_groups;
  table.rows_.resize(table.begins_.back());
  std::vector<std::uint32_t> next(table.begins_.begin(), table.begins_.end() - 1);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != kNoGroup) table.rows_[next[groups[i]]++] = static_cast<std::uint32_t>(i);
  }
  return table;
}

std::vector<std::uint32_t> JoinTable::RowsThatMet(bool met) const {
  std::vector<std::uint32_t> rows;
  for (std::size_t i = 0; i < group_of_row_.size(); ++i) {
    const std::uint32_t group = group_of_row_[i];
    if ((group != kNoGroup && met_[group]) == met) rows.push_back(static_cast<std::uint32_t>(i));
  }
  return rows;
}

}  // namespace headrace
