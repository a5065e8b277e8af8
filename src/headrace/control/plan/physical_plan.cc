#include "headrace/control/plan/physical_plan.h"

namespace headrace {

std::optional<std::size_t> StreamedInput(const ExchangeOperator& exchange) {
  if (exchange.kind == ExchangeKind::kRowBatches) return 0;
  const bool joins = exchange.kind == ExchangeKind::kBroadcast || exchange.broadcast_bytes > 0;
  return joins ? std::optional<std::size_t>(1 - exchange.small_input) : std::nullopt;
}

Status CheckFeasible(const PhysicalPlan& plan, const Resources& total) {
  for (const OperatorSpec& op : plan.operators) {
    if (const auto* exchange = op.As<ExchangeOperator>()) {
      if (exchange->program == nullptr || exchange->cost.FitsIn(total)) continue;
      return Status::Invalid(op.name, " cannot run: each task asks for ", exchange->cost.ToString(),
                             ", but there is only ", total.ToString(), " (not enough ",
                             exchange->cost.FirstShortage(total), ")");
    }
    const auto* task = op.As<TaskOperator>();
    if (task == nullptr || task->cost.FitsIn(total)) continue;
    const bool actors = std::holds_alternative<ActorPool>(task->compute);
    return Status::Invalid(op.name, " cannot run: each ", actors ? "actor" : "task", " asks for ",
                           task->cost.ToString(), ", but there is only ", total.ToString(),
                           " (not enough ", task->cost.FirstShortage(total), ")");
  }
  return Status::OK();
}

}  // namespace headrace
