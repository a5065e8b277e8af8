#include "headrace/runtime/bridge/bridge_backend.h"

#include <arrow/table.h>

#include <chrono>
#include <iterator>
#include <utility>

#include "headrace/base/wire.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/bridge/task_message.h"
#include "headrace/runtime/steady_nanos.h"
#include "headrace/runtime/store/fork_guard.h"

namespace headrace {
namespace {

Failure BridgeFailure(const Status& status) {
  return Failure::FromStatus(FailureKind::kSystem, status);
}

Failure ActorGone() {
  return Failure::FromStatus(FailureKind::kWorkerLost, Status::Cancelled("the actor is gone"));
}

// What of C++ cannot leave this process.
Status CheckTravels(const TaskProgram& program) {
  for (const Step& step : program.steps) {
    const auto* map = std::get_if<MapStep>(&step);
    if (map == nullptr || map->function->native == nullptr) continue;
    return Status::NotImplemented("the C++ function '", map->function->name,
                                  "' exists in this process only: a cluster cannot run it");
  }
  return Status::OK();
}

}  // namespace

// ---- Beginning and end ----------------------------------------------------------------------

BridgeBackend::BridgeBackend(std::shared_ptr<BridgeStore> store, std::shared_ptr<Mailbox> mailbox)
    : store_(std::move(store)),
      mailbox_(std::move(mailbox)),
      generation_(ForkGeneration()),
      start_nanos_(SteadyNanos()) {}

Result<std::unique_ptr<Backend>> BridgeBackend::Make(std::shared_ptr<BridgeStore> store,
                                                     const std::string& asked) {
  auto mailbox = std::make_shared<Mailbox>();
  auto wake = [mailbox] {
    {
      std::lock_guard lock(mailbox->mutex);
      mailbox->woken = true;
    }
    mailbox->changed.notify_one();
  };
  std::unique_ptr<BridgeBackend> backend(new BridgeBackend(std::move(store), std::move(mailbox)));
  Bridge& bridge = backend->store_->bridge();
  ARROW_ASSIGN_OR_RAISE(backend->capacity_, bridge.Capacity(asked));
  ARROW_ASSIGN_OR_RAISE(backend->possible_, bridge.PossibleCapacity(asked));
  ARROW_ASSIGN_OR_RAISE(backend->store_bytes_, bridge.StoreBytes(asked));
  ARROW_ASSIGN_OR_RAISE(backend->job_, bridge.NewJob(std::move(wake), asked));
  return backend;
}

BridgeBackend::~BridgeBackend() {
  if (ForkGeneration() != generation_) {
    static_cast<void>(job_.release());  // The parent's.
    return;
  }
  std::vector<TaskId> running;
  for (const auto& [task, key] : task_keys_) running.push_back(task);
  for (const TaskId task : running) CancelTask(task);
  std::vector<Event> events;
  while (!tasks_.empty()) Wait(kNever, &events);
  job_.reset();
  store_->Release(references_.TakeAll());
}

// ---- Orders ---------------------------------------------------------------------------------

void BridgeBackend::StartTask(TaskId task, TaskOrder order) {
  const BridgeKey key = next_key_++;
  task_keys_.emplace(task, key);
  tasks_.emplace(key, task);
  std::vector<Event> events;
  if (order.actor && !actor_keys_.contains(*order.actor)) {
    EndTask(key, ActorGone(), {}, &events);
  } else {
    const Status status = TryStartTask(key, task, order);
    if (!status.ok()) EndTask(key, BridgeFailure(status), {}, &events);
  }
  PostAll(std::move(events));
}

Status BridgeBackend::TryStartTask(BridgeKey key, TaskId task, const TaskOrder& order) {
  ARROW_RETURN_NOT_OK(Register(*order.program));
  BridgeOrder remote;
  std::vector<BlockInfo> infos;
  for (const ObjectId input : order.inputs) {
    ARROW_ASSIGN_OR_RAISE(BridgeStore::Entry entry, store_->Find(input));
    remote.inputs.push_back(entry.object);
    remote.input_bytes += entry.info.num_bytes;
    infos.push_back(std::move(entry.info));
  }
  remote.program = static_cast<BridgeKey>(order.program->id);
  remote.order = EncodeOrder(task, order, infos);
  remote.cost = order.cost;
  remote.credit_bytes = order.credit_bytes;
  if (order.actor) remote.actor = actor_keys_.at(*order.actor);
  return job_->Submit(key, remote);
}

Status BridgeBackend::Register(const TaskProgram& program) {
  if (programs_.contains(program.id)) return Status::OK();
  ARROW_RETURN_NOT_OK(CheckTravels(program));
  WireWriter bytes;
  WriteProgram(program, &bytes);
  ARROW_RETURN_NOT_OK(
      job_->Register(static_cast<BridgeKey>(program.id), bytes.bytes(), program.where));
  programs_.insert(program.id);
  return Status::OK();
}

void BridgeBackend::GrantCredit(TaskId task, std::int64_t credit_bytes) {
  auto it = task_keys_.find(task);
  if (it == task_keys_.end()) return;
  const Status status = job_->Grant(it->second, credit_bytes);
  if (status.ok()) return;
  std::vector<Event> events;
  LoseAll(status, &events);
  PostAll(std::move(events));
}

void BridgeBackend::CancelTask(TaskId task) {
  auto it = task_keys_.find(task);
  if (it == task_keys_.end()) return;
  const Status status = job_->Cancel(it->second);
  if (status.ok()) return;
  std::vector<Event> events;
  LoseAll(status, &events);
  PostAll(std::move(events));
}

void BridgeBackend::StartActor(ActorId actor, const ActorOrder& order) {
  const BridgeKey key = next_key_++;
  actor_keys_.emplace(actor, key);
  actors_.emplace(key, actor);
  Status status = Register(*order.program);
  if (status.ok()) {
    status = job_->CreateActor(key, static_cast<BridgeKey>(order.program->id), order.cost);
  }
  if (status.ok()) return;
  std::vector<Event> events;
  LoseActor(key, BridgeFailure(status), &events);
  PostAll(std::move(events));
}

void BridgeBackend::StopActor(ActorId actor) {
  auto it = actor_keys_.find(actor);
  if (it == actor_keys_.end()) return;
  // If that cannot be said, the connection is gone, and the actor with it.
  static_cast<void>(job_->StopActor(it->second));
  actors_.erase(it->second);
  actor_keys_.erase(it);
}

// ---- Objects --------------------------------------------------------------------------------

Result<BlockHandle> BridgeBackend::Put(const Block& block) {
  ARROW_ASSIGN_OR_RAISE(const BridgeObject object, store_->bridge().Put(block));
  BlockInfo info;
  info.num_rows = block.num_rows();
  info.num_bytes = block.num_bytes();
  info.schema = block.table()->schema();
  BlockHandle handle = store_->Adopt(object, std::move(info));
  references_.Add(handle.object);
  return handle;
}

void BridgeBackend::Retain(std::span<const ObjectId> objects) {
  store_->Retain(objects);
  references_.Add(objects);
}

void BridgeBackend::Release(std::span<const ObjectId> objects) {
  store_->Release(references_.Take(objects));
}

void BridgeBackend::Want(const std::vector<ResourceDemand>& demands) {
  // If that cannot be said, the connection is gone, which Poll() tells.
  static_cast<void>(job_->Want(demands));
}

void BridgeBackend::SpillObjects(std::vector<ObjectId> objects) {
  Post(event::ObjectsSpilled{objects, objects, std::nullopt});
}

// ---- Events ---------------------------------------------------------------------------------

Instant BridgeBackend::Now() const { return {SteadyNanos() - start_nanos_}; }

void BridgeBackend::Post(Event event) {
  {
    std::lock_guard lock(mailbox_->mutex);
    mailbox_->posted.push_back(std::move(event));
  }
  mailbox_->changed.notify_one();
}

void BridgeBackend::PostAll(std::vector<Event> events) {
  for (Event& event : events) Post(std::move(event));
}

void BridgeBackend::Wait(Instant deadline, std::vector<Event>* events) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point until(std::chrono::duration_cast<Clock::duration>(
      std::chrono::nanoseconds(deadline == kNever ? 0 : start_nanos_ + deadline.nanos)));
  const std::size_t before = events->size();
  while (true) {
    bool poll;
    {
      std::unique_lock lock(mailbox_->mutex);
      const auto arrived = [this] { return !mailbox_->posted.empty() || mailbox_->woken; };
      if (deadline == kNever) {
        mailbox_->changed.wait(lock, arrived);
      } else if (!mailbox_->changed.wait_until(lock, until, arrived)) {
        return;
      }
      std::move(mailbox_->posted.begin(), mailbox_->posted.end(), std::back_inserter(*events));
      mailbox_->posted.clear();
      poll = std::exchange(mailbox_->woken, false);
    }
    if (poll) Poll(events);
    if (events->size() > before) return;
  }
}

