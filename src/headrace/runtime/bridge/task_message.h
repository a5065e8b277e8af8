#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/data/pipeline/pipeline.h"
#include "headrace/protocol/event.h"

// What crosses a bridge, as bytes: a task's order on the way there; each block's info, and a
// report at the end, on the way back.

namespace headrace {

/// Differs between libraries that do not understand each other.
inline constexpr std::uint32_t kBridgeWireVersion = 1;

/// An order as the other side reads it: all of the task's input but the rows of its blocks.
struct RemoteOrder {
  TaskInput input;  // Without blocks; `infos` and those of sides are there.
  std::vector<RowRange> ranges;
  std::uint32_t skip_outputs = 0;
};

/// `infos` are those of the order's inputs, in order.
std::string EncodeOrder(TaskId task, const TaskOrder& order, const std::vector<BlockInfo>& infos);
Result<RemoteOrder> DecodeOrder(std::string_view bytes);

/// The info of one output, with its number among the outputs of the task.
std::string EncodeOutput(std::uint32_t index, const BlockInfo& info);
struct RemoteOutput {
  std::uint32_t index = 0;
  BlockInfo info;
};
Result<RemoteOutput> DecodeOutput(std::string_view bytes);

/// How a task ended.
struct TaskReport {
  std::optional<Failure> failure;
  TaskStats stats;
};
std::string EncodeReport(const TaskReport& report);
Result<TaskReport> DecodeReport(std::string_view bytes);

/// Returns `table` with `num_rows` rows: one without columns forgets them on its way.
std::shared_ptr<arrow::Table> WithRows(std::shared_ptr<arrow::Table> table, std::int64_t num_rows);

std::string EncodeFailure(const Failure& failure);
Result<Failure> DecodeFailure(std::string_view bytes);

}  // namespace headrace
