#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/exchange.h"

// Which rows of which block for which task: what an exchange decides when its inputs have ended.
//
// Partitions are made as large as keeps 64 of them, but 1 MiB at least and 32 MiB at most, which
// is what a task holds beside its output; and no larger than a quarter of each cpu's share of the
// budget. All that is below 1 MiB is one partition. Where tasks are dear there are fewer: none
// below what makes one worth its start, but two for each cpu. A shuffle looks at the data alone, so
// that its result does not depend on the place.
//
// Skew. Equal keys of a sort are shared out by runs. Rows of one bucket stay together, but where a
// join's bucket is over twice the size of a partition, its larger side is shared out if the join
// allows it, and each of the tasks has all of the other side's bucket.

namespace headrace {

/// Where an exchange will run.
struct ExchangePlace {
  std::int64_t cpus = 1;
  std::int64_t budget_bytes = INT64_MAX;
  std::int64_t task_bytes = 0;  // With fewer, a task costs more to start than to run.
};

/// Rows of one block, by its index in the plan: the blocks of input 0, then those of input 1.
struct BlockPart {
  std::uint32_t block = 0;
  RowRange range;
};

/// What one task works on.
struct ExchangeWork {
  std::vector<BlockPart> parts;
  std::uint32_t left_parts = 0;  // The first parts are of input 0.
  std::optional<KeyRange> keys;
};

/// The tasks of one exchange. Every block is named by its index; see BlockPart.
class ExchangePlan {
 public:
  virtual ~ExchangePlan() = default;
  virtual std::uint32_t num_tasks() const = 0;

  /// Returns what task `task` works on; takes time in the number of blocks. Where an input has no
  /// rows for it, there is its first block with the range [0, 0), for the schema.
  virtual ExchangeWork WorkOf(std::uint32_t task) const = 0;

  /// Returns the first and the last task that may have a part of `block`; none: first > last.
  virtual std::pair<std::uint32_t, std::uint32_t> TasksOf(std::uint32_t block) const = 0;
};

/// Infos of an input's blocks, in order of position. They must outlive the plan.
using InputInfos = std::vector<const BlockInfo*>;

/// Shares out the blocks of `inputs` as `spec` says. Not for kBroadcast and kRowBatches, which
/// wait for nothing, and kPermuted, which has no tasks. Fails where the inputs do not fit together:
/// a zip of different numbers of rows.
Result<std::unique_ptr<ExchangePlan>> MakeExchangePlan(const ExchangeOperator& spec,
                                                       std::vector<InputInfos> inputs,
                                                       const ExchangePlace& place);

}  // namespace headrace
