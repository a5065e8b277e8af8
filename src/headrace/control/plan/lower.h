#pragma once

#include "headrace/base/status.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// What lowering needs to know of the place where the plan will run.
struct LoweringContext {
  ExecutionOptions options;
  Resources capacity;                 // Of the backend.
  std::uint64_t next_program_id = 1;  // Programs are numbered from here, unique in the process.
};

/// Makes one physical operator per logical one, without fusion (a rule of the physical optimizer).
/// A subtree that occurs twice is lowered twice.
///
/// Read parallelism: `parallelism` tasks if asked, else read_op_min_num_blocks, but not so many
/// that a task reads less than target_min bytes nor so few that one reads more than target_max,
/// and at least two per cpu; never more than there are units. Units are grouped in order, by
/// equal bytes where these are known, and never split. With a row limit, units behind the first
/// ones that surely hold so many rows are left out.
Result<PhysicalPlan> Lower(const LogicalPtr& plan, LoweringContext* context);

}  // namespace headrace
