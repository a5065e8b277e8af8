#pragma once

#include <arrow/table.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/data/transform/function.h"
#include "headrace/runtime/bridge/bridge.h"
#include "headrace/runtime/bridge/remote_task.h"
#include "headrace/runtime/bridge/task_message.h"

// A cluster in this process, for tests: each Poll() takes every task one step further. It keeps
// the contract of bridge.h, and can be told to break down.

namespace headrace::testing {

/// What all of a fake cluster share. Threads: as a Bridge.
struct FakeCluster {
  std::mutex mutex;  // Guards all below.
  std::map<BridgeObject, std::shared_ptr<arrow::Table>> objects;
  BridgeObject next_object = 1;
  std::int64_t registered = 0;
  std::vector<std::string> places;      // Of the programs, as they were registered.
  std::vector<ResourceDemand> demands;  // The last that were told.
  std::vector<Resources> capacities;    // Changes to tell.
  std::vector<Resources> costs;         // Of the tasks, in the order of their start.
  std::set<BridgeKey> lost_tasks;       // Those whose process dies before their first output.
  bool head_lost = false;               // Every call fails from now on.

  BridgeObject Hold(std::shared_ptr<arrow::Table> table) {
    std::lock_guard lock(mutex);
    objects.emplace(next_object, std::move(table));
    return next_object++;
  }
  Status Check() {
    std::lock_guard lock(mutex);
    return head_lost ? Status::IOError("the head is lost") : Status::OK();
  }
  bool TakeLoss(BridgeKey key) {
    std::lock_guard lock(mutex);
    return lost_tasks.erase(key) > 0;
  }
};

class FakeJob final : public BridgeJob {
 public:
  FakeJob(std::shared_ptr<FakeCluster> cluster, std::function<void()> wake)
      : cluster_(std::move(cluster)), wake_(std::move(wake)) {}

  Status Register(BridgeKey key, std::string_view program, std::string_view where) override {
    ARROW_ASSIGN_OR_RAISE(programs_[key], ReadRemoteProgram(program));
    std::lock_guard lock(cluster_->mutex);
    cluster_->places.emplace_back(where);
    ++cluster_->registered;
    return Status::OK();
  }

  Status Submit(BridgeKey key, const BridgeOrder& order) override {
    ARROW_RETURN_NOT_OK(cluster_->Check());
    std::vector<std::shared_ptr<arrow::Table>> inputs;
    {
      std::lock_guard lock(cluster_->mutex);
      for (const BridgeObject input : order.inputs) inputs.push_back(cluster_->objects.at(input));
      cluster_->costs.push_back(order.cost);
    }
    Task& task = tasks_[key];
    task.credit_bytes = order.credit_bytes;
    task.remote = std::make_unique<RemoteTask>(programs_.at(order.program), order.order,
                                               std::move(inputs), nullptr);
    wake_();
    return Status::OK();
  }

  Status Grant(BridgeKey key, std::int64_t credit_bytes) override {
    auto it = tasks_.find(key);
    if (it == tasks_.end()) return Status::OK();
    it->second.credit_bytes = std::max(it->second.credit_bytes, credit_bytes);
    if (it->second.has_credit()) it->second.parked = false;
    wake_();
    return Status::OK();
  }

  Status Cancel(BridgeKey key) override {
    auto it = tasks_.find(key);
    if (it != tasks_.end()) it->second.cancelled = true;
    wake_();
    return cluster_->Check();
  }

  Status CreateActor(BridgeKey actor, BridgeKey program, const Resources& cost) override {
    BridgeEvent event;
    event.key = actor;
    event.bytes = StartRemoteActor(*programs_.at(program), nullptr);
    event.kind =
        event.bytes.empty() ? BridgeEvent::Kind::kActorReady : BridgeEvent::Kind::kActorLost;
    pending_.push_back(std::move(event));
    wake_();
    return Status::OK();
  }

  Status StopActor(BridgeKey actor) override { return Status::OK(); }

  Status Want(const std::vector<ResourceDemand>& demands) override {
    std::lock_guard lock(cluster_->mutex);
    cluster_->demands = demands;
    return Status::OK();
  }

