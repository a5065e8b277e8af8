#pragma once

#include "headrace/data/pipeline/pipeline.h"
#include "headrace/data/transform/step.h"

namespace headrace {

/// Joins the steps of `program` to one stream over `input`:
///
///   units ─▶ read ─┐
///                  ├─▶ step ─▶ [rebatch | join] ─▶ function ─▶ … ─▶ (write)
///   blocks ────────┘
///
/// `program`, `context` and `stats` must outlive the stream; it counts rows_in and what functions
/// tell.
Result<StreamPtr> MakeChain(const TaskProgram& program, TaskInput&& input,
                            const TaskContext& context, TaskStats* stats);

}  // namespace headrace
