#include "headrace/runtime/local/worker_pool.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/runtime/local/task_run.h"
#include "headrace/runtime/local/thread_lane.h"
#include "headrace/runtime/steady_nanos.h"
#include "headrace/runtime/store/fork_guard.h"
#include "headrace/runtime/store/local_store.h"
#include "headrace/runtime/store/losses.h"

namespace headrace {

namespace {

// A cancelled task may take this long to come to its end by itself.
constexpr std::int64_t kGraceNanos = 1'000'000'000;
// A worker that is told to stop may take this long, for the user's destructors.
constexpr std::int64_t kStopNanos = 5'000'000'000;
// A worker is sent as many short tasks as it does in this time.
constexpr std::int64_t kAheadNanos = 10'000'000;
constexpr std::int64_t kMaxAhead = 32;
// Tasks that ask for less than a cpu may have more workers than there are cpus.
constexpr std::int64_t kFractionalFactor = 4;

Failure SystemFailure(const Status& status) {
  return Failure::FromStatus(FailureKind::kSystem, status);
}

}  // namespace

// ---- Life -----------------------------------------------------------------------------------

WorkerPool::WorkerPool(WorkerOptions options, int max_workers, ThreadLane* lane)
    : max_workers_(std::max(1, max_workers)),
      lane_(lane),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      drops_(std::make_shared<DropQueue>(wake_)),
      template_(options),
      setup_(options.setup_payload) {
  HEADRACE_CHECK(epoll_ >= 0 && wake_ >= 0);
  CloseInForkedChild(epoll_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  HEADRACE_CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
  thread_ = std::thread([this] { Serve(); });
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(mutex_);
    HEADRACE_CHECK(tasks_.empty());
    stopping_ = true;
  }
  Wake();
  thread_.join();
  drops_->Close();
  for (const auto& [key, worker] : workers_) {
    if (worker->socket < 0) continue;
    ForgetInForkedChild(worker->socket);
    ::shutdown(worker->socket, SHUT_RDWR);
    ::close(worker->socket);
  }
  ForgetInForkedChild(epoll_);
  ::close(epoll_);
  ::close(wake_);
}

void WorkerPool::WarmUp() {
  std::lock_guard lock(mutex_);
  // A failure shows again, with a task to report it, when the first worker is needed.
  if (template_.Start().ok()) WatchTemplate();
}

void WorkerPool::SetSetup(std::string setup_payload) {
  std::lock_guard lock(mutex_);
  if (setup_payload == setup_) return;
  setup_ = std::move(setup_payload);
  for (const auto& [key, worker] : workers_) {
    if (!worker->is_actor && worker->tasks.empty()) Stop(*worker);
  }
  FlushAll();
}

std::vector<std::int64_t> WorkerPool::pids() const {
  std::lock_guard lock(mutex_);
  std::vector<std::int64_t> pids;
  if (template_.pid() > 0) pids.push_back(template_.pid());
  for (const auto& [key, worker] : workers_) {
    if (worker->pid > 0 && worker->socket >= 0) pids.push_back(worker->pid);
  }
  return pids;
}

// ---- Tasks ----------------------------------------------------------------------------------

std::uint64_t WorkerPool::StartTask(std::shared_ptr<EventPort> port, TaskId id, TaskOrder order,
                                    std::uint64_t actor) {
  WorkerTask task;
  task.port = std::move(port);
  task.id = id;
  task.order = std::move(order);
  task.actor = actor;
  task.credit_bytes = task.order.credit_bytes;
  LocalStore& store = task.port->store();
  bool shared = true;
  for (ObjectId object : task.order.inputs) shared = shared && store.IsShared(object);
  const auto prepare = [&store, objects = task.order.inputs](
                           std::vector<SharedTable>* tables,
                           std::vector<BlockInfo>* infos) -> Status {
    Losses losses;
    for (ObjectId object : objects) {
      auto table = store.Share(object);
      if (losses.Add(table.status())) continue;
      ARROW_ASSIGN_OR_RAISE(tables->emplace_back(), std::move(table));
      ARROW_ASSIGN_OR_RAISE(infos->emplace_back(), store.Info(object));
      infos->back().index = nullptr;  // For the driver only.
    }
    return losses.status();
  };
  std::vector<SharedTable> tables;
  std::vector<BlockInfo> infos;
  Status status;
  if (shared) status = prepare(&tables, &infos);
  std::lock_guard lock(mutex_);
  const std::uint64_t key = next_key_++;
  tasks_.emplace(key, std::move(task));
  if (shared) {
    FinishPreparing(key, status, std::move(tables), std::move(infos));
    return key;
  }
  // The task, and with it the store, stays until this has run.
  lane_->Submit([this, key, prepare] {
    std::vector<SharedTable> tables;
    std::vector<BlockInfo> infos;
    const Status status = prepare(&tables, &infos);
    std::lock_guard lock(mutex_);
    FinishPreparing(key, status, std::move(tables), std::move(infos));
    FlushAll();
  });
  return key;
}

void WorkerPool::FinishPreparing(std::uint64_t key, const Status& status,
                                 std::vector<SharedTable> inputs, std::vector<BlockInfo> infos) {
  WorkerTask& task = tasks_.at(key);
  if (task.cancelled) return EndTask(key, TaskRun::Cancelled(), {});
  if (Losses().Add(status)) {
    task.port->TellLosses(status);
    return EndTask(key, Failure::FromStatus(FailureKind::kInputLost, status), {});
  }
  if (!status.ok()) return EndTask(key, SystemFailure(status), {});
  task.inputs = std::move(inputs);
  task.infos = std::move(infos);
  Assign(key);
}

void WorkerPool::Assign(std::uint64_t key) {
  WorkerTask& task = tasks_.at(key);
  if (task.actor == 0) {
    task.state = WorkerTask::State::kWaiting;
    waiting_.push_back(key);
    return Dispatch();
  }
  auto it = workers_.find(task.actor);
  if (it == workers_.end() || it->second->socket < 0 || it->second->stopping) {
    return EndTask(
        key, Failure::FromStatus(FailureKind::kWorkerLost, Status::Cancelled("the actor is gone")),
        {});
  }
  Send(*it->second, key);
}

void WorkerPool::Dispatch() {
  while (!waiting_.empty()) {
    const std::uint64_t key = waiting_.front();
    bool may_spawn = false;
    Worker* worker = ChooseWorker(tasks_.at(key), &may_spawn);
    if (worker == nullptr && !may_spawn) return;
    waiting_.pop_front();
    if (worker == nullptr) {
      auto spawned = Spawn();
      if (!spawned.ok()) {
        EndTask(key, SystemFailure(spawned.status()), {});
        continue;
      }
      worker = *spawned;
    }
    Send(*worker, key);
  }
}

Worker* WorkerPool::ChooseWorker(const WorkerTask& task, bool* may_spawn) {
  Worker* best = nullptr;
  std::int64_t count = 0;
  for (const auto& [key, worker] : workers_) {
    if (worker->is_actor || worker->stopping || worker->socket < 0 || worker->setup != setup_) {
      continue;
    }
    ++count;
    // The least busy one; of idle ones that which was busy last: its memory is warm.
    if (best == nullptr || worker->active < best->active ||
        (worker->active == 0 && best->active == 0 && worker->idle_since > best->idle_since)) {
      best = worker.get();
    }
  }
  if (best != nullptr && best->active == 0) return best;
  const bool fraction = task.order.cost.cpu_milli < 1000;
  *may_spawn = count < max_workers_ * (fraction ? kFractionalFactor : 1);
  if (*may_spawn) return nullptr;
  auto known = programs_.find(task.order.program->id);
  if (known == programs_.end() || known->second.task_nanos == 0) return nullptr;
  const std::int64_t ahead =
      std::clamp<std::int64_t>(kAheadNanos / known->second.task_nanos, 1, kMaxAhead);
  return best->active < ahead ? best : nullptr;
}

Result<Worker*> WorkerPool::Spawn() {
  ARROW_ASSIGN_OR_RAISE(auto arena, Arena::ForProcess());
  ARROW_RETURN_NOT_OK(template_.Start());
  WatchTemplate();
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return Status::IOError("cannot make a socket: ", std::strerror(errno));
  }
  auto worker = std::make_unique<Worker>();
  worker->key = next_key_++;
  worker->socket = sockets[0];
  worker->setup = setup_;
  worker->idle_since = SteadyNanos();
  WireWriter setup;
  setup.Bytes(setup_);
  worker->out.AddRaw(setup.bytes());
  WireWriter hello;
  hello.U32(kWorkerWireVersion);
  hello.U64(worker->key);
  hello.I64(arena->size());
  Status status =
      worker->out.AddWithDescriptor(Message::kHello, hello.bytes(), arena->descriptor());
  worker->arenas = {arena->id(), worker->key};
  SendKeepFree(*worker);
  if (status.ok() && !template_.Request(sockets[1]).ok()) {
    OnTemplate();  // It has died, and nobody has noticed yet.
    Wake();
    status = template_.Start();
    WatchTemplate();
    if (status.ok()) status = template_.Request(sockets[1]);
  }
  if (status.ok()) requested_.push_back(worker->key);  // The template will answer, come what may.
  ::close(sockets[1]);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = worker->key;
  if (status.ok() && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, sockets[0], &event) != 0) {
    status = Status::IOError("cannot watch a socket: ", std::strerror(errno));
  }
  if (!status.ok()) {
    ::close(sockets[0]);
    return status;
  }
  CloseInForkedChild(sockets[0]);
  Worker* spawned = worker.get();
  unsent_.insert(worker->key);
  workers_.emplace(worker->key, std::move(worker));
  return spawned;
}

