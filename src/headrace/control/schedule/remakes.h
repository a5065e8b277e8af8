#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/block/bundle.h"
#include "headrace/protocol/event.h"

namespace headrace {

/// What is being made again, and for whom. The books of remakes.cc; empty in nearly every run.
struct Remakes {
  using Key = std::pair<OperatorId, std::uint64_t>;  // A task, in all attempts.

  /// Who takes a block: a task of `op` that is to hold it, or, without a task, the operator.
  struct Claim {
    OperatorId op;
    std::optional<std::uint64_t> task;
    friend bool operator==(const Claim&, const Claim&) = default;
  };

  /// A task that is to run again, or does.
  struct Remake {
    // Outputs that did not come yet, by their index. Each who wants one gets a block of its own.
    std::map<std::uint32_t, std::vector<Claim>> wanted;
    bool nested = false;     // Others that have started wait for it: it does not wait for its turn.
    bool started = false;    // It is in its operator's table.
    bool is_deep = false;    // It is started, is not nested, and needs blocks itself.
    bool cut_short = false;  // It passed a wanted output, or was cancelled; then it runs once more.
  };

  std::map<Key, Remake> tasks;
  // Blocks from before the run that another task holds now, and who wants them next.
  std::deque<std::pair<BlockName, Claim>> inputs_waiting;
  std::deque<Key> waiting;    // Those that have not started, in the order of the losses.
  std::int64_t num_deep = 0;  // Of those that have.
  std::map<BlockName, std::int32_t> lost;  // How often, of each block that ever was.
  std::set<ObjectId> held;                 // Lost objects that running tasks hold.
  Failure last_loss;

  bool idle() const { return tasks.empty(); }
  bool has_waiting() const { return !waiting.empty() || !inputs_waiting.empty(); }
};

}  // namespace headrace
