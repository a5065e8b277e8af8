#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/sim/sim_backend.h"

// Random plans, machines and faults from a seed, and what a plan must give, computed without a
// scheduler.

namespace headrace::simtest {

/// One case: everything that a run depends on.
struct Case {
  std::uint64_t seed = 0;
  PhysicalPlan plan;  // Blocks of input operators are made by the harness from `input_blocks`.
  std::vector<std::vector<SimModel::Block>> input_blocks;  // By operator.
  ExecutionOptions options;
  SimOptions sim;
  // The consumer.
  std::int64_t prefetch = 1;
  Duration think;           // Per block, and
  Duration think_max;       // as much again, drawn.
  double burst_chance = 0;  // That it takes many at once.
  std::int64_t stop_after = -1;
};

inline std::int64_t Between(Rng& rng, std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(rng.Below(static_cast<std::uint64_t>(high - low) + 1));
}

class PlanMaker {
 public:
  PlanMaker(Rng* rng, Case* out) : rng_(*rng), case_(*out) {}

  void Make() {
    const bool ordered = rng_.Chance(0.4);
    Chain(static_cast<int>(Between(rng_, 0, 5)), 2);
    for (OperatorSpec& op : case_.plan.operators) op.keep_order = ordered;
    case_.input_blocks.resize(case_.plan.operators.size());
  }

 private:
  OperatorId Add(OperatorSpec spec) {
    case_.plan.operators.push_back(std::move(spec));
    return OperatorId{static_cast<std::int32_t>(case_.plan.operators.size()) - 1};
  }

  ProgramPtr Program(const char* name) {
    auto program = std::make_shared<TaskProgram>();
    program->name = name;
    program->id = ++programs_;
    return program;
  }

