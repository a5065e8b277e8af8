#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "sim_harness.h"

// The memory-limited pipeline of "The streaming batch model for efficient and fault-tolerant
// heterogeneous execution" (arXiv 2501.12407, figure 9), at full scale:
//
//   load       160 tasks, each 500 rows of 1 MB in 5 s      8 cpu slots, shared with
//   transform  0.5 s for each 100 MB, as many bytes out     these tasks
//   infer      0.5 s for each 100 rows, little out          4 gpu slots
//
// The cpus have 800 s + 400 s of work: no run takes less than 150 s. With whole load tasks before
// the transforms the best is 153 s, as the last blocks still pass through the gpus.

namespace headrace::simtest {

inline constexpr std::int64_t kGigabyte = 1'000'000'000;

/// Seconds that the pipeline may take with so much memory for blocks.
struct Figure9Bar {
  std::int64_t gigabytes;
  double seconds;
};
inline constexpr Figure9Bar kFigure9Bars[] = {{1, 291},  {2, 185},  {4, 160},  {6, 155}, {8, 155},
                                              {10, 155}, {12, 155}, {14, 155}, {16, 155}};

/// Returns the pipeline with `budget_bytes` for blocks of 100 MB. Nothing in it is random.
inline Case Figure9(std::int64_t budget_bytes) {
  Case out;
  const auto add = [&out](const char* name, TaskOperator task, SimModel::Outputs outputs) {
    const OperatorId id{static_cast<std::int32_t>(out.plan.operators.size())};
    auto program = std::make_shared<TaskProgram>();
    program->name = name;
    program->id = static_cast<std::uint64_t>(id.value);
    task.program = std::move(program);
    OperatorSpec spec{.name = name, .kind = std::move(task), .inputs = {}};
    if (id.value > 0) spec.inputs = {{id.value - 1}};
    out.plan.operators.push_back(std::move(spec));
    out.sim.model.fixed[id.value] = std::move(outputs);
  };
  const SimModel::Block block{100, 100'000'000};
  TaskOperator load;
  for (std::uint32_t i = 0; i < 160; ++i) load.unit_groups.push_back({i});
  add("Load", std::move(load), {.blocks = {block, block, block, block, block}, .error_after = {}});
  add("Transform", {}, {.blocks = {block}, .error_after = {}});
  TaskOperator infer;
  infer.cost = {.gpu_milli = 1000};
  add("Infer", std::move(infer), {.blocks = {{100, 800}}, .error_after = {}});
  out.input_blocks.resize(out.plan.operators.size());

  out.sim.capacity = {.cpu_milli = 8000, .gpu_milli = 4000};
  out.sim.object_store_bytes = budget_bytes;
  out.sim.exact_times = true;
  out.sim.parks_at_end_chance = 1;
  out.sim.block_time = [](OperatorId op, const Position&, Instant) {
    return op.value == 0 ? Duration::Seconds(1) : Duration::Millis(500);
  };
  out.prefetch = 16;
  return out;
}

}  // namespace headrace::simtest