// ---- Orders ---------------------------------------------------------------------------------

void WorkerPool::ForgetDeadPrograms() {
  for (auto it = programs_.begin(); it != programs_.end();) {
    if (!it->second.program.expired()) {
      ++it;
      continue;
    }
    WireWriter payload;
    payload.U64(it->first);
    for (const auto& [key, worker] : workers_) {
      if (worker->programs.erase(it->first) == 0) continue;
      worker->out.Add(Message::kForgetProgram, payload.bytes());
      unsent_.insert(key);
    }
    it = programs_.erase(it);
  }
}

Status WorkerPool::SendProgram(Worker& worker, const ProgramPtr& program) {
  auto it = programs_.find(program->id);
  if (it == programs_.end()) {
    ForgetDeadPrograms();
    WireWriter bytes;
    WriteProgram(*program, &bytes);
    it = programs_.emplace(program->id, KnownProgram{program, bytes.Take(), 0}).first;
  }
  if (worker.programs.contains(program->id)) return Status::OK();
  WireWriter payload;
  payload.U64(program->id);
  payload.Bytes(it->second.bytes);
  if (payload.bytes().size() > kMaxPayload) {
    return Status::CapacityError("the program of ", program->name, " is too large to be sent");
  }
  worker.out.Add(Message::kProgram, payload.bytes());
  worker.programs.insert(program->id);
  return Status::OK();
}