  Status Poll(std::vector<BridgeEvent>* events) override {
    ARROW_RETURN_NOT_OK(cluster_->Check());
    {
      std::lock_guard lock(cluster_->mutex);
      for (Resources& capacity : std::exchange(cluster_->capacities, {})) {
        BridgeEvent& event = events->emplace_back();
        event.kind = BridgeEvent::Kind::kCapacity;
        event.capacity = std::move(capacity);
      }
    }
    for (BridgeEvent& event : pending_) events->push_back(std::move(event));
    pending_.clear();
    std::vector<BridgeKey> ended;
    bool more = false;
    for (auto& [key, task] : tasks_) {
      if (Advance(key, task, events)) {
        ended.push_back(key);
      } else {
        more = more || !task.parked;
      }
    }
    for (const BridgeKey key : ended) tasks_.erase(key);
    if (more) wake_();
    return Status::OK();
  }

 private:
  struct Task {
    std::unique_ptr<RemoteTask> remote;
    std::int64_t credit_bytes = 0;
    std::int64_t yielded_bytes = 0;
    bool parked = false;
    bool cancelled = false;
    bool has_credit() const { return yielded_bytes < credit_bytes; }
  };

  /// One step of one task. Returns true if it has ended.
  bool Advance(BridgeKey key, Task& task, std::vector<BridgeEvent>* events) {
    BridgeEvent event;
    event.key = key;
    if (task.cancelled || cluster_->TakeLoss(key)) {
      const FailureKind kind = task.cancelled ? FailureKind::kCancelled : FailureKind::kWorkerLost;
      event.failure = Failure::FromStatus(kind, Status::Cancelled("the task is gone"));
      events->push_back(std::move(event));
      return true;
    }
    if (task.parked) return false;
    RemoteTask::Step step = task.remote->Next();
    event.bytes = std::move(step.bytes);
    if (step.table == nullptr) {
      event.kind = BridgeEvent::Kind::kTaskEnded;
      events->push_back(std::move(event));
      return true;
    }
    event.kind = BridgeEvent::Kind::kBlock;
    event.object = cluster_->Hold(std::move(step.table));
    events->push_back(std::move(event));
    task.yielded_bytes += step.num_bytes;
    if (task.has_credit()) return false;
    task.parked = true;
    BridgeEvent parked;
    parked.kind = BridgeEvent::Kind::kParked;
    parked.key = key;
    parked.credit_bytes = task.credit_bytes;
    events->push_back(std::move(parked));
    return false;
  }

  const std::shared_ptr<FakeCluster> cluster_;
  const std::function<void()> wake_;
  std::map<BridgeKey, ProgramPtr> programs_;
  std::map<BridgeKey, Task> tasks_;
  std::vector<BridgeEvent> pending_;
};

class FakeBridge final : public Bridge {
 public:
  explicit FakeBridge(std::shared_ptr<FakeCluster> cluster) : cluster_(std::move(cluster)) {}

  std::string_view name() const override { return "fake"; }

  Result<std::unique_ptr<BridgeJob>> NewJob(std::function<void()> wake, std::string_view) override {
    return std::make_unique<FakeJob>(cluster_, std::move(wake));
  }

  Result<BridgeObject> Put(const Block& block) override { return cluster_->Hold(block.table()); }

  Result<std::shared_ptr<arrow::Table>> Get(BridgeObject object) override {
    std::lock_guard lock(cluster_->mutex);
    return cluster_->objects.at(object);
  }

  void Release(const std::vector<BridgeObject>& objects) override {
    std::lock_guard lock(cluster_->mutex);
    for (const BridgeObject object : objects) cluster_->objects.erase(object);
  }

  Result<Resources> Capacity(std::string_view) override { return Resources{.cpu_milli = 2000}; }
  Result<std::int64_t> StoreBytes(std::string_view) override { return 64 << 20; }

 private:
  const std::shared_ptr<FakeCluster> cluster_;
};

}  // namespace headrace::testing
