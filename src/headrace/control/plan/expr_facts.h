#pragma once

#include <map>
#include <memory>
#include <string>

#include "headrace/protocol/expr.h"

// What the planner can tell of an expression without evaluating it.

namespace arrow {
class DataType;
class Schema;
}  // namespace arrow

namespace headrace {

/// Returns the type that `e` has over columns of `schema`, or null if this table of the common
/// functions does not know it.
std::shared_ptr<arrow::DataType> InferType(const ExprPtr& e, const arrow::Schema& schema);

/// Returns true if equal rows may get different results ("random", a number for each row): such an
/// expression is neither copied nor moved past a filter, and no filter or limit past it.
bool IsVolatile(const ExprPtr& e);

/// Returns false if `e` has a result for every row of well-typed columns. True where that is not
/// known: an unsafe guess would move "x / y" before the filter that drops the zeros.
bool MayFail(const ExprPtr& e);

/// Returns true if `e` costs nothing to evaluate twice: a column or a constant.
bool IsTrivial(const ExprPtr& e);

/// Adds to `uses` how often `e` reads each column, every occurrence counted.
void CountColumnUses(const ExprPtr& e, std::map<std::string, int>* uses);

}  // namespace headrace