  OperatorId Root() {
    if (rng_.Chance(0.15)) {
      const OperatorId id = Add({.name = "Input", .kind = InputOperator{}, .inputs = {}});
      case_.input_blocks.resize(case_.plan.operators.size());
      for (std::int64_t i = Between(rng_, 0, 12); i > 0; --i) {
        const std::int64_t rows = Between(rng_, 0, 60);
        case_.input_blocks.back().push_back({rows, rows * Between(rng_, 1, 20'000)});
      }
      return id;
    }
    TaskOperator source;
    source.program = Program("Read");
    const std::int64_t groups = Between(rng_, 0, 12);
    for (std::int64_t i = 0; i < groups; ++i) {
      source.unit_groups.push_back(
          {static_cast<std::uint32_t>(2 * i), static_cast<std::uint32_t>(2 * i + 1)});
    }
    if (rng_.Chance(0.2)) source.compute = TaskPool{static_cast<std::int32_t>(Between(rng_, 1, 3))};
    source.cost = {.cpu_milli = 500 * Between(rng_, 1, 2)};
    return Add({.name = "Read", .kind = std::move(source), .inputs = {}});
  }

  OperatorId Map(OperatorId input) {
    TaskOperator map;
    map.program = Program("Map");
    map.cost = {.cpu_milli = 500 * Between(rng_, 0, 3)};
    if (rng_.Chance(0.15)) map.cost.gpu_milli = 1000;
    if (rng_.Chance(0.1)) map.cost.custom_milli = {{"TPU", 500}};
    if (rng_.Chance(0.25)) map.min_bundle_rows = Between(rng_, 1, 60);
    if (rng_.Chance(0.4)) {
      ActorPool pool;
      pool.min_size = static_cast<std::int32_t>(Between(rng_, 1, 2));
      pool.max_size = pool.min_size + static_cast<std::int32_t>(Between(rng_, 0, 2));
      pool.initial_size = static_cast<std::int32_t>(Between(rng_, pool.min_size, pool.max_size));
      pool.max_tasks_in_flight = static_cast<std::int32_t>(Between(rng_, 1, 4));
      map.compute = pool;
    } else if (rng_.Chance(0.2)) {
      map.compute = TaskPool{static_cast<std::int32_t>(Between(rng_, 1, 3))};
    }
    return Add({.name = "Map", .kind = std::move(map), .inputs = {input}});
  }

  OperatorId Limit(OperatorId input) {
    LimitOperator limit;
    limit.rows = rng_.Chance(0.1) ? 0 : Between(rng_, 1, 150);
    auto cut = std::make_shared<TaskProgram>();
    cut->name = "Limit";
    cut->id = ++programs_;
    cut->steps = {LimitStep{}};
    limit.cut_program = std::move(cut);
    return Add({.name = "Limit", .kind = std::move(limit), .inputs = {input}});
  }

  OperatorId Chain(int length, int unions) {
    OperatorId at;
    if (unions > 0 && rng_.Chance(0.2)) {
      std::vector<OperatorId> inputs;
      for (std::int64_t i = Between(rng_, 1, 3); i > 0; --i) {
        inputs.push_back(Chain(static_cast<int>(Between(rng_, 0, 2)), unions - 1));
      }
      at = Add({.name = "Union", .kind = UnionOperator{}, .inputs = std::move(inputs)});
    } else {
      at = Root();
    }
    for (int i = 0; i < length; ++i) at = rng_.Chance(0.12) ? Limit(at) : Map(at);
    return at;
  }

  Rng& rng_;
  Case& case_;
  std::uint64_t programs_ = 0;
};

/// Makes the case of `seed`.
inline Case MakeCase(std::uint64_t seed) {
  Rng rng(seed * 0x2545F4914F6CDD1DULL + 1);
  Case out;
  out.seed = seed;
  PlanMaker(&rng, &out).Make();

  SimOptions& sim = out.sim;
  sim.seed = rng();
  sim.capacity = {.cpu_milli = 1500 + 500 * Between(rng, 0, 10),
                  .gpu_milli = 1000 * Between(rng, 1, 2),
                  .memory_bytes = 0,
                  .custom_milli = {{"TPU", 1000}}};
  sim.parks_waiting_tasks = rng.Chance(0.6);
  sim.model.seed = rng();
  sim.model.source_rows_max = Between(rng, 1, rng.Chance(0.1) ? 200 : 30);
  sim.model.blocks_max = Between(rng, 1, 6);
  sim.model.row_bytes_max = Between(rng, 1, 20'000);
  sim.parks_at_end_chance = rng.Uniform();
  // From a few bytes to plenty.
  sim.object_store_bytes = std::int64_t{1} << Between(rng, 4, 28);
  out.options.target_max_block_bytes = std::int64_t{1} << Between(rng, 10, 24);
  out.options.reservation_ratio = rng.Chance(0.8) ? 0.5 : rng.Uniform();
  if (rng.Chance(0.6)) {
    sim.worker_lost_chance = rng.Chance(0.5) ? 0.02 : 0.1;
    sim.actor_start_fails_chance = 0.2 * rng.Uniform();
    sim.actor_dies_idle_chance = 0.3 * rng.Uniform();
    sim.noise_chance = rng.Chance(0.5) ? 0.2 : 0;
  }
  if (rng.Chance(0.15)) {
    sim.model.error_chance = 0.15;
    out.plan.max_errored_blocks = rng.Chance(0.7) ? -1 : 0;
  }
  if (rng.Chance(0.15)) {  // Tasks so short that some are sent ahead.
    sim.block_time_max = Duration::Micros(Between(rng, 1, 60));
    sim.queue_factor = 64;
  }
  if (rng.Chance(0.02)) sim.workers_always_lost = true;
  if (rng.Chance(0.02)) sim.actors_never_start = true;

  out.prefetch = rng.Chance(0.5) ? 1 : Between(rng, 1, 20);
  out.think_max = Duration::Micros(Between(rng, 1, rng.Chance(0.3) ? 60'000 : 500));
  out.burst_chance = rng.Chance(0.3) ? 0.2 : 0;
  if (rng.Chance(0.1)) out.stop_after = Between(rng, 0, 15);
  return out;
}

/// A block as a test sees it.
struct Row {
  std::vector<std::uint32_t> position;
  std::int64_t num_rows = 0;
  friend auto operator<=>(const Row&, const Row&) = default;
};

/// What the plan gives, in order, and how many tasks fail by user error on the way.
struct Expected {
  std::vector<Row> blocks;
  std::int64_t errors = 0;
  bool has_limit = false;
};

/// Computes what the plan of `c` gives from the model alone: the oracle.
class Oracle {
 public:
  explicit Oracle(const Case& c) : case_(c) {}

  Expected Compute() {
    out_.blocks = Eval(static_cast<std::int32_t>(case_.plan.operators.size()) - 1);
    return std::move(out_);
  }

 private:
  void RunTask(OperatorId op, const std::vector<std::uint32_t>& position, std::int64_t rows_in,
               std::vector<Row>* out) {
    const auto outputs = case_.sim.model.OutputsOf(op, Position{position}, rows_in);
    std::uint32_t index = 0;
    for (const SimModel::Block& block : outputs.blocks) {
      Row row{position, block.num_rows};
      row.position.push_back(index++);
      out->push_back(std::move(row));
    }
    if (outputs.error_after) ++out_.errors;
  }

  std::vector<Row> EvalMap(OperatorId op, const TaskOperator& map, const std::vector<Row>& in) {
    std::vector<Row> out;
    std::size_t begin = 0;
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      rows += in[i].num_rows;
      if (rows < map.min_bundle_rows && i + 1 < in.size()) continue;
      RunTask(op, in[begin].position, rows, &out);
      begin = i + 1;
      rows = 0;
    }
    return out;
  }

  std::vector<Row> Eval(std::int32_t index) {
    const OperatorId op{index};
    const OperatorSpec& spec = case_.plan.operators[static_cast<std::size_t>(index)];
    std::vector<Row> out;
    if (spec.As<InputOperator>() != nullptr) {
      for (const auto& block : case_.input_blocks[static_cast<std::size_t>(index)]) {
        out.push_back({{static_cast<std::uint32_t>(out.size())}, block.num_rows});
      }
    } else if (spec.As<UnionOperator>() != nullptr) {
      for (std::size_t i = 0; i < spec.inputs.size(); ++i) {
        for (Row& row : Eval(spec.inputs[i].value)) {
          row.position.insert(row.position.begin(), static_cast<std::uint32_t>(i));
          out.push_back(std::move(row));
        }
      }
    } else if (const auto* limit = spec.As<LimitOperator>()) {
      out_.has_limit = true;
      std::int64_t left = limit->rows;
      for (Row& row : Eval(spec.inputs[0].value)) {
        if (left == 0) break;
        if (row.num_rows > left) row.position.push_back(0);
        row.num_rows = std::min(row.num_rows, left);
        left -= row.num_rows;
        out.push_back(std::move(row));
      }
    } else if (const auto* task = spec.As<TaskOperator>()) {
      if (!spec.inputs.empty()) return EvalMap(op, *task, Eval(spec.inputs[0].value));
      for (const auto& group : task->unit_groups) RunTask(op, {group.front()}, -1, &out);
    }
    return out;
  }

  const Case& case_;
  Expected out_;
};

}  // namespace headrace::simtest
