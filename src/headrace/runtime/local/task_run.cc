#include "headrace/runtime/local/task_run.h"

#include <utility>

#include "headrace/base/check.h"
#include "headrace/data/transform/function.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

Status TaskRun::Open(ProgramPtr program, TaskInput input, TaskContext context) {
  context.cancelled = &cancelled_;
  ARROW_ASSIGN_OR_RAISE(pipeline_, Pipeline::Make(std::move(program), std::move(input), context));
  return Status::OK();
}

TaskRun::Pulled TaskRun::Pull() {
  Pulled pulled;
  while (true) {
    if (cancelled()) {
      pulled.failure = Cancelled();
      return pulled;
    }
    auto next = pipeline_->Next();
    if (!next.ok()) {
      pulled.failure = FailureFrom(next.status());
      return pulled;
    }
    if (!next->has_value()) return pulled;
    pulled.index = next_index_++;
    if (pulled.index < skip_outputs_) continue;
    pulled.output = std::move(*next);
    return pulled;
  }
}

void TaskRun::Grant(std::int64_t credit_bytes) {
  std::int64_t now = credit_bytes_.load();
  while (now < credit_bytes && !credit_bytes_.compare_exchange_weak(now, credit_bytes)) {
  }
}

TaskStats TaskRun::Close() {
  if (pipeline_ == nullptr) return {};
  const TaskStats stats = pipeline_->stats();
  pipeline_.reset();
  return stats;
}

Failure TaskRun::Cancelled() {
  return Failure::FromStatus(FailureKind::kCancelled, Status::Cancelled("the task was cancelled"));
}

Failure TaskRun::FailureFrom(const Status& status) const {
  if (cancelled() && status.IsCancelled()) return Cancelled();
  return FailureOf(status);
}

std::vector<ReadUnit> LoadUnits(const TaskOrder& order) {
  std::vector<ReadUnit> units;
  if (order.units.empty()) return units;
  const ReadStep* read = FindReadStep(*order.program);
  HEADRACE_CHECK(read != nullptr);
  units.reserve(order.units.size());
  for (std::uint32_t unit : order.units) units.push_back(read->source->units.at(unit));
  return units;
}

Status MakeInstances(const TaskProgram& program, FunctionRuntime* functions) {
  for (const Step& step : program.steps) {
    FunctionPtr function;
    if (const auto* map = std::get_if<MapStep>(&step)) function = map->function;
    if (const auto* write = std::get_if<WriteStep>(&step)) function = write->target->function;
    if (function == nullptr || !function->is_class) continue;
    if (functions == nullptr) return Status::Invalid("no language for ", function->name);
    ARROW_RETURN_NOT_OK(functions->Resolve(function).status());
  }
  return Status::OK();
}

Result<TaskInput> LoadInput(TaskId id, const TaskOrder& order, LocalStore& store) {
  TaskInput input;
  input.task_number = id.ordinal;
  input.position = order.position;
  input.units = LoadUnits(order);
  input.blocks.reserve(order.inputs.size());
  input.infos.reserve(order.inputs.size());
  for (ObjectId object : order.inputs) {
    ARROW_ASSIGN_OR_RAISE(Block block, store.Get(object));
    ARROW_ASSIGN_OR_RAISE(BlockInfo info, store.Info(object));
    input.blocks.push_back(std::move(block));
    input.infos.push_back(std::move(info));
  }
  return input;
}

}  // namespace headrace
