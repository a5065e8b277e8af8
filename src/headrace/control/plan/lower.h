#pragma once

#include "headrace/base/status.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// What lowering needs to know of the place where the plan will run.
struct LoweringContext {
  ExecutionOptions options;
  Resources capacity;       // Of the backend.
  std::uint64_t seed = 0;
  std::uint64_t next_program_id = 1;  // Programs are numbered from here, unique in the process.
};

/// Makes one physical operator per logical one, without fusion (a rule of the physical optimizer).
///
/// Read parallelism: `parallelism` tasks if asked, else so many that a task reads between
/// target_min and target_max bytes, at least two per cpu when the data allow it; units are
/// grouped in order, and never split.
Result<PhysicalPlan> Lower(const LogicalPtr& plan, LoweringContext* context);

}  // namespace headrace
