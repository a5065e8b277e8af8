#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/sim/sim_backend.h"
#include "random_policy.h"

// Random plans, machines and faults from a seed.

namespace headrace::simtest {

/// One case: everything that a run depends on.
struct Case {
  std::uint64_t seed = 0;
  PhysicalPlan plan;  // Blocks of input operators are made by the harness from `input_blocks`.
  std::vector<std::vector<SimModel::Block>> input_blocks;  // By operator.
  ExecutionOptions options;
  SimOptions sim;
  RandomPolicyOptions policy;
  // The consumer.
  std::int64_t prefetch = 1;
  Duration think;             // Per block, and
  Duration think_max;         // as much again, drawn.
  double burst_chance = 0;    // That it takes many at once.
  Duration silence;           // For so long it may take nothing at all,
  double silence_chance = 0;  // with this chance at each block.
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

  OperatorId MapSide(OperatorId input, Step step) {
    TaskOperator map;
    auto program = std::make_shared<TaskProgram>();
    program->name = "Scatter";
    program->id = ++programs_;
    program->steps = {std::move(step)};
    map.program = std::move(program);
    map.cost = {.cpu_milli = 500 * Between(rng_, 1, 2)};
    return Add({.name = "Scatter", .kind = std::move(map), .inputs = {input}});
  }

  ExchangeOperator ExchangeOf(ExchangeKind kind, std::vector<Step> steps) {
    ExchangeOperator exchange;
    exchange.kind = kind;
    exchange.target_partition_bytes = std::int64_t{1} << Between(rng_, 10, 24);
    exchange.cost = {.cpu_milli = 500 * Between(rng_, 0, 3)};
    exchange.seed = rng_();
    if (kind == ExchangeKind::kPermuted) return exchange;
    auto program = std::make_shared<TaskProgram>();
    program->name = "Exchange";
    program->id = ++programs_;
    program->steps = std::move(steps);
    exchange.program = std::move(program);
    return exchange;
  }

  // An exchange of one input.
  OperatorId Exchange(OperatorId input) {
    ExchangeOperator exchange;
    switch (rng_.Below(5)) {
      case 0:
        exchange = ExchangeOf(ExchangeKind::kRows, {});
        exchange.partitions = Between(rng_, 1, 20);
        if (rng_.Chance(0.5)) {
          exchange.kind = ExchangeKind::kRowBatches;
          exchange.rows_per_partition = std::exchange(exchange.partitions, -1);
        }
        break;
      case 1: {
        const auto buckets = static_cast<std::int32_t>(Between(rng_, 1, 40));
        input = MapSide(input, ScatterStep{{"k"}, buckets, 0});
        const bool shuffles = rng_.Chance(0.3);
        exchange = ExchangeOf(ExchangeKind::kBuckets, {});
        if (shuffles) exchange = ExchangeOf(ExchangeKind::kBuckets, {ShuffleStep{}});
        if (rng_.Chance(0.2)) exchange.partitions = buckets;
        break;
      }
      case 2:
        input = MapSide(input, SortStep{{{"k"}}, -1});
        exchange = ExchangeOf(ExchangeKind::kRuns, {MergeStep{{{"k"}}, -1}});
        if (rng_.Chance(0.2)) exchange.boundaries = {"b", "bb", "n"};
        break;
      case 3:
        exchange = ExchangeOf(ExchangeKind::kGathered, {});
        break;
      default:
        exchange = ExchangeOf(ExchangeKind::kPermuted, {});
        break;
    }
    return Add({.name = "Exchange", .kind = std::move(exchange), .inputs = {input}});
  }

  // Sometimes the map side is part of an exchange before it, as after fusion.
  OperatorId LeftSide(OperatorId input, const Step& step) {
    auto* before = std::get_if<ExchangeOperator>(
        &case_.plan.operators[static_cast<std::size_t>(input.value)].kind);
    if (before == nullptr || before->program == nullptr || rng_.Chance(0.2)) {
      return MapSide(input, step);
    }
    auto program = std::make_shared<TaskProgram>(*before->program);
    program->steps.push_back(step);
    before->program = std::move(program);
    return input;
  }

