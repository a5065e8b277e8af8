#pragma once

#include "headrace/base/status.h"

namespace headrace {

/// Registers Arrow's compute functions and dataset factories; once per process, from any thread.
Status InitializeArrow();

}  // namespace headrace
