#pragma once

#include <cstdint>
#include <vector>

#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/order_buffer.h"

namespace headrace {

/// How the outputs of an operator's tasks leave it.
struct OutputOrder {
  bool ordered = false;                          // In the tasks' order; else as they come,
  std::int64_t large_rows = OrderBuffer::kNone;  // and so do blocks of so many rows in any case.
};

/// Says for each operator how its outputs must leave: in order where it is asked for, and above all
/// operators whose result depends on the order of their input. Where only the joining of small
/// blocks does, behind a source or a map, large ones need not wait.
std::vector<OutputOrder> OutputOrders(const PhysicalPlan& plan);

}  // namespace headrace