void BridgeBackend::Poll(std::vector<Event>* events) {
  std::vector<BridgeEvent> polled;
  const Status status = job_->Poll(&polled);
  for (BridgeEvent& event : polled) Translate(std::move(event), events);
  if (!status.ok()) LoseAll(status, events);
}

void BridgeBackend::Translate(BridgeEvent event, std::vector<Event>* events) {
  using Kind = BridgeEvent::Kind;
  if (event.kind == Kind::kCapacity) {
    return events->push_back(event::CapacityChanged{std::move(event.capacity)});
  }
  if (event.kind == Kind::kActorReady || event.kind == Kind::kActorLost) {
    auto actor = actors_.find(event.key);
    if (actor == actors_.end()) return;  // It was stopped.
    if (event.kind == Kind::kActorReady) {
      events->push_back(event::ActorReady{actor->second});
      return;
    }
    if (event.failure) return LoseActor(event.key, *std::move(event.failure), events);
    auto failure = DecodeFailure(event.bytes);
    return LoseActor(event.key, failure.ok() ? *failure : BridgeFailure(failure.status()), events);
  }
  auto task = tasks_.find(event.key);
  if (task == tasks_.end()) {
    if (event.kind == Kind::kBlock) store_->bridge().Release({event.object});
    return;
  }
  switch (event.kind) {
    case Kind::kBlock: {
      auto yielded = TranslateBlock(task->second, event);
      if (yielded.ok()) return events->push_back(*std::move(yielded));
      store_->bridge().Release({event.object});
      static_cast<void>(job_->Cancel(event.key));
      return EndTask(event.key, BridgeFailure(yielded.status()), {}, events);
    }
    case Kind::kParked:
      return events->push_back(event::TaskParked{task->second, event.credit_bytes});
    case Kind::kTaskEnded: {
      auto report = DecodeReport(event.bytes);
      if (!report.ok()) return EndTask(event.key, BridgeFailure(report.status()), {}, events);
      return EndTask(event.key, std::move(report->failure), report->stats, events);
    }
    default:
      return EndTask(event.key, std::move(event.failure), {}, events);
  }
}

