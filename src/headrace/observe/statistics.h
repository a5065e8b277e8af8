#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/time.h"
#include "headrace/control/schedule/scheduler.h"

// What a run did, as text. Pure.

namespace headrace {

/// What a run did besides its operators' work.
struct RunTotals {
  Duration elapsed;
  std::int64_t peak_charged_bytes = 0;
};

/// Renders what each operator did in the form that users of ray.data know, a block of lines for
/// each operator:
///
///   Operator 1 ReadRange->MapBatches(f): 10 tasks executed, 10 blocks produced in 0.52s
///   * Remote wall time: 1.38ms min, 5.1ms max, 3.24ms mean, 6.48ms total
///   ...
///   * Waited for: 80% consumer, 15% no credit, 5% no cpu
///
/// The last line of a block splits the time in which the operator could not start a task by
/// reason; time in which there was nothing to wait for is left out. No operators: "".
std::string RenderStatistics(const std::vector<OperatorState>& operators, const RunTotals& totals);

/// Renders a duration with a unit that suits it: "5.1us", "1.38ms", "0.52s".
std::string RenderDuration(double nanos);

/// Renders bytes with a unit that suits them: "17B", "1.5KiB", "64MiB".
std::string RenderBytes(double bytes);

}  // namespace headrace
