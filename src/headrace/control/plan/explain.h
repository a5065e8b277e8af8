#pragma once

#include <string>

#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// The one text form of plans: a line per operator, the output first, inputs indented below it
/// by "+- ". Kinds and names are those of ray.data, then what the rules pushed into it:
/// "MapBatches[MapBatches(f)]\n+- Read[ReadParquet] (columns=[a], filter=b > 1)\n".
std::string Explain(const LogicalPtr& plan);

/// The same for lowered plans, with compute, cost, lane and order:
/// "ActorPoolMapOperator[ReadParquet->MapBatches(C)] (tasks=2, actors=1, cpu=1, process)\n".
std::string Explain(const PhysicalPlan& plan);

}  // namespace headrace
