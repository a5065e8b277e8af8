#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/position.h"
#include "headrace/control/plan/physical_plan.h"

// A plan of maps as pieces that are done one by one, so that a run can go on where another was
// stopped.
//
//   read task 0 ──▶ 0.0 ──▶ 0.0.0 ──▶ files        piece 0: all whose position begins with 0
//   read task 3 ──▶ 3.0, 3.1 ──▶ ...               piece 3
//
// A piece is what comes of one task of a source, or of one block that existed before. Its name is
// the position of that task where it reaches the end of the plan: through a union it has the
// input's number first. Nothing in a piece depends on another piece.

namespace headrace {

struct Piece {
  OperatorId op;           // The source.
  std::uint32_t part = 0;  // The first read unit of the task, or the number of the block.
  Position position;       // Every output of the piece has this one as its first parts.
};

/// Makes the plan's pieces independent of each other, and their ends known to the consumer of
/// its execution: bundles of blocks end with their piece. An error names the operator that mixes
/// pieces: a limit, or what needs all of its input.
Status SplitIntoPieces(PhysicalPlan* plan);

/// Returns the pieces of a plan that SplitIntoPieces() took, in order of the sources.
std::vector<Piece> ListPieces(const PhysicalPlan& plan);

/// Takes pieces out of the plan, so that they do not run.
void TakeOutPieces(const std::set<Position>& done, PhysicalPlan* plan);

/// Returns what shapes the output of each operator, by its name: two plans with equal descriptions
/// give equal outputs for equal inputs and functions. Not in it: the contents of functions and of
/// files, what a run draws anew, and what only says where and when tasks run.
std::vector<std::pair<std::string, std::string>> DescribeOutputs(const PhysicalPlan& plan);

}  // namespace headrace
