#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/exchange_plan.h"
#include "headrace/control/schedule/merge_pass.h"
#include "headrace/control/schedule/output_order.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/sim/sim_backend.h"
#include "random_policy.h"

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
  RandomPolicyOptions policy;
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
  return out;
}

/// Returns the budget that exchanges plan with in a run of `c`.
inline std::int64_t BudgetOf(const Case& c) {
  return ExchangeBudget(c.options, {c.sim.capacity, c.sim.object_store_bytes});
}

/// A block as a test sees it.
struct Row {
  Position position;
  std::int64_t num_rows = 0;
  friend auto operator<=>(const Row&, const Row&) = default;
};

/// What the plan gives, in order, and how many tasks fail by user error on the way.
struct Expected {
  std::vector<Row> blocks;
  std::int64_t errors = 0;
  std::int64_t passes = 0;  // Of merges before the last ones.
  bool has_limit = false;
};

/// Computes what the plan of `c` gives from the model alone: the oracle.
class Oracle {
 public:
  explicit Oracle(const Case& c) : case_(c), orders_(OutputOrders(c.plan)) {}

  Expected Compute() {
    const auto blocks = Eval(static_cast<std::int32_t>(case_.plan.operators.size()) - 1);
    for (const BlockInfo& block : blocks) {
      out_.blocks.push_back({block.position, block.num_rows});
    }
    return std::move(out_);
  }

 private:
  using Blocks = std::vector<BlockInfo>;

  static BlockInfo Block(const Position& position, const SimModel::Block& size) {
    BlockInfo info;
    info.num_rows = size.num_rows;
    info.num_bytes = size.num_bytes;
    info.position = position;
    return info;
  }

  void RunTask(OperatorId op, const TaskProgram& program, const Position& position,
               std::int64_t rows_in, Blocks* out) {
    const auto outputs = case_.sim.model.OutputsOf(op, position, rows_in);
    std::uint32_t index = 0;
    for (const SimModel::Block& block : outputs.blocks) {
      BlockInfo info = Block(position, block);
      info.position.path.push_back(index++);
      info.index = case_.sim.model.IndexOf(program, info.position, block.num_rows);
      out->push_back(std::move(info));
    }
    if (outputs.error_after) ++out_.errors;
  }

