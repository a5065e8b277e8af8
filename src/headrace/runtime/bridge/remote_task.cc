#include "headrace/runtime/bridge/remote_task.h"

#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/base/wire.h"
#include "headrace/data/transform/function.h"
#include "headrace/runtime/bridge/task_message.h"
#include "headrace/runtime/local/process_memory.h"
#include "headrace/runtime/local/task_run.h"

namespace headrace {

class RemoteTask::Impl {
 public:
  Impl(ProgramPtr program, std::string_view order,
       std::vector<std::shared_ptr<arrow::Table>> inputs, FunctionRuntime* functions)
      : program_(std::move(program)),
        order_(DecodeOrder(order)),
        inputs_(std::move(inputs)),
        functions_(functions),
        run_(INT64_MAX, order_.ok() ? order_->skip_outputs : 0) {}

  Step Next() {
    if (!run_.opened()) {
      const Status status = Open();
      if (!status.ok()) return End(run_.FailureFrom(status));
    }
    TaskRun::Pulled pulled = run_.Pull();
    peak_heap_bytes_ = std::max(peak_heap_bytes_, heap_.Measure());
    if (!pulled.output) return End(std::move(pulled.failure));
    const BlockInfo& info = pulled.output->info;
    return {pulled.output->block.table(), info.num_bytes, EncodeOutput(pulled.index, info)};
  }

  void Cancel() { run_.Cancel(); }

 private:
  Status Open() {
    ARROW_RETURN_NOT_OK(order_.status());
    TaskInput input = std::move(order_->input);
    std::size_t count = input.infos.size();
    for (const SideInput& side : input.sides) count += side.infos.size();
    if (count != inputs_.size()) {
      return Status::Invalid("order with ", count, " inputs, and ", inputs_.size(), " came");
    }
    auto next = inputs_.begin();
    for (std::size_t i = 0; i < input.infos.size(); ++i) {
      BlockInfo& info = input.infos[i];
      Block& block =
          input.blocks.emplace_back(WithRows(std::move(*next++), info.num_rows), info.num_bytes);
      if (!order_->ranges.empty()) CutToRange(order_->ranges[i], &block, &info);
    }
    for (SideInput& side : input.sides) {
      for (const BlockInfo& info : side.infos) {
        side.blocks.emplace_back(WithRows(std::move(*next++), info.num_rows), info.num_bytes);
      }
    }
    inputs_.clear();
    TaskContext context;
    context.functions = functions_;
    return run_.Open(*program_, std::move(input), context);
  }

  Step End(std::optional<Failure> failure) {
    TaskReport report{std::move(failure), run_.Close()};
    report.stats.peak_heap_bytes = peak_heap_bytes_;
    return {nullptr, 0, EncodeReport(report)};
  }

  const ProgramPtr program_;
  Result<RemoteOrder> order_;
  std::vector<std::shared_ptr<arrow::Table>> inputs_;
  FunctionRuntime* const functions_;
  TaskRun run_;
  HeapMeter heap_{/*beyond_first=*/false};
  std::int64_t peak_heap_bytes_ = 0;
};

RemoteTask::RemoteTask(ProgramPtr program, std::string_view order,
                       std::vector<std::shared_ptr<arrow::Table>> inputs,
                       FunctionRuntime* functions)
    : impl_(std::make_unique<Impl>(std::move(program), order, std::move(inputs), functions)) {}

RemoteTask::~RemoteTask() = default;

RemoteTask::Step RemoteTask::Next() { return impl_->Next(); }
void RemoteTask::Cancel() { impl_->Cancel(); }

Result<ProgramPtr> ReadRemoteProgram(std::string_view bytes) {
  WireReader in(bytes);
  ARROW_ASSIGN_OR_RAISE(ProgramPtr program, ReadProgram(&in));
  ARROW_RETURN_NOT_OK(in.Finish());
  return program;
}

std::string StartRemoteActor(const TaskProgram& program, FunctionRuntime* functions) {
  const Status status = MakeInstances(program, functions);
  return status.ok() ? "" : EncodeFailure(FailureOf(status));
}

}  // namespace headrace
