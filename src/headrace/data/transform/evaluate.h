#pragma once

#include <memory>

#include "headrace/base/status.h"
#include "headrace/data/transform/function.h"
#include "headrace/protocol/expr.h"

namespace arrow {
class Array;
class ChunkedArray;
class RecordBatch;
class Schema;
class Table;
}  // namespace arrow

namespace headrace {

/// An expression bound to one schema: names are resolved, functions found, options decoded. Where
/// the schema says text, a batch may hold codes (codes.h): what depends on such a column alone is
/// computed once for each value. Threads: one at a time.
class Evaluator {
 public:
  /// An unknown column is a KeyError that lists the columns there are; a function that is unknown
  /// or does not work row by row is an error too. Of `context` it takes the pool, and what the
  /// functions of row_function.h need.
  static Result<std::unique_ptr<Evaluator>> Bind(const ExprPtr& e,
                                                 const std::shared_ptr<arrow::Schema>& schema,
                                                 const TaskContext& context);
  virtual ~Evaluator() = default;

  /// Returns one value per row of `batch`, which has the schema that was bound. `first_row` is the
  /// number of its first row among those of the task that come to this step.
  virtual Result<std::shared_ptr<arrow::Array>> Evaluate(const arrow::RecordBatch& batch,
                                                         std::int64_t first_row) = 0;

  /// Returns the index of the column if the expression is just that, else -1.
  virtual int column_index() const = 0;
};

/// Returns the values of `e` over all rows of `table`, which are those of the task.
Result<std::shared_ptr<arrow::ChunkedArray>> Evaluate(const ExprPtr& e, const arrow::Table& table,
                                                      const TaskContext& context = {});

/// Returns the error for a column that is not in `schema`: it lists those that are.
Status UnknownColumn(const std::string& name, const arrow::Schema& schema);

}  // namespace headrace
