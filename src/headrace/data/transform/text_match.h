#pragma once

#include <arrow/type_fwd.h>

#include <optional>
#include <string>

#include "headrace/base/status.h"

namespace arrow::compute {
class FunctionOptions;
}

namespace headrace {

/// Returns whether MatchText() knows the function: whether text has a part, or is like a pattern.
bool IsTextMatch(const std::string& function);

/// Computes what Arrow's kernel would for texts that have parts in an order ("%a%b%"): Arrow's runs
/// a regular expression, or looks at each byte. Returns nothing for other patterns, types and
/// options, and where Arrow is as fast: it is to be asked then. Requires: IsTextMatch().
Result<std::optional<arrow::Datum>> MatchText(const std::string& function,
                                              const arrow::Datum& texts,
                                              const arrow::compute::FunctionOptions* options,
                                              arrow::MemoryPool* pool);

}  // namespace headrace
