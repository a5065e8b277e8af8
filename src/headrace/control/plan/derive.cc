#include "headrace/control/plan/derive.h"

#include <algorithm>

#include "headrace/base/check.h"

namespace headrace {
namespace {

const FunctionSpec* FunctionOf(const Step& step) {
  TaskProgram alone;
  alone.steps = {step};
  return FindFunction(alone);
}

template <class Test>
bool AnyFunction(const std::vector<Step>& steps, const Test& test) {
  return std::any_of(steps.begin(), steps.end(), [&](const Step& step) {
    const FunctionSpec* function = FunctionOf(step);
    return function != nullptr && test(*function);
  });
}

OperatorSpec& At(PhysicalPlan* plan, OperatorId id) {
  HEADRACE_CHECK(id.value >= 0 && id.value < static_cast<int>(plan->operators.size()));
  return plan->operators[static_cast<std::size_t>(id.value)];
}

// Returns true if the operator's rows are in an order that was asked for.
bool IsSorted(const OperatorSpec& op) {
  const auto* exchange = op.As<ExchangeOperator>();
  if (exchange == nullptr) return false;
  return exchange->kind == ExchangeKind::kRuns || exchange->kind == ExchangeKind::kRows ||
         exchange->kind == ExchangeKind::kRowBatches || exchange->kind == ExchangeKind::kPermuted;
}

// Returns true if only tasks stand between `id` and a limit or something sorted.
bool FollowsOrder(const PhysicalPlan& plan, OperatorId id) {
  for (;;) {
    const OperatorSpec& op = plan.operators[static_cast<std::size_t>(id.value)];
    if (op.As<LimitOperator>() != nullptr || IsSorted(op)) return true;
    if (op.As<TaskOperator>() == nullptr || op.inputs.empty()) return false;
    id = op.inputs.front();
  }
}

void SetShared(bool shared, ProgramPtr* program) {
  if (*program == nullptr || (*program)->shared_output == shared) return;
  auto copy = std::make_shared<TaskProgram>(**program);
  copy->shared_output = shared;
  *program = std::move(copy);
}

}  // namespace

Lane LaneOf(const std::vector<Step>& steps) {
  const bool python =
      AnyFunction(steps, [](const FunctionSpec& function) { return function.payload != nullptr; });
  return python ? Lane::kProcess : Lane::kThread;
}

bool HasClass(const std::vector<Step>& steps) {
  return AnyFunction(steps, [](const FunctionSpec& function) { return function.is_class; });
}

void DeriveOrder(bool preserve_order, PhysicalPlan* plan) {
  for (OperatorSpec& op : plan->operators) {
    const bool ordered = op.inputs.size() == 1 && FollowsOrder(*plan, op.inputs.front());
    op.keep_order = preserve_order || IsSorted(op) || (ordered && op.As<TaskOperator>() != nullptr);
  }
  // Consumers come after what they consume, so one walk back carries every need to the sources.
  for (auto op = plan->operators.rbegin(); op != plan->operators.rend(); ++op) {
    // An exchange puts in order by itself what it gathers.
    if (const auto* exchange = op->As<ExchangeOperator>()) {
      const auto streamed = StreamedInput(*exchange);
      if (streamed && op->keep_order) At(plan, op->inputs[*streamed]).keep_order = true;
      continue;
    }
    if (!op->keep_order && op->As<LimitOperator>() == nullptr) continue;
    for (OperatorId input : op->inputs) At(plan, input).keep_order = true;
  }
}

void DeriveSharedOutputs(PhysicalPlan* plan) {
  std::vector<bool> shared(plan->operators.size(), false);
  for (std::size_t i = plan->operators.size(); i-- > 0;) {
    OperatorSpec& op = plan->operators[i];
    bool reads_shared = shared[i];  // Limits and unions pass on what their consumer needs.
    if (auto* task = std::get_if<TaskOperator>(&op.kind)) {
      SetShared(shared[i], &task->program);
      reads_shared = task->program->lane == Lane::kProcess;
    } else if (auto* limit = std::get_if<LimitOperator>(&op.kind)) {
      SetShared(shared[i], &limit->cut_program);
    } else if (auto* exchange = std::get_if<ExchangeOperator>(&op.kind)) {
      // Without tasks it passes blocks on.
      SetShared(shared[i], &exchange->program);
      if (exchange->program != nullptr) reads_shared = exchange->program->lane == Lane::kProcess;
    }
    if (!reads_shared) continue;
    for (OperatorId input : op.inputs) shared[static_cast<std::size_t>(input.value)] = true;
  }
}

}  // namespace headrace
