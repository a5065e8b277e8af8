#pragma once

#include <memory>

#include "headrace/base/status.h"
#include "headrace/protocol/exchange.h"

namespace arrow {
class DataType;
class Schema;
}  // namespace arrow

namespace headrace {

// Returns the schema that a step makes, or the error that it fails with: an unknown column (the
// message lists those there are), a type that cannot be folded, keys of different types. What the
// plan infers and what the step yields is the same function.

/// Results (kFinal, kWhole), not states. Sums of integers are int64 (uint64 of unsigned ones),
/// of floats double, of decimals decimals; means, Std, quantiles and shares double; counts int64.
Result<std::shared_ptr<arrow::Schema>> AggregateSchema(const AggregateStep& step,
                                                       const arrow::Schema& input);
Result<std::shared_ptr<arrow::Schema>> JoinSchema(const JoinStep& step, const arrow::Schema& left,
                                                  const arrow::Schema& right);
Result<std::shared_ptr<arrow::Schema>> ZipSchema(const arrow::Schema& left,
                                                 const arrow::Schema& right);

}  // namespace headrace