  OperatorId Join(OperatorId left, OperatorId right) {
    ExchangeOperator exchange = ExchangeOf(ExchangeKind::kBroadcast, {JoinStep{}});
    exchange.small_input = static_cast<std::int32_t>(rng_.Below(2));
    if (rng_.Chance(0.6)) {
      const auto buckets = static_cast<std::int32_t>(Between(rng_, 1, 40));
      left = LeftSide(left, ScatterStep{{"k"}, buckets, 0});
      right = MapSide(right, ScatterStep{{"k"}, buckets, 0});
      exchange.kind = ExchangeKind::kBuckets;
      exchange.small_input = 1;
      if (rng_.Chance(0.6)) exchange.broadcast_bytes = std::int64_t{1} << Between(rng_, 0, 24);
    }
    return Add({.name = "Join", .kind = std::move(exchange), .inputs = {left, right}});
  }

  OperatorId Chain(int length, int unions) {
    OperatorId at;
    if (unions > 0 && rng_.Chance(0.12)) {
      at = Chain(static_cast<int>(Between(rng_, 0, 2)), unions - 1);
      at = Join(at, Chain(static_cast<int>(Between(rng_, 0, 2)), unions - 1));
      if (rng_.Chance(0.4)) at = Join(at, Root());
    } else if (unions > 0 && rng_.Chance(0.2)) {
      std::vector<OperatorId> inputs;
      for (std::int64_t i = Between(rng_, 1, 3); i > 0; --i) {
        inputs.push_back(Chain(static_cast<int>(Between(rng_, 0, 2)), unions - 1));
      }
      if (rng_.Chance(0.3)) {
        MixOperator mix{.weights = {}, .stop_on_shortest = rng_.Chance(0.3)};
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          mix.weights.push_back(static_cast<double>(Between(rng_, 1, 4)));
        }
        at = Add({.name = "Mix", .kind = std::move(mix), .inputs = std::move(inputs)});
      } else {
        at = Add({.name = "Union", .kind = UnionOperator{}, .inputs = std::move(inputs)});
      }
    } else {
      at = Root();
    }
    for (int i = 0; i < length; ++i) {
      at = rng_.Chance(0.12) ? Limit(at) : rng_.Chance(0.2) ? Exchange(at) : Map(at);
    }
    return at;
  }

  Rng& rng_;
  Case& case_;
  std::uint64_t programs_ = 0;
};

/// Lets functions run in workers, whose heaps differ, under a limit that holds some of them. One
/// that is far larger than the others may have no room at all: then the run must fail.
inline void LimitMemory(Rng* rng, Case* out) {
  for (OperatorSpec& spec : out->plan.operators) {
    auto* task = std::get_if<TaskOperator>(&spec.kind);
    if (task == nullptr || spec.name == "Scatter" || rng->Chance(0.3)) continue;
    auto program = std::make_shared<TaskProgram>(*task->program);
    program->lane = Lane::kProcess;
    task->program = std::move(program);
  }
  SimOptions& sim = out->sim;
  sim.model.heap_bytes_max = std::int64_t{1} << Between(*rng, 22, 28);
  sim.model.heap_outlier_chance = rng->Chance(0.5) ? 0.15 : 0;
  // What the check of feasibility asks for, and from one heap of the usual size up to a few.
  sim.memory_limit_bytes =
      (std::int64_t{50} << 20) + sim.model.heap_bytes_max * Between(*rng, 1, 6);
  for (const auto& blocks : out->input_blocks) {
    for (const auto& block : blocks) sim.memory_limit_bytes += block.num_bytes;
  }
  out->options.memory_limit_bytes = sim.memory_limit_bytes;
}

