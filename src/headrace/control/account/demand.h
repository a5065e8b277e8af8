#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headrace/base/resources.h"

// How much credit the tasks of each operator need at once, by Little's law.
//
// What flows through a plan at a steady rate F keeps c = F × (tasks per byte) × (time of a task)
// tasks of an operator busy, and each holds its input and the credit for its next block. F is as
// large as the scarcest of cpus, gpus and the budget lets it be:
//
//   budget   ≥ Σ c × (held + block)          cpus ≥ Σ c × cpus of a task          ...
//
// So an operator's need is c × block: for a fast one less than for a slow one, and where memory is
// short, as much of it as keeps all of them in step. Tasks run whole, so c is rounded: up where the
// budget has room for that, else so that the slowest of them is as fast as can be.
//
// The source budget of the streaming batch paper (arXiv 2501.12407, algorithms 1 and 2) bounds F by
// the sum of the stages' times instead, as if none ran beside another. Both stand beside each other
// in tests/sim/figure9_test.cc, on the paper's own pipeline.

namespace headrace {

/// Means of what an operator's tasks took lately. A new sample counts an eighth, or as one of all
/// while there are fewer; so means follow a change within some tasks.
struct TaskMeans {
  static constexpr std::int64_t kWindow = 8;  // Samples.

  std::int64_t samples = 0;
  std::int64_t nanos = 0;         // Of running.
  std::int64_t held_bytes = 0;    // Input.
  std::int64_t output_bytes = 0;  // In all.

  void Add(std::int64_t nanos, std::int64_t held_bytes, std::int64_t output_bytes);
};

/// What is known of one operator.
struct OperatorDemand {
  std::int32_t consumer = -1;  // Operator that takes the output; later than this one. -1: none.
  bool runs_tasks = false;     // Now, or as soon as it has input; not an exchange that gathers.
  bool gathers = false;        // Nothing flows through it now.
  bool starts_flow = false;    // A source, or its inputs have ended.
  TaskMeans means;
  std::int64_t block_bytes = 0;  // Credit of a task for its next output.
  Resources cost;                // Of one task.
};

/// Returns, by operator, the bytes of credit that its tasks need at once, of `budget_bytes`.
/// An operator of which nothing is known gets `unknown_bytes`. The sum is at most the budget, if
/// that has room for the unknown ones.
std::vector<std::int64_t> CreditNeeds(std::span<const OperatorDemand> operators,
                                      std::int64_t budget_bytes, std::int64_t unknown_bytes,
                                      const Resources& total);

}  // namespace headrace
