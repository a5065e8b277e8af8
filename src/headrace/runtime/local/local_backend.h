#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <variant>

#include "headrace/runtime/backend.h"
#include "headrace/runtime/local/event_port.h"
#include "headrace/runtime/local/local_runtime.h"
#include "headrace/runtime/local/thread_lane.h"
#include "headrace/runtime/steady_nanos.h"

namespace headrace {

class MemoryWatch;
class WorkerPool;

/// The backend of one execution on this machine: hands tasks to the lane of their program.
class LocalBackend : public Backend {
 public:
  /// `runtime` owns all others.
  LocalBackend(std::shared_ptr<LocalRuntime> runtime, std::shared_ptr<LocalStore> store,
               ThreadLane* lane, WorkerPool* workers, MemoryWatch* memory);
  ~LocalBackend() override;

  std::string_view name() const override { return "local"; }

  void StartTask(TaskId task, TaskOrder order) override;
  void GrantCredit(TaskId task, std::int64_t credit_bytes) override;
  void CancelTask(TaskId task) override;
  void StartActor(ActorId actor, const ActorOrder& order) override;
  void StopActor(ActorId actor) override;

  Result<BlockHandle> Put(const Block& block) override;
  Result<Block> Get(ObjectId object) override;
  void Retain(std::span<const ObjectId> objects) override { port_->Retain(objects); }
  void Release(std::span<const ObjectId> objects) override { port_->Release(objects); }
  void SpillObjects(std::vector<ObjectId> objects) override;
  Result<MemoryRoom> LimitMemory(std::int64_t limit_bytes) override;

  Instant Now() const override { return {SteadyNanos() - start_nanos_}; }
  Resources capacity() const override { return runtime_->options().total; }
  std::int64_t object_store_bytes() const override {
    return runtime_->options().object_store_bytes;
  }
  bool parks_waiting_tasks() const override { return true; }
  void Wait(Instant deadline, std::vector<Event>* events) override;
  void Post(Event event) override { port_->Push(std::move(event)); }

 private:
  using ThreadTask = std::shared_ptr<ThreadLane::Task>;
  using WorkerTaskKey = std::uint64_t;
  using ActorKey = std::uint64_t;
  using Tasks = std::unordered_map<TaskId, std::variant<ThreadTask, WorkerTaskKey>>;

  void Enter(TaskId id, Tasks::mapped_type task);

  /// Forgets the tasks and actors that `events` from `first` on say have ended.
  void NoteEnded(const std::vector<Event>& events, std::size_t first);

  /// Gives the thread lane what was started since.
  void Flush();

  const std::shared_ptr<LocalRuntime> runtime_;
  const std::shared_ptr<EventPort> port_;
  ThreadLane* const lane_;
  WorkerPool* const workers_;
  MemoryWatch* const memory_;
  bool limited_ = false;
  const std::int64_t start_nanos_;
  Tasks tasks_;
  std::vector<Tasks::node_type> spare_nodes_;  // Of tasks that ended, to be used again.
  std::vector<ThreadTask> started_;            // But not given to the lane.
  std::map<ActorId, ActorKey> actors_;         // Key 0: of the thread lane, which has no process.
};

}  // namespace headrace
