#include "headrace/control/schedule/output_order.h"

#include <variant>

namespace headrace {
namespace {

// Returns true if `task` joins blocks and may do so among small ones alone. What writes files keeps
// a promise of rows in each; and a piece has ended when all of its bundles have.
bool JoinsSmallBlocks(const TaskOperator& task) {
  const std::vector<Step>& steps = task.program->steps;
  const bool writes = !steps.empty() && std::holds_alternative<WriteStep>(steps.back());
  return task.min_bundle_rows > 0 && task.piece_depth == 0 && !writes;
}

}  // namespace

std::vector<OutputOrder> OutputOrders(const PhysicalPlan& plan) {
  std::vector<OutputOrder> orders(plan.operators.size());
  for (std::size_t i = plan.operators.size(); i-- > 0;) {
    const OperatorSpec& spec = plan.operators[i];
    if (spec.keep_order) orders[i] = {.ordered = true};
    const auto* task = spec.As<TaskOperator>();
    const auto* exchange = spec.As<ExchangeOperator>();
    // Tasks are numbered as their inputs come, so outputs are in order only if inputs are.
    bool needs_order = orders[i].ordered || spec.As<LimitOperator>() != nullptr ||
                       spec.As<MixOperator>() != nullptr ||
                       (exchange != nullptr && exchange->kind == ExchangeKind::kRowBatches);
    OutputOrder needed{.ordered = true};
    if (!needs_order && task != nullptr && task->min_bundle_rows > 0) {
      needs_order = true;
      if (JoinsSmallBlocks(*task)) needed.large_rows = task->min_bundle_rows;
    }
    for (std::size_t number = 0; number < spec.inputs.size() && needs_order; ++number) {
      // An exchange puts in order what it gathers.
      if (exchange != nullptr && StreamedInput(*exchange) != number) continue;
      const auto input = static_cast<std::size_t>(spec.inputs[number].value);
      orders[input] = needed;
      if (plan.operators[input].As<TaskOperator>() == nullptr) {
        orders[input].large_rows = OrderBuffer::kNone;
      }
    }
  }
  return orders;
}

}  // namespace headrace
