#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "headrace/base/status.h"
#include "headrace/data/transform/function.h"
#include "headrace/protocol/expr.h"

// Functions of a row's place instead of its values: what Arrow's registry has no form for.
//
//   monotonically_increasing_id()  int64: the task's number << 33 | the row's number in the task;
//                                  unique in the run, the same in every attempt.
//   random(seed, reseed)           double in [0, 1), drawn from the seed, the task's position and
//                                  the row's number; with `reseed` from the run's seed as well.
//                                  Both arguments are literals: int64 and bool.
//
// Neither depends on batch sizes, timing or the number of workers.

namespace arrow {
class Array;
class MemoryPool;
}  // namespace arrow

namespace headrace {

/// One such call, bound to a task.
class RowFunction {
 public:
  /// Returns nothing if `call` is of another function; Invalid for wrong arguments.
  static Result<std::optional<RowFunction>> Find(const expr::Call& call,
                                                 const TaskContext& context);

  /// Returns the values of rows [first_row, first_row + rows) of the task.
  Result<std::shared_ptr<arrow::Array>> Values(std::int64_t first_row, std::int64_t rows,
                                               arrow::MemoryPool* pool) const;

 private:
  bool is_random_ = false;
  std::uint64_t base_ = 0;  // The generator's seed, or the id of row 0.
};

}  // namespace headrace
