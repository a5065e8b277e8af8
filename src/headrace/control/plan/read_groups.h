#pragma once

#include <cstdint>
#include <vector>

#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// Divides the units of a read over tasks; see Lower() for how many and which.
std::vector<UnitGroup> GroupUnits(const logical::Read& read, const ExecutionOptions& options,
                                  std::int64_t cpu_milli);

}  // namespace headrace
