#pragma once

#include <vector>

#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/program.h"

// What follows from the shape of a physical plan. Lowering applies these, and so must every rule
// that changes programs or edges.

namespace headrace {

/// Returns the lane for these steps: the process lane if one calls a Python function.
Lane LaneOf(const std::vector<Step>& steps);

/// Returns true if one of the steps calls a function that needs an instance.
bool HasClass(const std::vector<Step>& steps);

/// Sets keep_order where order is asked for (`preserve_order`) or needed: a limit takes the first
/// rows, which must not depend on timing. The need goes up to the sources, for outputs are only in
/// order if inputs are. What follows a limit stays in order too: the first rows are asked for as
/// such, and the optimizer may have moved the limit below operators that stood before it. So it is
/// with what follows a sort. An exchange puts its own input in order and asks nothing of those
/// above it.
void DeriveOrder(bool preserve_order, PhysicalPlan* plan);

/// Sets shared_output in the programs whose blocks a worker process will read, directly or behind
/// limits and unions, and clears it in the others.
void DeriveSharedOutputs(PhysicalPlan* plan);

}  // namespace headrace