/// Returns the operators whose blocks go to an exchange that spills, and through whom on the way:
/// what they make can be made again. But those that an exchange into batches of rows reads, can
/// not.
inline std::set<std::int32_t> LossyOperators(const PhysicalPlan& plan) {
  std::set<std::int32_t> lossy;
  std::vector<bool> feeds(plan.operators.size()), excepted(plan.operators.size());
  for (std::size_t i = plan.operators.size(); i-- > 0;) {
    const OperatorSpec& spec = plan.operators[i];
    const auto* exchange = spec.As<ExchangeOperator>();
    const bool spills = exchange != nullptr && exchange->kind != ExchangeKind::kBroadcast &&
                        exchange->kind != ExchangeKind::kPermuted &&
                        exchange->kind != ExchangeKind::kRowBatches;
    const bool passes_on = (exchange != nullptr && exchange->program == nullptr) ||
                           spec.As<UnionOperator>() || spec.As<MixOperator>() ||
                           spec.As<LimitOperator>();
    for (const OperatorId input : spec.inputs) {
      const auto at = static_cast<std::size_t>(input.value);
      feeds[at] = feeds[i] || spills;
      excepted[at] = (exchange != nullptr && exchange->kind == ExchangeKind::kRowBatches) ||
                     (passes_on && excepted[i]);
      // A join may pass on what makes its left side, behind which nobody may spill.
      if (exchange != nullptr && exchange->broadcast_bytes > 0 && input == spec.inputs.front()) {
        excepted[at] = excepted[at] || !feeds[i] || excepted[i];
      }
    }
    if (feeds[i] && !excepted[i]) lossy.insert(static_cast<std::int32_t>(i));
  }
  return lossy;
}

/// Lets operators be slow and fast by turns, half of them each at a time; the turns change in
/// mid-run. And lets the consumer fall silent for longer than all else takes.
inline void ChangeRates(Rng* rng, Case* out) {
  if (rng->Chance(0.2)) {
    const std::int64_t period = Duration::Millis(Between(*rng, 1, 500)).nanos;
    const std::int64_t most = out->sim.block_time_max.nanos;
    const std::int64_t slower = Between(*rng, 2, 50);
    out->sim.block_time = [period, most, slower, seed = (*rng)()](
                              OperatorId op, const Position& position, Instant now) {
      Rng own(position.Seed(seed + static_cast<std::uint64_t>(op.value)));
      const auto time = 1 + static_cast<std::int64_t>(own.Below(static_cast<std::uint64_t>(most)));
      const bool is_slow = (op.value + now.nanos / period) % 2 == 0;
      return Duration{is_slow ? slower * time : time};
    };
  }
  if (rng->Chance(0.1)) {
    out->silence = Duration::Millis(60'000);
    out->silence_chance = 0.1;
  }
}

/// Lets blocks get lost, mostly on disk.
inline void LoseBlocks(Rng* rng, Case* out) {
  SimOptions& sim = out->sim;
  if (rng->Chance(0.5)) return;
  sim.spill_lost_chance = rng->Chance(0.7) ? 0.05 : rng->Uniform();
  sim.all_lost_chance = rng->Chance(0.3) ? 0.3 : 0;
  sim.lossy = LossyOperators(out->plan);
  if (rng->Chance(0.4)) sim.block_lost_chance = rng->Chance(0.9) ? 0.02 : 0.3;
  if (rng->Chance(0.02)) sim.blocks_always_lost = true;
  // To make one block again takes many tasks behind a few exchanges, which may lose blocks, too.
  sim.losses_max = rng->Chance(0.9) ? 100 : 1000;
}

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
  if (rng.Chance(0.2)) out.options.budget_policy = BudgetPolicy::kEqual;
  if (rng.Chance(0.6)) {
    sim.worker_lost_chance = rng.Chance(0.5) ? 0.02 : 0.1;
    sim.actor_start_fails_chance = 0.2 * rng.Uniform();
    sim.actor_dies_idle_chance = 0.3 * rng.Uniform();
    sim.spill_refused_chance = rng.Chance(0.3) ? 0.3 : 0;
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
  if (rng.Chance(0.15)) {
    out.policy.seed = rng() | 1;
    out.policy.no_chance = rng.Chance(0.1) ? 1 : rng.Uniform();
    out.policy.less_chance = rng.Chance(0.3) ? 0 : rng.Uniform();
    if (rng.Chance(0.1)) out.policy.fails_after = Between(rng, 0, 60);
  }
  if (rng.Chance(0.3)) LimitMemory(&rng, &out);
  LoseBlocks(&rng, &out);
  ChangeRates(&rng, &out);
  return out;
}

}  // namespace headrace::simtest
