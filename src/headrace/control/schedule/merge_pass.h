#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "headrace/control/schedule/exchange_plan.h"

// Merges of sorted runs before the last one, where they are many and lie on disk.
//
// A task of the last merge reads its range of keys from every run. Of many runs it has little of
// each, and would read much more than that from all over the disk, and hold it. So no task reads
// more runs than its fan-in; while there are more, a pass makes one run of several that follow
// each other (so the merge stays stable): of so few that the next pass or the last merge may read
// what is left, and of those that have the fewest bytes. With a fan-in f, runs f * f need one pass.
//
// Runs that have less than their piece each are first merged by as many as make a partition, which
// one task reads as a whole.
//
// A pass is shared out as the last merge is: each of its tasks has a range of keys of one group of
// runs, and what the tasks of a group yield, in their order, is the new run.

namespace headrace {

/// How many runs one merging task may read: so many that it has some 128 KiB of each, by the size
/// of partitions, which the budget bounds.
std::int64_t MergeFanIn(const ExchangeOperator& spec, std::int64_t total_bytes,
                        const ExchangePlace& place);

/// Returns the program of the tasks of a pass: it merges, and what it yields is one run again, with
/// an index. Null: `spec` is no merge of runs.
ProgramPtr MergeProgram(const ExchangeOperator& spec);

/// Says which blocks of an input, in order of position, belong to one run: its first blocks, and
/// the number of blocks at the end.
std::vector<std::uint32_t> FindRuns(const InputInfos& blocks);

/// The tasks of one pass. Every block is named by its index in the input.
class MergePass {
 public:
  std::uint32_t num_tasks() const { return num_tasks_; }

  /// As in ExchangePlan. Requires, for a block: it is merged().
  ExchangeWork WorkOf(std::uint32_t task) const;
  std::pair<std::uint32_t, std::uint32_t> TasksOf(std::uint32_t block) const;
  /// Whether the block is read by the pass; others stay as they are.
  bool merged(std::uint32_t block) const;

  /// Calls `keep(block)` for each block that stays and `take(task, first)` for each task whose
  /// outputs come in that place, all in the new order. `first`: the first block of its group,
  /// whose position without the last number is that of the new run.
  void ForEach(const std::function<void(std::uint32_t block)>& keep,
               const std::function<void(std::uint32_t task, std::uint32_t first)>& take) const;

 private:
  friend Result<std::optional<MergePass>> MakeMergePass(const ExchangeOperator& spec,
                                                        const InputInfos& blocks,
                                                        const ExchangePlace& place);
  struct Group {
    std::uint32_t begin = 0, end = 0;  // Blocks.
    std::uint32_t first_task = 0;
    std::unique_ptr<ExchangePlan> plan;  // Of these blocks alone.
  };
  const Group& GroupOf(std::uint32_t task) const;

  std::vector<Group> groups_;  // In order.
  std::uint32_t num_blocks_ = 0;
  std::uint32_t num_tasks_ = 0;
};

/// Returns the next pass over `blocks`, an input of a kRuns exchange in order, or nothing if the
/// last merge may read them: their runs are few, or they fit into the budget. Infos must outlive
/// the pass.
Result<std::optional<MergePass>> MakeMergePass(const ExchangeOperator& spec,
                                               const InputInfos& blocks,
                                               const ExchangePlace& place);

}  // namespace headrace
