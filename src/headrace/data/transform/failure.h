#pragma once

#include <string>

#include "headrace/base/status.h"
#include "headrace/data/transform/function.h"

namespace headrace {

/// Returns "file a.parquet, rows 0–99", "rows 0–99 of the task's input, from a.csv and 2 more
/// files", or "" if nothing is known.
std::string DescribeOrigin(const Origin& origin);

/// Returns the failure of a status that carries none yet. What another detail says (the system's
/// error text, say) becomes part of the message.
Failure MakeFailure(FailureKind kind, const Status& status, std::string context);

/// Returns `status` with a FailureDetail of this kind and the text of `origin` as context. A status
/// that carries a detail keeps its kind, and its context unless that is empty. OK and Cancelled
/// pass as they are.
Status AddOrigin(const Status& status, FailureKind kind, const Origin& origin);

/// Returns `status` with "operator `name`" before its context; a context that begins with a newline
/// has lines of its own. OK and Cancelled pass as they are.
Status AddOperator(const Status& status, const std::string& name);

}  // namespace headrace
