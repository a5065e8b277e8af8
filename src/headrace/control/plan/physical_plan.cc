#include "headrace/control/plan/physical_plan.h"

#include <algorithm>
#include <cstdio>

namespace headrace {

std::string Megabytes(std::int64_t bytes) {
  char text[40];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

namespace {

/// The program, the cost and the noun of what an operator starts; no program: nothing.
struct Started {
  const TaskProgram* program = nullptr;
  const Resources* cost = nullptr;
  const char* noun = "task";
};

Started StartedBy(const OperatorSpec& op) {
  if (const auto* exchange = op.As<ExchangeOperator>()) {
    return {exchange->program.get(), &exchange->cost};
  }
  const auto* task = op.As<TaskOperator>();
  if (task == nullptr) return {};
  const bool actors = std::holds_alternative<ActorPool>(task->compute);
  return {task->program.get(), &task->cost, actors ? "actor" : "task"};
}

Status CheckMemory(const OperatorSpec& op, const Started& started, const ExecutionOptions& options,
                   std::int64_t free_bytes) {
  const bool worker = started.program->lane == Lane::kProcess;
  const std::int64_t heap = std::max(started.cost->memory_bytes, worker ? kWorkerBytes : 0);
  const std::int64_t need = heap + options.target_min_block_bytes;
  if (need <= free_bytes) return Status::OK();
  const std::string limit = Megabytes(options.memory_limit_bytes);
  std::string text = op.name + " cannot run: each " + started.noun + " needs " + Megabytes(need) +
                     " (" + Megabytes(heap) +
                     (started.cost->memory_bytes >= heap && heap > 0 ? " asked for by memory="
                      : worker                                       ? " for a worker process"
                                                                     : " of heap") +
                     ", " + Megabytes(options.target_min_block_bytes) +
                     " for a block), but memory_limit is " + limit;
  text += free_bytes <= 0 ? ", which the engine itself exceeds by " + Megabytes(-free_bytes)
                          : ", of which the engine itself leaves " + Megabytes(free_bytes);
  return Status::Invalid(text, ": ask for less memory=, or raise memory_limit");
}

}  // namespace

std::optional<std::size_t> StreamedInput(const ExchangeOperator& exchange) {
  if (exchange.kind == ExchangeKind::kRowBatches) return 0;
  const bool joins = exchange.kind == ExchangeKind::kBroadcast || exchange.broadcast_bytes > 0;
  return joins ? std::optional<std::size_t>(1 - exchange.small_input) : std::nullopt;
}

Status CheckFeasible(const PhysicalPlan& plan, const Resources& total,
                     const ExecutionOptions& options, std::int64_t free_bytes) {
  for (const OperatorSpec& op : plan.operators) {
    const Started started = StartedBy(op);
    if (started.cost == nullptr) continue;
    const bool runs = op.As<ExchangeOperator>() == nullptr || started.program != nullptr;
    if (runs && !started.cost->FitsIn(total)) {
      return Status::Invalid(op.name, " cannot run: each ", started.noun, " asks for ",
                             started.cost->ToString(), ", but there is only ", total.ToString(),
                             " (not enough ", started.cost->FirstShortage(total), ")");
    }
    if (options.memory_limit_bytes > 0 && started.program != nullptr) {
      ARROW_RETURN_NOT_OK(CheckMemory(op, started, options, free_bytes));
    }
  }
  return Status::OK();
}

}  // namespace headrace
