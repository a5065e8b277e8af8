#pragma once

#include <arrow/type_fwd.h>

#include <optional>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace arrow::compute {
class FunctionOptions;
}

namespace headrace {

/// Returns whether ComputeDecimals() knows the function: a sum, a difference, a product, a
/// comparison, a cast.
bool IsDecimalFunction(const std::string& function);

/// Computes what Arrow's kernel would, value by value and type by type, for decimals of 128 bits:
/// Arrow's calls a function for each row. Returns nothing where it has no form for the arguments,
/// or something is wrong with them: Arrow is to be asked then. Requires: IsDecimalFunction().
Result<std::optional<arrow::Datum>> ComputeDecimals(const std::string& function,
                                                    const std::vector<arrow::Datum>& arguments,
                                                    const arrow::compute::FunctionOptions* options,
                                                    arrow::MemoryPool* pool);

}  // namespace headrace