Status WorkerPool::WriteOrder(Worker& worker, std::uint64_t key, WireWriter* out) {
  WorkerTask& task = tasks_.at(key);
  HEADRACE_CHECK(task.order.sides.empty());  // Joins in mid-program are of the thread lane.
  out->U64(key);
  out->U64(task.order.program->id);
  out->I64(task.credit_bytes);
  out->U32(task.order.skip_outputs);
  WritePosition(task.order.position, out);
  out->U64(task.id.ordinal);
  WriteRowRanges(task.order.ranges, out);
  out->U32(task.order.left_inputs);
  out->Bool(task.order.keys.has_value());
  if (task.order.keys) WriteKeyRange(*task.order.keys, out);
  const std::vector<ReadUnit> units = LoadUnits(task.order);
  out->U64(units.size());
  for (const ReadUnit& unit : units) WriteReadUnit(unit, out);
  out->U64(task.inputs.size());
  for (std::size_t i = 0; i < task.inputs.size(); ++i) {
    const SharedTable& input = task.inputs[i];
    if (!worker.arenas.contains(input.arena->id())) {
      WireWriter arena;
      arena.U64(input.arena->id());
      arena.I64(input.arena->size());
      ARROW_RETURN_NOT_OK(
          worker.out.AddWithDescriptor(Message::kArena, arena.bytes(), input.arena->descriptor()));
      worker.arenas.insert(input.arena->id());
    }
    ARROW_ASSIGN_OR_RAISE(std::uint32_t schema,
                          worker.schemas_out.NumberOf(input.schema, &worker.out));
    const std::uint64_t pin = next_pin_++;
    worker.pins.emplace(pin, input.hold);
    out->U64(pin);
    out->U64(input.arena->id());
    out->Bytes(*input.layout);
    WriteInfo(task.infos[i], schema, out);
  }
  return Status::OK();
}

void WorkerPool::Send(Worker& worker, std::uint64_t key) {
  WorkerTask& task = tasks_.at(key);
  task.state = WorkerTask::State::kSent;
  task.worker = worker.key;
  task.active = true;
  ++worker.active;
  worker.tasks.insert(key);
  WireWriter order;
  const std::uint64_t first_pin = next_pin_;
  Status status = SendProgram(worker, task.order.program);
  if (status.ok()) status = WriteOrder(worker, key, &order);
  if (status.ok() && order.bytes().size() > kMaxPayload) {
    status = Status::CapacityError("a task of ", task.order.program->name, " over ",
                                   task.inputs.size(), " blocks is too large to be sent");
  }
  unsent_.insert(worker.key);
  if (!status.ok()) {
    for (std::uint64_t pin = first_pin; pin < next_pin_; ++pin) worker.pins.erase(pin);
    return EndTask(key, SystemFailure(status), {});
  }
  worker.out.Add(Message::kOrder, order.bytes());
  task.inputs.clear();
  task.infos.clear();
}