Result<Event> BridgeBackend::TranslateBlock(TaskId task, const BridgeEvent& event) {
  ARROW_ASSIGN_OR_RAISE(RemoteOutput output, DecodeOutput(event.bytes));
  BlockHandle handle = store_->Adopt(event.object, std::move(output.info));
  references_.Add(handle.object);
  return event::BlockYielded{task, output.index, std::move(handle)};
}

void BridgeBackend::EndTask(BridgeKey key, std::optional<Failure> failure, const TaskStats& stats,
                            std::vector<Event>* events) {
  auto it = tasks_.find(key);
  if (it == tasks_.end()) return;
  events->push_back(event::TaskEnded{it->second, std::move(failure), stats});
  task_keys_.erase(it->second);
  tasks_.erase(it);
}

void BridgeBackend::LoseActor(BridgeKey key, Failure failure, std::vector<Event>* events) {
  auto it = actors_.find(key);
  if (it == actors_.end()) return;
  events->push_back(event::ActorLost{it->second, std::move(failure)});
  actor_keys_.erase(it->second);
  actors_.erase(it);
}

void BridgeBackend::LoseAll(const Status& status, std::vector<Event>* events) {
  std::vector<BridgeKey> keys;
  for (const auto& [key, task] : tasks_) keys.push_back(key);
  for (const BridgeKey key : keys) EndTask(key, BridgeFailure(status), {}, events);
  keys.clear();
  for (const auto& [key, actor] : actors_) keys.push_back(key);
  for (const BridgeKey key : keys) LoseActor(key, BridgeFailure(status), events);
}

// ---- The source -----------------------------------------------------------------------------

namespace {

class BridgeSource : public BackendSource {
 public:
  explicit BridgeSource(std::shared_ptr<Bridge> bridge)
      : store_(std::make_shared<BridgeStore>(std::move(bridge))) {}

  Result<std::unique_ptr<Backend>> NewBackend(const std::string& asked) override {
    return BridgeBackend::Make(store_, asked);
  }
  Result<Resources> Capacity(const std::string& asked) override {
    return store_->bridge().Capacity(asked);
  }
  Result<std::int64_t> StoreBytes(const std::string& asked) override {
    return store_->bridge().StoreBytes(asked);
  }

 private:
  const std::shared_ptr<BridgeStore> store_;
};

}  // namespace

std::shared_ptr<BackendSource> MakeBridgeSource(std::shared_ptr<Bridge> bridge) {
  return std::make_shared<BridgeSource>(std::move(bridge));
}

}  // namespace headrace
