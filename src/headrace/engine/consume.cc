#include "headrace/engine/consume.h"

#include "headrace/engine/execution.h"
#include "headrace/runtime/backend.h"

namespace headrace {

namespace {

// How many blocks to ask for at once where all are taken as they come: the budget bounds them.
constexpr std::int64_t kTakesAll = 128;

}  // namespace

Result<std::optional<Block>> NextBlock(Execution& execution, std::int64_t prefetch) {
  ARROW_ASSIGN_OR_RAISE(std::optional<BlockHandle> handle, execution.Next(prefetch));
  if (!handle) return std::nullopt;
  Result<Block> block = execution.backend().Get(handle->object);
  execution.backend().Release({&handle->object, 1});
  ARROW_RETURN_NOT_OK(block.status());
  return *std::move(block);
}

Status ForEachBlock(Execution& execution, const std::function<Status(const Block&)>& visit) {
  while (true) {
    ARROW_ASSIGN_OR_RAISE(std::optional<Block> block, NextBlock(execution, kTakesAll));
    if (!block) return Status::OK();
    ARROW_RETURN_NOT_OK(visit(*block));
  }
}

Status ForEachHandle(Execution& execution, const std::function<Status(const BlockHandle&)>& visit) {
  while (true) {
    ARROW_ASSIGN_OR_RAISE(std::optional<BlockHandle> handle, execution.Next(kTakesAll));
    if (!handle) return Status::OK();
    const Status status = visit(*handle);
    execution.backend().Release({&handle->object, 1});
    ARROW_RETURN_NOT_OK(status);
  }
}

}  // namespace headrace
