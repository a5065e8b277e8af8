#pragma once

#include <memory>

#include "headrace/base/status.h"
#include "headrace/protocol/expr.h"

namespace arrow {
class Array;
class ChunkedArray;
class MemoryPool;
class RecordBatch;
class Schema;
class Table;
}  // namespace arrow

namespace headrace {

/// An expression bound to one schema: names are resolved, functions found, options decoded.
/// Threads: one at a time.
class Evaluator {
 public:
  /// An unknown column is a KeyError that lists the columns there are; a function that is unknown
  /// or does not work row by row is an error too. Null `pool`: the default one.
  static Result<std::unique_ptr<Evaluator>> Bind(const ExprPtr& e,
                                                 const std::shared_ptr<arrow::Schema>& schema,
                                                 arrow::MemoryPool* pool);
  virtual ~Evaluator() = default;

  /// Returns one value per row of `batch`, which has the schema that was bound.
  virtual Result<std::shared_ptr<arrow::Array>> Evaluate(const arrow::RecordBatch& batch) = 0;

  /// Returns the index of the column if the expression is just that, else -1.
  virtual int column_index() const = 0;
};

/// Returns the values of `e` over all rows of `table`.
Result<std::shared_ptr<arrow::ChunkedArray>> Evaluate(const ExprPtr& e, const arrow::Table& table,
                                                      arrow::MemoryPool* pool = nullptr);

/// Returns the error for a column that is not in `schema`: it lists those that are.
Status UnknownColumn(const std::string& name, const arrow::Schema& schema);

}  // namespace headrace
