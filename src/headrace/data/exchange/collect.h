#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/data/transform/step.h"

namespace arrow {
class Table;
}

namespace headrace {

/// All rows of a task as one table, of as many chunks as there were batches, unified by Arrow's
/// promotion rules.
struct Collected {
  std::shared_ptr<arrow::Table> table;
  Origin origin;
};

/// Pulls `input` to its end. Nothing if it yields no batch.
Result<std::optional<Collected>> CollectRows(BatchStream* input, const TaskContext& context);

/// Joins batches. Requires: not empty. Empties `batches`.
Result<Collected> JoinBatches(std::vector<Batch>* batches, const TaskContext& context);

Status CheckCancelled(const TaskContext& context);

/// Returns how many rows of `table` have about `bytes` bytes, at least one.
std::int64_t RowsOfBytes(const arrow::Table& table, std::int64_t bytes);

}  // namespace headrace
