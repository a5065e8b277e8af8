#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/control/plan/logical_plan.h"
#include "headrace/protocol/program.h"

// Which columns flow where: what Validate and the rules need to know of names, without types.

namespace headrace {

/// Returns the names of the columns that `plan` yields, in order, if they follow from the plan
/// alone, else unset.
std::optional<std::vector<std::string>> InferColumns(const LogicalPtr& plan);

/// Returns what the output column `name` of a projection is, as an expression of its input's
/// columns, or null if the projection does not yield it. A kept column is taken to be there.
ExprPtr ResolveColumn(const ProjectStep& projection, std::string_view name);

/// Returns the projection's whole output as expressions of its input, in order. Columns that the
/// projection names but the input lacks are passed over; Validate reports them.
std::vector<NamedExpr> ExpandProjection(const ProjectStep& projection,
                                        const std::vector<std::string>& input_columns);

/// Returns `e` in terms of the projection's input, or null if a column of `e` is not yielded.
ExprPtr SubstituteProjection(const ExprPtr& e, const ProjectStep& projection);

/// Returns true if each output column is the input column of the same name.
bool IsSelection(const std::vector<NamedExpr>& exprs);

}  // namespace headrace
