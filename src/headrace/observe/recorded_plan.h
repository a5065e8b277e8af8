#pragma once

#include "headrace/base/status.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/scheduler.h"

// What a scheduler is made of, as bytes: the start of an event log.
//
// A program is written as far as decisions depend on it: its name, its first step where that is
// one of an exchange or a limit, and the paths of the files that it reads. So a log holds no
// function, no row, no expression and no credential.

namespace headrace {

class WireReader;
class WireWriter;

void WritePlan(const PhysicalPlan& plan, WireWriter* out);
Result<PhysicalPlan> ReadPlan(WireReader* in);

/// Without `event_log_path` and `policies`.
void WriteExecutionOptions(const ExecutionOptions& options, WireWriter* out);
ExecutionOptions ReadExecutionOptions(WireReader* in);

void WriteTraits(const BackendTraits& traits, WireWriter* out);
BackendTraits ReadTraits(WireReader* in);

}  // namespace headrace
