#pragma once

#include <functional>
#include <optional>

#include "headrace/base/status.h"
#include "headrace/block/block.h"

namespace headrace {

class Execution;

/// Returns the next block of a run and gives its reference back: the block pins its own memory.
/// Nothing at the end.
Result<std::optional<Block>> NextBlock(Execution& execution, std::int64_t prefetch = 1);

/// Calls `visit` for each block of a run, in order of arrival, until the end or an error.
Status ForEachBlock(Execution& execution, const std::function<Status(const Block&)>& visit);

/// The same for what is known of the blocks, which are never loaded.
Status ForEachHandle(Execution& execution, const std::function<Status(const BlockHandle&)>& visit);

}  // namespace headrace
