#pragma once

#include <memory>
#include <vector>

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

/// Results (kFinal, kWhole), not states; `input` is of the rows. Sums of integers and booleans are
/// int64 (uint64 of unsigned integers), of floats double, of decimals decimals; means, Std,
/// quantiles and shares double; counts int64; the others have the column's type or lists of it.
/// Values of dictionaries are taken out of them.
Result<std::shared_ptr<arrow::Schema>> AggregateSchema(const AggregateStep& step,
                                                       const arrow::Schema& input);

/// The type of one aggregate's result over a column of type `column` (ignored where there is none).
Result<std::shared_ptr<arrow::DataType>> AggregateType(
    const AggregateSpec& aggregate, const std::shared_ptr<arrow::DataType>& column);

/// The columns of the left side in their order, then those of the right side that are no keys. For
/// right outer joins the left keys make way instead; semi and anti joins have one side's columns.
Result<std::shared_ptr<arrow::Schema>> JoinSchema(const JoinStep& step, const arrow::Schema& left,
                                                  const arrow::Schema& right);

/// The type in which keys of two types are compared: the one that holds both (block/unify.h), of
/// dictionaries their values. Null: there is none.
std::shared_ptr<arrow::DataType> JoinKeyType(const std::shared_ptr<arrow::DataType>& left,
                                             const std::shared_ptr<arrow::DataType>& right);

/// A TypeError if rows of blocks with these schemas cannot be compared by `keys`, though their
/// types can be unified: decimals are rounded to be floats, and then have another order, and other
/// equals.
Status CheckComparable(const std::vector<std::string>& keys,
                       const std::vector<std::shared_ptr<arrow::Schema>>& schemas);

/// The names of the columns by which rows are compared.
std::vector<std::string> NamesOf(const std::vector<SortKey>& keys);

Result<std::shared_ptr<arrow::Schema>> ZipSchema(const arrow::Schema& left,
                                                 const arrow::Schema& right);

}  // namespace headrace
