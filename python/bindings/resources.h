#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "headrace/base/resources.h"
#include "headrace/control/plan/logical_plan.h"

namespace headrace::python {

/// Resources as Python users write them: fractions of a cpu, not thousandths.
struct PyResources {
  double cpu = 0;
  double gpu = 0;
  std::int64_t memory = 0;
  std::map<std::string, double> custom;
};

using Placement = logical::Placement;

/// Rounds to thousandths, at least one for any amount above zero. Raises ValueError for negative
/// amounts.
Resources ToResources(const PyResources& amounts);
PyResources FromResources(const Resources& resources);

}  // namespace headrace::python
