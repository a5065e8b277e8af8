#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "headrace/runtime/backend.h"
#include "headrace/runtime/bridge/bridge.h"
#include "headrace/runtime/bridge/bridge_store.h"
#include "headrace/runtime/reference_account.h"

namespace headrace {

/// The backend of one execution on a cluster: turns orders into those of a BridgeJob, and what the
/// job reports into events. All programs run there, those of C++ steps too.
///
/// A task that waits for credit keeps its cpu: its worker has no other use for the process. What it
/// has made beyond its credit, the bridge bounds.
class BridgeBackend : public Backend {
 public:
  /// `asked` is what the run asks of the cluster; see Bridge::NewJob().
  static Result<std::unique_ptr<Backend>> Make(std::shared_ptr<BridgeStore> store,
                                               const std::string& asked);
  ~BridgeBackend() override;

  std::string_view name() const override { return store_->bridge().name(); }

  void StartTask(TaskId task, TaskOrder order) override;
  void GrantCredit(TaskId task, std::int64_t credit_bytes) override;
  void CancelTask(TaskId task) override;
  void StartActor(ActorId actor, const ActorOrder& order) override;
  void StopActor(ActorId actor) override;

  Result<BlockHandle> Put(const Block& block) override;
  Result<Block> Get(ObjectId object) override { return store_->Get(object); }
  void Retain(std::span<const ObjectId> objects) override;
  void Release(std::span<const ObjectId> objects) override;
  /// Says that all are on disk: the cluster's store writes to disk by itself what does not fit, so
  /// they need no room in the budget from now on.
  void SpillObjects(std::vector<ObjectId> objects) override;

  Instant Now() const override;
  Resources capacity() const override { return capacity_; }
  Resources possible_capacity() const override { return possible_; }
  bool may_grow() const override { return true; }
  void Want(const std::vector<ResourceDemand>& demands) override;
  std::int64_t object_store_bytes() const override { return store_bytes_; }
  bool parks_waiting_tasks() const override { return false; }
  /// A task costs the cluster some 20 ms of cpu, and each of its inputs a millisecond.
  std::int64_t task_bytes() const override { return 8 << 20; }
  void Wait(Instant deadline, std::vector<Event>* events) override;
  void Post(Event event) override;

 private:
  /// What other threads leave for the one in Wait(). Outlives the backend: the job's last call of
  /// `wake` may come after its end.
  struct Mailbox {
    std::mutex mutex;  // Guards the two below.
    std::condition_variable changed;
    std::vector<Event> posted;
    bool woken = false;  // The job may have something.
  };

  BridgeBackend(std::shared_ptr<BridgeStore> store, std::shared_ptr<Mailbox> mailbox);

  Status TryStartTask(BridgeKey key, TaskId task, const TaskOrder& order);
  Status Register(const TaskProgram& program);
  void PostAll(std::vector<Event> events);
  void Poll(std::vector<Event>* events);
  void Translate(BridgeEvent event, std::vector<Event>* events);
  Result<Event> TranslateBlock(TaskId task, const BridgeEvent& event);
  void EndTask(BridgeKey key, std::optional<Failure> failure, const TaskStats& stats,
               std::vector<Event>* events);
  void LoseActor(BridgeKey key, Failure failure, std::vector<Event>* events);
  /// Ends everything: the connection is gone.
  void LoseAll(const Status& status, std::vector<Event>* events);

  const std::shared_ptr<BridgeStore> store_;
  const std::shared_ptr<Mailbox> mailbox_;
  const std::uint64_t generation_;
  const std::int64_t start_nanos_;
  std::unique_ptr<BridgeJob> job_;
  Resources capacity_;  // At the beginning: after that, events tell.
  Resources possible_;
  std::int64_t store_bytes_ = 0;

  // Of the thread that drives.
  std::set<std::uint64_t> programs_;  // Registered ones.
  BridgeKey next_key_ = 1;
  std::unordered_map<TaskId, BridgeKey> task_keys_;
  std::unordered_map<BridgeKey, TaskId> tasks_;
  std::map<ActorId, BridgeKey> actor_keys_;
  std::unordered_map<BridgeKey, ActorId> actors_;

  ReferenceAccount references_;
};

/// Makes the backends of a session whose blocks lie in the cluster of `bridge`.
std::shared_ptr<BackendSource> MakeBridgeSource(std::shared_ptr<Bridge> bridge);

}  // namespace headrace
