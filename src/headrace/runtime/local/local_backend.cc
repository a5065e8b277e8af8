#include "headrace/runtime/local/local_backend.h"

#include <arrow/table.h>

#include <utility>

#include "headrace/protocol/program.h"
#include "headrace/runtime/local/memory_watch.h"
#include "headrace/runtime/local/worker_pool.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {
namespace {

constexpr std::size_t kStartedMax = 16;  // So many tasks may wait for those started after them.

}  // namespace

LocalBackend::LocalBackend(std::shared_ptr<LocalRuntime> runtime, std::shared_ptr<LocalStore> store,
                           ThreadLane* lane, WorkerPool* workers, MemoryWatch* memory)
    : runtime_(std::move(runtime)),
      port_(std::make_shared<EventPort>(std::move(store))),
      lane_(lane),
      workers_(workers),
      memory_(memory),
      start_nanos_(SteadyNanos()) {}

LocalBackend::~LocalBackend() {
  if (!runtime_->usable()) return;  // Of the parent process: nobody here would end the tasks.
  for (const auto& [actor, key] : actors_) {
    if (key != 0) workers_->StopActor(key);
  }
  std::vector<TaskId> running;
  for (const auto& [id, task] : tasks_) running.push_back(id);
  for (TaskId id : running) CancelTask(id);
  std::vector<Event> events;
  while (!tasks_.empty()) {
    events.clear();
    Wait(kNever, &events);
  }
  if (limited_) memory_->Leave(port_.get());
  port_->ReleaseAll();
  workers_->Flush();
}

void LocalBackend::StartTask(TaskId task, TaskOrder order) {
  if (order.program->lane == Lane::kThread) {
    started_.push_back(ThreadLane::Make(port_, task, std::move(order)));
    Enter(task, started_.back());
    if (started_.size() >= kStartedMax) Flush();
    return;
  }
  std::uint64_t actor = 0;
  if (order.actor.has_value()) {
    auto it = actors_.find(*order.actor);
    if (it == actors_.end()) {
      Enter(task, WorkerTaskKey{0});
      port_->Push(event::TaskEnded{
          task,
          Failure::FromStatus(FailureKind::kWorkerLost, Status::Cancelled("the actor is gone")),
          {}});
      return;
    }
    actor = it->second;
  }
  Enter(task, workers_->StartTask(port_, task, std::move(order), actor));
}

void LocalBackend::Enter(TaskId id, Tasks::mapped_type task) {
  if (spare_nodes_.empty()) {
    tasks_.emplace(id, std::move(task));
    return;
  }
  Tasks::node_type node = std::move(spare_nodes_.back());
  spare_nodes_.pop_back();
  node.key() = id;
  node.mapped() = std::move(task);
  tasks_.insert(std::move(node));
}

void LocalBackend::GrantCredit(TaskId task, std::int64_t credit_bytes) {
  auto it = tasks_.find(task);
  if (it == tasks_.end()) return;
  if (auto* local = std::get_if<ThreadTask>(&it->second)) {
    lane_->Grant(*local, credit_bytes);
  } else {
    workers_->Grant(std::get<WorkerTaskKey>(it->second), credit_bytes);
  }
}

void LocalBackend::CancelTask(TaskId task) {
  auto it = tasks_.find(task);
  if (it == tasks_.end()) return;
  if (auto* local = std::get_if<ThreadTask>(&it->second)) {
    lane_->Cancel(*local);
  } else {
    workers_->Cancel(std::get<WorkerTaskKey>(it->second));
  }
}

void LocalBackend::StartActor(ActorId actor, const ActorOrder& order) {
  if (order.program->lane == Lane::kThread) {
    actors_.emplace(actor, ActorKey{0});
    port_->Push(event::ActorReady{actor});
    return;
  }
  actors_.emplace(actor, workers_->StartActor(port_, actor, order));
}

void LocalBackend::StopActor(ActorId actor) {
  auto it = actors_.find(actor);
  if (it == actors_.end()) return;
  if (it->second != 0) workers_->StopActor(it->second);
  actors_.erase(it);
}

Result<BlockHandle> LocalBackend::Put(const Block& block) { return port_->Put(block); }

Result<Block> LocalBackend::Get(ObjectId object) { return port_->store().Get(object); }

void LocalBackend::SpillObjects(std::vector<ObjectId> objects) {
  lane_->Submit([port = port_, objects = std::move(objects)] { port->Spill(objects); });
}

Result<MemoryRoom> LocalBackend::LimitMemory(std::int64_t limit_bytes) {
  limited_ = true;
  return memory_->Join(port_, limit_bytes);
}

void LocalBackend::Flush() {
  if (started_.empty()) return;
  lane_->Enqueue(started_);
  started_.clear();
}

void LocalBackend::Wait(Instant deadline, std::vector<Event>* events) {
  Flush();
  workers_->Flush();
  port_->store().AwaitRoom();
  const std::size_t first = events->size();
  const std::int64_t deadline_nanos =
      deadline == kNever ? INT64_MAX : start_nanos_ + deadline.nanos;
  port_->Wait(deadline_nanos, events);
  NoteEnded(*events, first);
}

void LocalBackend::NoteEnded(const std::vector<Event>& events, std::size_t first) {
  for (std::size_t i = first; i < events.size(); ++i) {
    if (const auto* ended = std::get_if<event::TaskEnded>(&events[i])) {
      Tasks::node_type node = tasks_.extract(ended->task);
      if (node.empty()) continue;
      node.mapped() = WorkerTaskKey{0};
      spare_nodes_.push_back(std::move(node));
    } else if (const auto* lost = std::get_if<event::ActorLost>(&events[i])) {
      actors_.erase(lost->actor);
    }
  }
}

}  // namespace headrace
