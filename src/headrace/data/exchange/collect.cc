#include "headrace/data/exchange/collect.h"

#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/block/block_builder.h"

namespace headrace {

Status CheckCancelled(const TaskContext& context) {
  if (context.cancelled && context.cancelled->load(std::memory_order_relaxed)) {
    return Status::Cancelled("the task was cancelled");
  }
  return Status::OK();
}

Result<Collected> JoinBatches(std::vector<Batch>* batches, const TaskContext& context) {
  std::vector<Block> blocks;
  std::vector<Origin> origins;
  for (Batch& batch : *batches) {
    origins.push_back(std::move(batch.origin));
    blocks.push_back(std::move(batch.block));
  }
  batches->clear();
  std::vector<FileList> files;
  for (const Origin& origin : origins) files.push_back(origin.files);
  ARROW_ASSIGN_OR_RAISE(Block joined, JoinBlocks(blocks, context.pool, files));
  return Collected{joined.table(), MergeOrigins(origins)};
}

Result<std::optional<Collected>> CollectRows(BatchStream* input, const TaskContext& context) {
  std::vector<Batch> batches;
  while (true) {
    ARROW_RETURN_NOT_OK(CheckCancelled(context));
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input->Next());
    if (!batch) break;
    // One without rows is kept for its schema only.
    if (!batches.empty() && batches.back().block.num_rows() == 0) batches.pop_back();
    if (batch->block.num_rows() > 0 || batches.empty()) batches.push_back(*std::move(batch));
  }
  if (batches.empty()) return std::nullopt;
  ARROW_ASSIGN_OR_RAISE(Collected all, JoinBatches(&batches, context));
  return all;
}

std::int64_t RowsOfBytes(const arrow::Table& table, std::int64_t bytes) {
  const std::int64_t all = std::max<std::int64_t>(1, MeasureBytes(table));
  const double rows =
      static_cast<double>(table.num_rows()) * static_cast<double>(bytes) / static_cast<double>(all);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(rows));
}

}  // namespace headrace
