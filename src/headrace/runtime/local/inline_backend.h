#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "headrace/runtime/backend.h"
#include "headrace/runtime/local/event_port.h"
#include "headrace/runtime/local/local_runtime.h"
#include "headrace/runtime/steady_nanos.h"

namespace headrace {

class FunctionRuntime;
class MemoryWatch;

/// A backend that does everything in the thread that calls Wait(), one output of one task at a
/// time, so that a debugger stops in the user's function. All actors share one instance.
class InlineBackend : public Backend {
 public:
  /// `functions` may be null: C++ functions only. It must outlive this.
  InlineBackend(std::shared_ptr<LocalRuntime> runtime, std::shared_ptr<LocalStore> store,
                FunctionRuntime* functions, MemoryWatch* memory);
  ~InlineBackend() override;

  std::string_view name() const override { return "inline"; }

  void StartTask(TaskId task, TaskOrder order) override;
  void GrantCredit(TaskId task, std::int64_t credit_bytes) override;
  void CancelTask(TaskId task) override;
  void StartActor(ActorId actor, const ActorOrder& order) override;
  void StopActor(ActorId actor) override {}

  Result<BlockHandle> Put(const Block& block) override;
  Result<Block> Get(ObjectId object) override;
  void Retain(std::span<const ObjectId> objects) override { port_->Retain(objects); }
  void Release(std::span<const ObjectId> objects) override { port_->Release(objects); }
  void SpillObjects(std::vector<ObjectId> objects) override { port_->Spill(objects); }
  /// There are no processes to be stopped: it measures.
  Result<MemoryRoom> LimitMemory(std::int64_t limit_bytes) override;

  Instant Now() const override { return {SteadyNanos() - start_nanos_}; }
  Resources capacity() const override { return runtime_->options().total; }
  std::int64_t object_store_bytes() const override {
    return runtime_->options().object_store_bytes;
  }
  bool parks_waiting_tasks() const override { return true; }
  bool runs_in_caller() const override { return true; }
  void Wait(Instant deadline, std::vector<Event>* events) override;
  void Post(Event event) override { port_->Push(std::move(event)); }

 private:
  struct Task;

  /// Pulls one output of the first task in the queue.
  void RunOne();
  Status Open(Task& task);
  void End(Task& task, std::optional<Failure> failure);

  const std::shared_ptr<LocalRuntime> runtime_;
  const std::shared_ptr<EventPort> port_;
  FunctionRuntime* const functions_;
  MemoryWatch* const memory_;
  bool limited_ = false;
  const std::int64_t start_nanos_;
  std::unordered_map<TaskId, std::unique_ptr<Task>> tasks_;
  std::deque<TaskId> ready_;
};

}  // namespace headrace
