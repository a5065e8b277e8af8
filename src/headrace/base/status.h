#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

namespace headrace {

using arrow::Result;
using arrow::Status;

}  // namespace headrace
