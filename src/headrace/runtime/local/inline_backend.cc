#include "headrace/runtime/local/inline_backend.h"

#include <arrow/table.h>

#include <utility>

#include "headrace/data/transform/function.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/local/memory_watch.h"
#include "headrace/runtime/local/task_run.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

struct InlineBackend::Task {
  Task(TaskId id, const TaskOrder& order)
      : id(id), order(order), run(order.credit_bytes, order.skip_outputs) {}

  const TaskId id;
  const TaskOrder order;
  TaskRun run;
  bool parked = false;
};

InlineBackend::InlineBackend(std::shared_ptr<LocalRuntime> runtime,
                             std::shared_ptr<LocalStore> store, FunctionRuntime* functions,
                             MemoryWatch* memory)
    : runtime_(std::move(runtime)),
      port_(std::make_shared<EventPort>(std::move(store))),
      functions_(functions),
      memory_(memory),
      start_nanos_(SteadyNanos()) {}

// Between two calls of Wait() nothing runs, so there is nothing to be waited for.
InlineBackend::~InlineBackend() {
  if (limited_) memory_->Leave(port_.get());
}

Result<MemoryRoom> InlineBackend::LimitMemory(std::int64_t limit_bytes) {
  limited_ = true;
  return memory_->Join(port_, limit_bytes);
}

void InlineBackend::StartTask(TaskId task, TaskOrder order) {
  tasks_.emplace(task, std::make_unique<Task>(task, std::move(order)));
  ready_.push_back(task);
}

void InlineBackend::GrantCredit(TaskId id, std::int64_t credit_bytes) {
  auto it = tasks_.find(id);
  if (it == tasks_.end()) return;
  Task& task = *it->second;
  task.run.Grant(credit_bytes);
  if (task.run.has_credit() && std::exchange(task.parked, false)) ready_.push_back(id);
}

void InlineBackend::CancelTask(TaskId id) {
  auto it = tasks_.find(id);
  if (it == tasks_.end()) return;
  it->second->run.Cancel();
  if (std::exchange(it->second->parked, false)) ready_.push_back(id);
}

void InlineBackend::StartActor(ActorId actor, const ActorOrder& order) {
  const Status status = MakeInstances(*order.program, functions_);
  if (!status.ok()) return port_->Push(event::ActorLost{actor, FailureOf(status)});
  port_->Push(event::ActorReady{actor});
}

Result<BlockHandle> InlineBackend::Put(const Block& block) { return port_->Put(block); }

Result<Block> InlineBackend::Get(ObjectId object) { return port_->store().Get(object); }

void InlineBackend::Wait(Instant deadline, std::vector<Event>* events) {
  if (port_->TryTake(events)) return;
  if (!ready_.empty()) {
    port_->store().AwaitRoom();
    RunOne();
    if (port_->TryTake(events)) return;
  }
  port_->Wait(deadline == kNever ? INT64_MAX : start_nanos_ + deadline.nanos, events);
}

Status InlineBackend::Open(Task& task) {
  TaskContext context;
  context.sides = &port_->sides();
  context.functions = functions_;
  ARROW_ASSIGN_OR_RAISE(TaskInput input, LoadInput(task.id, task.order, port_->store()));
  return task.run.Open(*task.order.program, std::move(input), context);
}

void InlineBackend::RunOne() {
  Task& task = *tasks_.at(ready_.front());
  if (!task.run.opened() && !task.run.cancelled()) {
    const Status status = Open(task);
    if (!status.ok()) {
      port_->TellLosses(status);
      return End(task, task.run.FailureFrom(status));
    }
  }
  if (task.run.cancelled()) return End(task, TaskRun::Cancelled());
  TaskRun::Pulled pulled = task.run.Pull();
  if (!pulled.output.has_value()) return End(task, std::move(pulled.failure));
  const Status room = port_->store().CheckRoom();
  if (!room.ok()) return End(task, Failure::FromStatus(FailureKind::kSystem, room));
  const std::int64_t num_bytes = pulled.output->info.num_bytes;
  port_->Yield(task.id, pulled.index, std::move(pulled.output->block),
               std::move(pulled.output->info));
  if (pulled.last) return End(task, std::nullopt);
  if (task.run.Charge(num_bytes)) return;
  task.parked = true;
  ready_.pop_front();
  port_->Push(event::TaskParked{task.id, task.run.credit_bytes()});
}

void InlineBackend::End(Task& task, std::optional<Failure> failure) {
  const TaskStats stats = task.run.Close();
  port_->Push(event::TaskEnded{task.id, std::move(failure), stats});
  tasks_.erase(ready_.front());
  ready_.pop_front();
}

}  // namespace headrace
