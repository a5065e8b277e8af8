#pragma once

#include <string>

#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// The one text form of plans: a line per operator, the output first, inputs indented below it
/// by "+- ". "MapBatches(f)\n+- ReadParquet\n".
std::string Explain(const LogicalPtr& plan);

/// Names as after fusion, with compute, cost and order.
std::string Explain(const PhysicalPlan& plan);

}  // namespace headrace