  Blocks EvalMap(OperatorId op, const TaskOperator& map, const TaskProgram& program,
                 const Blocks& in) {
    const OperatorId input = case_.plan.operators[static_cast<std::size_t>(op.value)].inputs[0];
    const std::int64_t large_rows = orders_[static_cast<std::size_t>(input.value)].large_rows;
    Blocks out;
    std::size_t begin = 0;
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
      rows += in[i].num_rows;
      const bool more = i + 1 < in.size();
      const bool large =
          in[i].num_rows >= large_rows;  // It stands alone, and so do its neighbours.
      if (rows < map.min_bundle_rows && more && !large && in[i + 1].num_rows < large_rows) continue;
      RunTask(op, program, in[begin].position, rows, &out);
      begin = i + 1;
      rows = 0;
    }
    return out;
  }

  // Whether the tasks of `op` may join instead of scattering their rows.
  bool MayJoin(OperatorId op, const Resources& cost) const {
    const OperatorSpec& spec = case_.plan.operators[static_cast<std::size_t>(op.value)];
    const auto* exchange = spec.As<ExchangeOperator>();
    const auto* task = spec.As<TaskOperator>();
    const ProgramPtr program = exchange ? exchange->program : task ? task->program : nullptr;
    return program != nullptr && !program->steps.empty() &&
           cost.FitsIn(exchange ? exchange->cost : task->cost) &&
           std::holds_alternative<ScatterStep>(program->steps.back());
  }

  bool Broadcasts(const ExchangeOperator& exchange, OperatorId left, const Blocks& right) const {
    std::int64_t bytes = 0;
    for (const BlockInfo& info : right) bytes += info.num_bytes;
    return exchange.broadcast_bytes > 0 && MayJoin(left, exchange.cost) &&
           bytes <= std::min(exchange.broadcast_bytes, BudgetOf(case_) / 16);
  }

  // `last`: the program whose last step the tasks do in the end.
  Blocks EvalExchange(OperatorId op, const ExchangeOperator& exchange, const TaskProgram* last,
                      const std::vector<OperatorId>& inputs) {
    std::vector<Blocks> in(inputs.size());
    if (last == nullptr) last = exchange.program.get();
    if (inputs.size() == 2) in[1] = Eval(inputs[1].value);
    if (inputs.size() == 2 && Broadcasts(exchange, inputs[0], in[1])) {
      return Eval(inputs[0].value, last);
    }
    in[0] = Eval(inputs[0].value);
    Blocks out;
    if (exchange.kind == ExchangeKind::kBroadcast) {
      std::int64_t small = 0;
      for (const BlockInfo& info : in[static_cast<std::size_t>(exchange.small_input)]) {
        small += info.num_rows;
      }
      for (const BlockInfo& info : in[static_cast<std::size_t>(1 - exchange.small_input)]) {
        RunTask(op, *last, info.position, info.num_rows + small, &out);
      }
      return out;
    }
    std::vector<const BlockInfo*> all;
    std::vector<InputInfos> infos;
    for (Blocks& blocks : in) {
      std::stable_sort(blocks.begin(), blocks.end(), [](const BlockInfo& a, const BlockInfo& b) {
        return a.position < b.position;
      });
      for (const BlockInfo& info : blocks) all.push_back(&info);
      infos.emplace_back(all.end() - static_cast<std::ptrdiff_t>(blocks.size()), all.end());
    }
    if (exchange.kind == ExchangeKind::kPermuted) return Permuted(exchange.seed, in.front());
    if (all.empty() && exchange.kind != ExchangeKind::kGathered) return out;
    if (exchange.kind == ExchangeKind::kRowBatches) {
      std::int64_t left = 0;
      for (const BlockInfo* info : all) left += info->num_rows;
      for (std::uint32_t task = 0; left > 0 || task == 0; ++task) {
        const std::int64_t rows = std::min(left, exchange.rows_per_partition);
        RunTask(op, *last, {{task}}, rows, &out);
        left -= rows;
      }
      return out;
    }
    const ExchangePlace place{std::max<std::int64_t>(1, case_.sim.capacity.cpu_milli / 1000),
                              BudgetOf(case_)};
    std::deque<Blocks> merged;
    if (exchange.kind == ExchangeKind::kRuns) Merge(op, exchange, place, &infos.front(), &merged);
    if (infos.front().empty() && exchange.kind == ExchangeKind::kRuns) return out;
    const auto plan = *MakeExchangePlan(exchange, std::move(infos), place);
    for (std::uint32_t task = 0; task < plan->num_tasks(); ++task) {
      std::int64_t rows = 0;
      for (const BlockPart& part : plan->WorkOf(task).parts) {
        rows += part.range.end - part.range.begin;
      }
      RunTask(op, *last, {{task}}, rows, &out);
    }
    return out;
  }

  /// Puts what passes of merges make, which goes to `merged`, in place of what they read.
  void Merge(OperatorId op, const ExchangeOperator& exchange, const ExchangePlace& place,
             InputInfos* infos, std::deque<Blocks>* merged) {
    for (std::uint32_t number = 0;; ++number) {
      const auto pass = *MakeMergePass(exchange, *infos, place);
      if (!pass) return;
      InputInfos next;
      std::uint32_t group = UINT32_MAX, in_group = 0;
      pass->ForEach([&](std::uint32_t block) { next.push_back((*infos)[block]); },
                    [&](std::uint32_t task, std::uint32_t first) {
                      std::int64_t rows = 0;
                      for (const BlockPart& part : pass->WorkOf(task).parts) {
                        rows += part.range.end - part.range.begin;
                      }
                      Blocks& made = merged->emplace_back();
                      RunTask(op, *MergeProgram(exchange), {{number, task}}, rows, &made);
                      if (group != first) in_group = 0;
                      group = first;
                      for (BlockInfo& info : made) {
                        info.position = (*infos)[first]->position;
                        info.position.path.back() = in_group++;
                        next.push_back(&info);
                      }
                    });
      *infos = std::move(next);
      ++out_.passes;
    }
  }

  static Blocks Permuted(std::uint64_t seed, Blocks blocks) {
    Rng rng(seed);
    for (std::size_t left = blocks.size(); left > 1; --left) {
      std::swap(blocks[left - 1], blocks[rng.Below(left)]);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].position.path = {static_cast<std::uint32_t>(i)};
    }
    return blocks;
  }

  /// By turns, as a list of the blocks that are left of each input says.
  Blocks Mixed(const MixOperator& mix, const std::vector<OperatorId>& inputs) {
    std::vector<std::deque<BlockInfo>> left;
    double all_weights = 0, all_rows = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Blocks blocks = Eval(inputs[i].value);
      left.emplace_back(blocks.begin(), blocks.end());
      all_weights += mix.weights[i];
    }
    std::vector<double> taken(inputs.size());
    Blocks out;
    while (true) {
      std::vector<std::tuple<double, double, std::size_t>> lacks;  // The least has its turn.
      for (std::size_t i = 0; i < left.size(); ++i) {
        if (left[i].empty() && mix.stop_on_shortest) return out;
        if (left[i].empty()) continue;
        const double share = mix.weights[i] / all_weights;
        lacks.emplace_back(taken[i] - share * all_rows, -share, i);
      }
      if (lacks.empty()) return out;
      const std::size_t next = std::get<2>(*std::min_element(lacks.begin(), lacks.end()));
      BlockInfo block = std::move(left[next].front());
      left[next].pop_front();
      taken[next] += static_cast<double>(block.num_rows);
      all_rows += static_cast<double>(block.num_rows);
      block.position.path.insert(block.position.path.begin(),
                                 static_cast<std::uint32_t>(out.size()));
      out.push_back(std::move(block));
    }
  }

  Blocks Eval(std::int32_t index, const TaskProgram* last = nullptr) {
    const OperatorId op{index};
    const OperatorSpec& spec = case_.plan.operators[static_cast<std::size_t>(index)];
    Blocks out;
    if (spec.As<InputOperator>() != nullptr) {
      for (const auto& block : case_.input_blocks[static_cast<std::size_t>(index)]) {
        out.push_back(Block({{static_cast<std::uint32_t>(out.size())}}, block));
      }
    } else if (spec.As<UnionOperator>() != nullptr) {
      for (std::size_t i = 0; i < spec.inputs.size(); ++i) {
        for (BlockInfo& row : Eval(spec.inputs[i].value)) {
          row.position.path.insert(row.position.path.begin(), static_cast<std::uint32_t>(i));
          out.push_back(std::move(row));
        }
      }
    } else if (const auto* mix = spec.As<MixOperator>()) {
      out_.has_limit = out_.has_limit || mix->stop_on_shortest;
      out = Mixed(*mix, spec.inputs);
    } else if (const auto* limit = spec.As<LimitOperator>()) {
      out_.has_limit = true;
      std::int64_t left = limit->rows;
      for (BlockInfo& row : Eval(spec.inputs[0].value)) {
        if (left == 0) break;
        if (row.num_rows > left) {
          row.position.path.push_back(0);
          row.num_rows = row.num_bytes = left;
        }
        left -= row.num_rows;
        out.push_back(std::move(row));
      }
    } else if (const auto* exchange = spec.As<ExchangeOperator>()) {
      return EvalExchange(op, *exchange, last, spec.inputs);
    } else if (const auto* task = spec.As<TaskOperator>()) {
      const TaskProgram& program = last != nullptr ? *last : *task->program;
      if (!spec.inputs.empty()) return EvalMap(op, *task, program, Eval(spec.inputs[0].value));
      for (const auto& group : task->unit_groups) {
        RunTask(op, program, {{group.front()}}, -1, &out);
      }
    }
    return out;
  }

  const Case& case_;
  const std::vector<OutputOrder> orders_;
  Expected out_;
};

}  // namespace headrace::simtest
