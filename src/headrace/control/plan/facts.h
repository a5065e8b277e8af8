#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/status.h"

// What follows from one operator, whose inputs know what follows from them. LogicalOperator::Make
// keeps it, for each verb asks again about all that is below it.

namespace arrow {
class Schema;
}  // namespace arrow

namespace headrace {

class LogicalOperator;

/// As InferSchema().
std::shared_ptr<arrow::Schema> FindSchema(const LogicalOperator& op);

/// As InferColumns().
std::optional<std::vector<std::string>> FindColumns(const LogicalOperator& op);

/// As Validate().
Status FindFault(const LogicalOperator& op);

}  // namespace headrace
