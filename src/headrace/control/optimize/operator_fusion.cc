#include "headrace/control/optimize/operator_fusion.h"

#include <algorithm>
#include <optional>

#include "headrace/control/optimize/rules.h"
#include "headrace/control/plan/derive.h"

namespace headrace {
namespace {

// Returns true if each input row gives one output row.
bool PreservesRows(const std::vector<Step>& steps) {
  return std::all_of(steps.begin(), steps.end(), [](const Step& step) {
    if (std::holds_alternative<ProjectStep>(step)) return true;
    const auto* map = std::get_if<MapStep>(&step);
    return map != nullptr && PreservesRows(*map->function);
  });
}

bool Writes(const TaskProgram& program) {
  return !program.steps.empty() && std::holds_alternative<WriteStep>(program.steps.back());
}

// Returns true if several tasks read, and some of them, by what is known, fewer than `rows` rows:
// then batches of that size form only across tasks.
bool ReadsFewerRows(const TaskOperator& source, std::int64_t rows) {
  const ReadStep* read = FindReadStep(*source.program);
  if (read == nullptr || source.unit_groups.size() < 2) return false;
  const std::vector<ReadUnit>& units = read->source->units;
  return std::any_of(source.unit_groups.begin(), source.unit_groups.end(), [&](const auto& group) {
    std::int64_t known = 0;
    for (std::uint32_t unit : group) {
      if (units[unit].num_rows < 0) return false;
      known += units[unit].num_rows;
    }
    return known < rows;
  });
}

// Returns the rows to which the fused operator joins its input, or unset if the two must stay
// apart. A batch size is a wish that the tail of each task may miss, so batches may form from
// what a read's task yields, if that has the rows of a batch, or from the batches of a function
// that got as many rows. A minimum of rows per file is a promise: it holds only if the rows that
// come in are the rows written.
std::optional<std::int64_t> BundleRows(const OperatorSpec& up_spec, const OperatorSpec& down_spec) {
  const auto& up = *up_spec.As<TaskOperator>();
  const auto& down = *down_spec.As<TaskOperator>();
  if (down.min_bundle_rows <= 0) return up.min_bundle_rows;
  const bool is_source = up_spec.inputs.empty();
  if (!is_source && PreservesRows(up.program->steps)) {
    return std::max(up.min_bundle_rows, down.min_bundle_rows);
  }
  if (Writes(*down.program)) return std::nullopt;
  if (is_source && ReadsFewerRows(up, down.min_bundle_rows)) return std::nullopt;
  if (is_source || down.min_bundle_rows <= up.min_bundle_rows) return up.min_bundle_rows;
  return std::nullopt;
}

bool CallsUser(const std::vector<Step>& steps) {
  return std::any_of(steps.begin(), steps.end(),
                     [](const Step& step) { return std::holds_alternative<MapStep>(step); });
}

// Returns what a task of both asks for, or unset.
std::optional<Resources> JoinCost(const Resources& up, const TaskOperator& down_task) {
  const Resources& down = down_task.cost;
  if (up == down) return up;
  if (std::holds_alternative<ActorPool>(down_task.compute)) return std::nullopt;
  const Resources standard = TaskOperator().cost;
  if (!(up == standard) && !(down == standard)) return std::nullopt;
  if (up.gpu_milli != down.gpu_milli || up.custom_milli != down.custom_milli) return std::nullopt;
  Resources larger = up;
  larger.cpu_milli = std::max(up.cpu_milli, down.cpu_milli);
  larger.memory_bytes = std::max(up.memory_bytes, down.memory_bytes);
  return larger;
}

// Returns true if the tasks of `up` run where those of `down` may. What asks for nothing follows
// what comes before it: but a read need not move to the few workers that a function asks for.
bool SamePlace(const TaskProgram& up, const TaskProgram& down) {
  return down.where.empty() || up.where == down.where;
}

// Returns true if all classes in both chains are one and the same function.
bool SameClass(const TaskProgram& up, const TaskProgram& down) {
  std::optional<std::uint64_t> only;
  for (const TaskProgram* program : {&up, &down}) {
    for (const Step& step : program->steps) {
      const auto* map = std::get_if<MapStep>(&step);
      if (map == nullptr || !map->function->is_class) continue;
      if (only && *only != map->function->id) return false;
      only = map->function->id;
    }
  }
  return true;
}

FusionBarrier AfterExchange(const ExchangeOperator& up, const TaskOperator& down, int consumers) {
  if (up.program == nullptr || Writes(*up.program)) return FusionBarrier::kKind;
  if (consumers != 1) return FusionBarrier::kConsumers;
  const auto* tasks = std::get_if<TaskPool>(&down.compute);
  if (tasks == nullptr) return FusionBarrier::kCompute;
  if (tasks->max_tasks) return FusionBarrier::kConcurrency;
  if (CallsUser(down.program->steps) || down.program->lane == Lane::kProcess) {
    return FusionBarrier::kLane;
  }
  if (!JoinCost(up.cost, down)) return FusionBarrier::kResources;
  if (!SamePlace(*up.program, *down.program)) return FusionBarrier::kPlace;
  return down.min_bundle_rows > 0 ? FusionBarrier::kBundle : FusionBarrier::kNone;
}

FusionBarrier CompareCompute(const TaskOperator& up, const TaskOperator& down) {
  const auto* up_tasks = std::get_if<TaskPool>(&up.compute);
  if (up_tasks == nullptr) {
    if (!(up.compute == down.compute)) return FusionBarrier::kCompute;
    return SameClass(*up.program, *down.program) ? FusionBarrier::kNone : FusionBarrier::kClass;
  }
  const auto* actors = std::get_if<ActorPool>(&down.compute);
  const bool single = actors != nullptr && actors->max_size == 1;
  if (single && CallsUser(up.program->steps)) return FusionBarrier::kPool;
  if (!up_tasks->max_tasks) return FusionBarrier::kNone;
  return up.compute == down.compute ? FusionBarrier::kNone : FusionBarrier::kConcurrency;
}

// Puts the steps of `down` after the reduce side of `up`.
OperatorSpec FuseAfterExchange(const OperatorSpec& up_spec, const OperatorSpec& down_spec) {
  const auto& down = *down_spec.As<TaskOperator>();
  OperatorSpec fused = up_spec;
  fused.name = up_spec.name + "->" + down_spec.name;
  fused.keep_order = down_spec.keep_order;
  auto& exchange = std::get<ExchangeOperator>(fused.kind);
  TaskProgram program = *down.program;
  program.name = fused.name;
  program.where = exchange.program->where;
  program.steps = exchange.program->steps;
  program.steps.insert(program.steps.end(), down.program->steps.begin(), down.program->steps.end());
  exchange.cost = *JoinCost(exchange.cost, down);
  exchange.program = std::make_shared<const TaskProgram>(std::move(program));
  return fused;
}

OperatorSpec Fuse(const OperatorSpec& up_spec, const OperatorSpec& down_spec) {
  if (up_spec.As<ExchangeOperator>() != nullptr) return FuseAfterExchange(up_spec, down_spec);
  const auto& up = *up_spec.As<TaskOperator>();
  const auto& down = *down_spec.As<TaskOperator>();
  OperatorSpec fused = down_spec;
  fused.name = up_spec.name + "->" + down_spec.name;
  fused.inputs = up_spec.inputs;

  TaskProgram program = *down.program;
  program.name = fused.name;
  program.where = up.program->where;
  program.steps = up.program->steps;
  program.steps.insert(program.steps.end(), down.program->steps.begin(), down.program->steps.end());
  program.lane = LaneOf(program.steps);

  auto& task = std::get<TaskOperator>(fused.kind);
  task.program = std::make_shared<const TaskProgram>(std::move(program));
  task.unit_groups = up.unit_groups;
  task.cost = *JoinCost(up.cost, down);
  task.min_bundle_rows = *BundleRows(up_spec, down_spec);
  return fused;
}

// Returns which operators scatter the left side of a join that may broadcast the right one.
std::vector<bool> FindWaitingSides(const PhysicalPlan& plan) {
  std::vector<bool> waits(plan.operators.size(), false);
  for (const OperatorSpec& op : plan.operators) {
    const auto* exchange = op.As<ExchangeOperator>();
    if (exchange == nullptr || exchange->broadcast_bytes <= 0) continue;
    waits[static_cast<std::size_t>(op.inputs.front().value)] = true;
  }
  return waits;
}

bool RunsInProcess(const OperatorSpec& spec) {
  const auto* task = spec.As<TaskOperator>();
  return task != nullptr && task->program->lane == Lane::kProcess;
}

// Renumbers the operators that are left.
PhysicalPlan Compact(std::vector<std::optional<OperatorSpec>> slots, PhysicalPlan plan) {
  std::vector<OperatorId> new_ids(slots.size());
  plan.operators.clear();
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i]) continue;
    new_ids[i] = {static_cast<std::int32_t>(plan.operators.size())};
    for (OperatorId& input : slots[i]->inputs)
      input = new_ids[static_cast<std::size_t>(input.value)];
    plan.operators.push_back(*std::move(slots[i]));
  }
  return plan;
}

