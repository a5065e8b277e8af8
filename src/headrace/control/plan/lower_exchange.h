#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/program.h"

namespace headrace {

/// What the blocks of an exchange's tasks look like.
enum class ReduceShape : std::uint8_t {
  kTarget,    // Blocks of the target sizes.
  kOneBlock,  // One block a task: somebody counts them.
  kAsMade,    // As the steps made them, for these put whole groups into a block.
};

/// The parts of an operator that needs all of its input.
struct ExchangeParts {
  std::vector<std::vector<Step>>
      map_sides;                            // One for each input; no steps: its blocks as they are.
  ExchangeOperator exchange;                // Without its program.
  std::optional<std::vector<Step>> reduce;  // Unset: no tasks.
  ReduceShape shape = ReduceShape::kTarget;
};

/// Chooses the map side, the kind of exchange and the reduce side of `op`, which is one of those
/// that need all of their input; a zip has two inputs here.
///
/// Rows are scattered to as many buckets as blocks are asked for; else to a power of two of them,
/// one for 16 MiB of what the sources are known to hold, from 64 to 4096; 256 where that is not
/// known. How many of them make a partition is decided when their sizes are there.
///
/// Joins: where the kind of join lets the left side's rows be joined apart from each other, and the
/// right side looks like the smaller one, its real size decides
/// (ExchangeOperator::broadcast_bytes). A side of surely no more than 16 MiB (BoundBytes) goes
/// to each task of the other one's blocks (kBroadcast) where that cannot be done, as with a left
/// side that is the smaller one.
ExchangeParts PlanExchange(const LogicalOperator& op);

/// Returns the bytes that `plan` yields, as far as its sources tell: a guess, for functions may
/// make more or less of them. Unset: no source tells.
std::optional<std::int64_t> GuessBytes(const LogicalPtr& plan);

/// Returns GuessBytes() less what filters and columns that are left out may take away: the columns
/// of a source count alike, and each term of a predicate keeps a share of the rows that depends on
/// its kind alone (Selinger et al., "Access path selection in a relational database management
/// system", 1979). Good for telling much from little.
std::optional<double> EstimateBytes(const LogicalPtr& plan);

/// Returns the bytes that `plan` yields at most, or unset if that does not follow from the plan: of
/// blocks that are there, and of columns of fixed width whose rows are known.
std::optional<std::int64_t> BoundBytes(const LogicalPtr& plan);

}  // namespace headrace
