#include "headrace/runtime/local/task_run.h"

#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/data/transform/function.h"
#include "headrace/runtime/store/local_store.h"
#include "headrace/runtime/store/losses.h"

namespace headrace {

Status TaskRun::Open(const TaskProgram& program, TaskInput&& input, TaskContext context) {
  context.cancelled = &cancelled_;
  ARROW_ASSIGN_OR_RAISE(pipeline_, Pipeline::Make(program, std::move(input), context));
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
    pulled.last = pipeline_->ended();
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
  if (Losses().Add(status)) return Failure::FromStatus(FailureKind::kInputLost, status);
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
  input.left_blocks = order.left_inputs;
  input.keys = order.keys;
  Losses losses;
  std::size_t side_begin = order.inputs.size();
  for (const std::uint32_t count : order.sides) side_begin -= count;
  input.blocks.reserve(side_begin);
  input.infos.reserve(side_begin);
  for (std::size_t i = 0; i < side_begin; ++i) {
    const RowRange rows = order.ranges.empty() ? RowRange{} : order.ranges[i];
    auto got = store.Get(order.inputs[i], rows);
    if (losses.Add(got.status())) continue;
    ARROW_ASSIGN_OR_RAISE(Block block, std::move(got));
    ARROW_ASSIGN_OR_RAISE(BlockInfo info, store.Info(order.inputs[i]));
    info.index = nullptr;  // Of the whole block.
    info.num_rows = block.num_rows();
    info.num_bytes = block.num_bytes();
    input.blocks.push_back(std::move(block));
    input.infos.push_back(std::move(info));
  }
  for (const std::uint32_t count : order.sides) {
    SideInput& side = input.sides.emplace_back();
    for (std::size_t i = side_begin; i < side_begin + count; ++i) {
      side.objects.push_back(order.inputs[i]);
      auto got = store.Get(order.inputs[i]);
      if (losses.Add(got.status())) continue;
      ARROW_ASSIGN_OR_RAISE(side.blocks.emplace_back(), std::move(got));
      ARROW_ASSIGN_OR_RAISE(side.infos.emplace_back(), store.Info(order.inputs[i]));
      side.infos.back().index = nullptr;
    }
    side_begin += count;
  }
  ARROW_RETURN_NOT_OK(losses.status());
  return input;
}

void CutToRange(const RowRange& range, Block* block, BlockInfo* info) {
  const std::int64_t rows = block->num_rows();
  const std::int64_t end = range.end < 0 ? rows : std::min(range.end, rows);
  const std::int64_t begin = std::clamp<std::int64_t>(range.begin, 0, end);
  if (begin == 0 && end == rows) return;
  // The share of the bytes is near enough: measuring would walk every buffer for each task.
  const std::int64_t bytes =
      static_cast<std::int64_t>(static_cast<double>(block->num_bytes()) *
                                static_cast<double>(end - begin) / static_cast<double>(rows));
  *block = Block(block->table()->Slice(begin, end - begin), bytes);
  info->num_rows = end - begin;
  info->num_bytes = bytes;
}

}  // namespace headrace