class OperatorFusion : public PhysicalRule {
 public:
  std::string_view name() const override { return "operator_fusion"; }

  // Walks downstream, so that an operator meets the whole chain fused so far.
  Result<PhysicalPlan> Rewrite(PhysicalPlan plan) const override {
    std::vector<int> consumers(plan.operators.size(), 0);
    for (const OperatorSpec& op : plan.operators) {
      for (OperatorId input : op.inputs) ++consumers[static_cast<std::size_t>(input.value)];
    }
    const std::vector<bool> waits = FindWaitingSides(plan);
    std::vector<std::optional<OperatorSpec>> slots(plan.operators.begin(), plan.operators.end());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      auto& down = slots[i];
      if (down->inputs.size() != 1) continue;
      const auto at = static_cast<std::size_t>(down->inputs.front().value);
      auto& up = slots[at];
      if (waits[i] && RunsInProcess(*up)) continue;
      if (FindFusionBarrier(*up, *down, consumers[at]) != FusionBarrier::kNone) continue;
      down = Fuse(*up, *down);
      up.reset();
    }
    PhysicalPlan fused = Compact(std::move(slots), std::move(plan));
    DeriveSharedOutputs(&fused);
    return fused;
  }
};

}  // namespace

std::string_view ToString(FusionBarrier barrier) {
  switch (barrier) {
    case FusionBarrier::kNone:
      return "none";
    case FusionBarrier::kKind:
      return "kind";
    case FusionBarrier::kConsumers:
      return "consumers";
    case FusionBarrier::kCompute:
      return "compute";
    case FusionBarrier::kPool:
      return "pool";
    case FusionBarrier::kClass:
      return "class";
    case FusionBarrier::kConcurrency:
      return "concurrency";
    case FusionBarrier::kResources:
      return "resources";
    case FusionBarrier::kPlace:
      return "place";
    case FusionBarrier::kLane:
      return "lane";
    case FusionBarrier::kBundle:
      return "bundle";
  }
  return "unknown";
}

FusionBarrier FindFusionBarrier(const OperatorSpec& up_spec, const OperatorSpec& down_spec,
                                int consumers) {
  const auto* up = up_spec.As<TaskOperator>();
  const auto* down = down_spec.As<TaskOperator>();
  if (const auto* exchange = up_spec.As<ExchangeOperator>();
      exchange != nullptr && down != nullptr) {
    return AfterExchange(*exchange, *down, consumers);
  }
  if (up == nullptr || down == nullptr || Writes(*up->program)) return FusionBarrier::kKind;
  if (consumers != 1) return FusionBarrier::kConsumers;
  const FusionBarrier compute = CompareCompute(*up, *down);
  if (compute != FusionBarrier::kNone) return compute;
  if (!JoinCost(up->cost, *down)) return FusionBarrier::kResources;
  if (!SamePlace(*up->program, *down->program)) return FusionBarrier::kPlace;
  if (!BundleRows(up_spec, down_spec)) return FusionBarrier::kBundle;
  return FusionBarrier::kNone;
}

std::shared_ptr<const PhysicalRule> MakeOperatorFusion() {
  return std::make_shared<OperatorFusion>();
}

}  // namespace headrace