void WorkerPool::Grant(std::uint64_t key, std::int64_t credit_bytes) {
  std::lock_guard lock(mutex_);
  auto it = tasks_.find(key);
  if (it == tasks_.end()) return;
  WorkerTask& task = it->second;
  task.credit_bytes = std::max(task.credit_bytes, credit_bytes);
  if (task.state != WorkerTask::State::kSent) return;
  auto found = workers_.find(task.worker);
  if (found == workers_.end()) return;
  Worker& worker = *found->second;
  if (!std::exchange(task.active, true)) ++worker.active;
  WireWriter payload;
  payload.U64(key);
  payload.I64(task.credit_bytes);
  worker.out.Add(Message::kGrant, payload.bytes());
  unsent_.insert(worker.key);
}

void WorkerPool::Cancel(std::uint64_t key) {
  std::lock_guard lock(mutex_);
  auto it = tasks_.find(key);
  if (it == tasks_.end()) return;
  WorkerTask& task = it->second;
  if (std::exchange(task.cancelled, true)) return;
  switch (task.state) {
    case WorkerTask::State::kPreparing:
      return;  // FinishPreparing() sees it.
    case WorkerTask::State::kWaiting:
      waiting_.erase(std::find(waiting_.begin(), waiting_.end(), key));
      return EndTask(key, TaskRun::Cancelled(), {});
    case WorkerTask::State::kSent:
      return CancelSent(task, key);
  }
}

void WorkerPool::CancelSent(WorkerTask& task, std::uint64_t key) {
  task.kill_at = SteadyNanos() + kGraceNanos;
  auto found = workers_.find(task.worker);
  if (found == workers_.end()) return;
  Worker& worker = *found->second;
  ++worker.cancelled;
  if (!std::exchange(task.active, true)) ++worker.active;
  WireWriter payload;
  payload.U64(key);
  worker.out.Add(Message::kCancel, payload.bytes());
  unsent_.insert(worker.key);
}

void WorkerPool::EndTask(std::uint64_t key, std::optional<Failure> failure,
                         const TaskStats& stats) {
  auto node = tasks_.extract(key);
  WorkerTask& task = node.mapped();
  if (task.failure.has_value()) {  // Also if the task had ended well before it heard of it.
    failure = std::move(task.failure);
  } else if (failure && task.cancelled && failure->kind == FailureKind::kWorkerLost) {
    failure = TaskRun::Cancelled();
  }
  auto found = workers_.find(task.worker);
  if (task.state == WorkerTask::State::kSent && found != workers_.end()) {
    Worker& worker = *found->second;
    worker.tasks.erase(key);
    if (task.active) --worker.active;
    if (task.kill_at != kNoDeadline) --worker.cancelled;
    if (worker.active == 0) worker.idle_since = SteadyNanos();
    const bool outdated = !worker.is_actor && worker.setup != setup_;
    if ((worker.stop_when_idle || outdated) && worker.tasks.empty()) Stop(worker);
  }
  // The record goes first: after the event its program may be the last reference to a file system
  // of Python's, and to wait for Python's lock here could be for ever.
  const std::shared_ptr<EventPort> port = std::move(task.port);
  const TaskId id = task.id;
  node = {};
  port->Push(event::TaskEnded{id, std::move(failure), stats});
}

// ---- Actors ---------------------------------------------------------------------------------

std::uint64_t WorkerPool::StartActor(std::shared_ptr<EventPort> port, ActorId id,
                                     const ActorOrder& order) {
  std::lock_guard lock(mutex_);
  auto spawned = Spawn();
  Status status = spawned.status();
  if (status.ok()) status = SendProgram(**spawned, order.program);
  if (!status.ok()) {
    if (spawned.ok()) Stop(**spawned);
    port->Push(event::ActorLost{id, SystemFailure(status)});
    return next_key_++;
  }
  Worker& worker = **spawned;
  worker.is_actor = true;
  worker.heap_bytes = order.heap_bytes;
  worker.actor = WorkerActor{std::move(port), id};
  WireWriter payload;
  payload.U64(order.program->id);
  worker.out.Add(Message::kStartActor, payload.bytes());
  return worker.key;
}

void WorkerPool::StopActor(std::uint64_t actor) {
  std::lock_guard lock(mutex_);
  auto it = workers_.find(actor);
  if (it == workers_.end() || it->second->socket < 0) return;
  Worker& worker = *it->second;
  worker.actor.reset();
  worker.stop_when_idle = true;
  if (worker.tasks.empty()) Stop(worker);
}

void WorkerPool::Stop(Worker& worker) {
  if (worker.stopping || worker.socket < 0) return;
  worker.stopping = true;
  worker.kill_at = SteadyNanos() + kStopNanos;
  worker.out.Add(Message::kStop, {});
  unsent_.insert(worker.key);
}

void WorkerPool::Flush() {
  std::lock_guard lock(mutex_);
  SendDrops();
  FlushAll();
}

}  // namespace headrace
