#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "headrace/protocol/event.h"
#include "headrace/runtime/local/local_runtime.h"
#include "headrace/runtime/local/worker_records.h"
#include "headrace/runtime/local/worker_template.h"

namespace headrace {

class LocalStore;
class ThreadLane;

/// The worker processes of this machine's runtime, and the tasks of the process lane.
///
///   StartTask ─▶ preparing ─▶ waiting ─▶ sent ◀─▶ parked      (Cancel ends it from any state)
///                                          └────▶ ended
///
/// A worker runs one task at a time. It is sent more only while tasks are short, so that none
/// waits behind a long one. Workers are made as tasks need them, up to one per cpu, and kept for a
/// while. An actor has a worker of its own. When a worker dies, its tasks end with kWorkerLost; its
/// blocks stay readable.
///
/// A task that is cancelled and does not end within a second costs its worker's life.
///
/// Threads: all methods from any thread. One thread of the pool's own serves the sockets. Orders
/// are queued, and sent together by Flush().
class WorkerPool {
 public:
  WorkerPool(WorkerOptions options, int max_workers, ThreadLane* lane);
  /// Ends the workers and the template. Requires: no task is left.
  ~WorkerPool();

  void WarmUp();
  void SetSetup(std::string setup_payload);

  /// Starts a task; returns its key. `actor` is what StartActor() returned, or 0 for none.
  std::uint64_t StartTask(std::shared_ptr<EventPort> port, TaskId id, TaskOrder order,
                          std::uint64_t actor);
  void Grant(std::uint64_t task, std::int64_t credit_bytes);
  void Cancel(std::uint64_t task);

  /// Starts an actor; returns its key.
  std::uint64_t StartActor(std::shared_ptr<EventPort> port, ActorId id, const ActorOrder& order);
  /// Ends the actor after its tasks.
  void StopActor(std::uint64_t actor);

  /// Sends what was ordered since the last call.
  void Flush();

  /// The process ids of the template and of the workers that run.
  std::vector<std::int64_t> pids() const;

  // For the memory watch: worker_pool_memory.cc.

  /// Returns all workers; and the template's process id, -1 if it does not run.
  std::vector<WorkerUse> Uses(std::int64_t* template_pid) const;
  /// Takes in what `worker` holds beyond what it says itself.
  void NoteUnseen(std::uint64_t worker, std::int64_t bytes);
  /// Says how much free memory each worker may keep for its next task.
  void SetKeepFree(std::int64_t bytes);
  /// Ends a worker that has no task; returns false if it has one.
  bool StopIdle(std::uint64_t worker);
  /// Kills a worker that holds `heap_bytes`; its tasks end with kOverMemory.
  void StopOverMemory(std::uint64_t worker, std::int64_t heap_bytes);

 private:
  struct KnownProgram {
    std::weak_ptr<const TaskProgram> program;
    std::string bytes;            // WriteProgram().
    std::int64_t task_nanos = 0;  // What its tasks take, averaged; 0: unknown.
  };

  // Requires of all below: mutex_ is held, unless it says otherwise.

  // worker_pool.cc: from order to worker.
  void FinishPreparing(std::uint64_t key, const Status& status, std::vector<SharedTable> inputs,
                       std::vector<BlockInfo> infos);
  void Assign(std::uint64_t key);
  void Dispatch();
  /// Returns the worker for `task`; null: it must wait, or with `may_spawn` have a new one.
  Worker* ChooseWorker(const WorkerTask& task, bool* may_spawn);
  Result<Worker*> Spawn();
  void Send(Worker& worker, std::uint64_t key);
  Status WriteOrder(Worker& worker, std::uint64_t key, WireWriter* out);
  Status SendProgram(Worker& worker, const std::shared_ptr<const TaskProgram>& program);
  void ForgetDeadPrograms();
  void EndTask(std::uint64_t key, std::optional<Failure> failure, const TaskStats& stats);
  void CancelSent(WorkerTask& task, std::uint64_t key);
  void Stop(Worker& worker);

  // worker_pool_memory.cc
  void SendKeepFree(Worker& worker);
  void EndStopped(Worker& worker, const Failure& failure);
  void FreeRest(const Worker& worker);

  // worker_pool_io.cc: from worker to events.
  void Serve();  // Without mutex_.
  void Wake();   // Without or with mutex_: lets Serve() look at everything again.
  void Receive(Worker& worker);
  Status Handle(Worker& worker, const Frame& frame);
  Status OnGreeting(Worker& worker, WireReader& in);
  Status OnYielded(Worker& worker, WireReader& in);
  Status OnParked(Worker& worker, WireReader& in);
  Status OnEnded(Worker& worker, WireReader& in);
  void OnActorFailed(Worker& worker, Failure failure);
  void OnTemplate();
  void FlushAll();
  void FlushWorker(Worker& worker);
  void SendDrops();
  void Lose(Worker& worker);
  void Bury(std::uint64_t key);
  void Kill(Worker& worker);
  void WatchTemplate();
  /// Does what is due; returns when something is next due.
  std::int64_t CheckDeadlines(std::int64_t now);

  const int max_workers_;
  ThreadLane* const lane_;
  int epoll_ = -1;
  int wake_ = -1;
  std::shared_ptr<DropQueue> drops_;

  mutable std::mutex mutex_;  // Guards all below.
  WorkerTemplate template_;
  int watched_template_ = -1;  // The control socket that epoll_ knows.
  std::string setup_;
  std::uint64_t next_key_ = 1;
  std::uint64_t next_pin_ = 1;
  std::unordered_map<std::uint64_t, WorkerTask> tasks_;
  std::deque<std::uint64_t> waiting_;
  std::map<std::uint64_t, std::unique_ptr<Worker>> workers_;
  std::deque<std::uint64_t> requested_;  // Workers that the template has not answered for yet.
  std::set<std::uint64_t> unsent_;       // Workers with frames to be sent.
  std::unordered_map<std::uint64_t, KnownProgram> programs_;
  SchemaCache schema_cache_;
  std::vector<DropQueue::Drop> taken_drops_;
  std::int64_t keep_free_bytes_ = -1;  // -1: as much as they like.
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace headrace
