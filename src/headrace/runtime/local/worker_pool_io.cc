#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "headrace/runtime/local/task_run.h"
#include "headrace/runtime/local/worker_pool.h"
#include "headrace/runtime/steady_nanos.h"
#include "headrace/runtime/store/fork_guard.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

namespace {

constexpr std::uint64_t kWakeData = 0;
constexpr std::uint64_t kTemplateData = UINT64_MAX;
// How long the template may take to say how a worker ended.
constexpr std::int64_t kBuryNanos = 500'000'000;
constexpr std::int64_t kIdleNanos = 60'000'000'000;
// The weight of the newest task in the average: 1 / 4.
constexpr std::int64_t kAverageWeight = 4;

}  // namespace

// ---- DropQueue ------------------------------------------------------------------------------

DropQueue::DropQueue(int wake) : generation_(ForkGeneration()), wake_(wake) {}

void DropQueue::Add(const Drop& drop) {
  if (ForkGeneration() != generation_) return;  // The parent process still reads the block.
  std::lock_guard lock(mutex_);
  if (wake_ < 0) return;
  drops_.push_back(drop);
  if (drops_.size() > 1) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void DropQueue::Take(std::vector<Drop>* drops) {
  std::lock_guard lock(mutex_);
  drops->insert(drops->end(), drops_.begin(), drops_.end());
  drops_.clear();
}

void DropQueue::Close() {
  std::lock_guard lock(mutex_);
  wake_ = -1;
  drops_.clear();
}

// ---- The thread -----------------------------------------------------------------------------

void WorkerPool::Serve() {
  std::array<epoll_event, 64> events;
  std::int64_t deadline = kNoDeadline;
  while (true) {
    int timeout = -1;
    if (deadline != kNoDeadline) {
      const std::int64_t nanos = std::max<std::int64_t>(0, deadline - SteadyNanos());
      timeout = static_cast<int>(std::min<std::int64_t>(nanos / 1'000'000 + 1, 60'000));
    }
    const int count = ::epoll_wait(epoll_, events.data(), events.size(), timeout);
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    for (int i = 0; i < count; ++i) {
      const std::uint64_t data = events[i].data.u64;
      if (data == kWakeData) {
        std::uint64_t value;
        [[maybe_unused]] const ssize_t size = ::read(wake_, &value, sizeof value);
      } else if (data == kTemplateData) {
        OnTemplate();
      } else if (auto it = workers_.find(data); it != workers_.end() && it->second->socket >= 0) {
        if ((events[i].events & EPOLLOUT) != 0) unsent_.insert(data);
        if ((events[i].events & ~EPOLLOUT) != 0) Receive(*it->second);
      }
    }
    SendDrops();  // First: a worker without blocks is idle.
    deadline = CheckDeadlines(SteadyNanos());
    Dispatch();
    FlushAll();
  }
}

void WorkerPool::Wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

std::int64_t WorkerPool::CheckDeadlines(std::int64_t now) {
  std::int64_t next = kNoDeadline;
  std::vector<std::uint64_t> buried;
  for (const auto& [key, worker] : workers_) {
    if (worker->socket < 0) {
      if (worker->bury_at <= now) buried.push_back(key);
      next = std::min(next, worker->bury_at);
      continue;
    }
    std::int64_t kill_at = worker->kill_at;
    if (worker->cancelled > 0) {
      for (std::uint64_t task : worker->tasks) kill_at = std::min(kill_at, tasks_.at(task).kill_at);
    }
    if (kill_at <= now) {
      Kill(*worker);
      next = std::min(next, worker->bury_at);
      continue;
    }
    next = std::min(next, kill_at);
    if (!worker->is_actor && worker->tasks.empty() && worker->blocks.empty() && !worker->stopping) {
      const std::int64_t idle_until = worker->idle_since + kIdleNanos;
      if (idle_until <= now) Stop(*worker);
      next = std::min(next, std::max(idle_until, now + 1'000'000));
    }
  }
  for (std::uint64_t key : buried) Bury(key);
  return next;
}

// ---- Sending --------------------------------------------------------------------------------

void WorkerPool::FlushAll() {
  const std::set<std::uint64_t> unsent = std::exchange(unsent_, {});
  bool kills = false;
  for (std::uint64_t key : unsent) {
    auto it = workers_.find(key);
    if (it != workers_.end() && it->second->socket >= 0) {
      FlushWorker(*it->second);
      kills = kills || it->second->kill_at != kNoDeadline || it->second->cancelled > 0;
    }
  }
  if (!kills || std::this_thread::get_id() == thread_.get_id()) return;
  Wake();  // To the new deadlines.
}

void WorkerPool::FlushWorker(Worker& worker) {
  auto sent = worker.out.Flush(worker.socket, /*wait=*/false);
  if (!sent.ok()) return;  // Its end is seen by Receive(), after what it still had to say.
  const bool full = !*sent;
  if (full == worker.wants_write) return;
  worker.wants_write = full;
  epoll_event event{};
  event.events = full ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u64 = worker.key;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, worker.socket, &event);
}

void WorkerPool::SendDrops() {
  taken_drops_.clear();
  drops_->Take(&taken_drops_);
  if (taken_drops_.empty()) return;
  std::sort(taken_drops_.begin(), taken_drops_.end());
  for (std::size_t begin = 0; begin < taken_drops_.size();) {
    std::size_t end = begin;
    const std::uint64_t key = taken_drops_[begin].worker;
    while (end < taken_drops_.size() && taken_drops_[end].worker == key) ++end;
    auto it = workers_.find(key);
    if (it != workers_.end() && it->second->socket >= 0) {
      WireWriter payload;
      payload.U64(end - begin);
      for (std::size_t i = begin; i < end; ++i) {
        payload.U64(taken_drops_[i].block);
        it->second->block_bytes -= taken_drops_[i].num_bytes;
        it->second->blocks.erase(taken_drops_[i].block);
      }
      it->second->out.Add(Message::kDrop, payload.bytes());
      unsent_.insert(key);
    }
    begin = end;
  }
}

// ---- Receiving ------------------------------------------------------------------------------

void WorkerPool::Receive(Worker& worker) {
  while (true) {
    const FrameReceiver::Fill fill = worker.in.FillFrom(worker.socket);
    if (fill == FrameReceiver::Fill::kNothing) return;
    if (fill == FrameReceiver::Fill::kEnd) return Lose(worker);
    while (auto frame = worker.in.Next()) {
      const Status status = Handle(worker, *frame);
      if (status.ok()) continue;
      // A worker that we do not understand is as good as lost.
      for (std::uint64_t task : worker.tasks) {
        tasks_.at(task).failure = Failure::FromStatus(FailureKind::kSystem, status);
      }
      return Kill(worker);
    }
  }
}

Status WorkerPool::Handle(Worker& worker, const Frame& frame) {
  WireReader in(frame.payload);
  switch (frame.kind) {
    case Message::kGreeting:
      return OnGreeting(worker, in);
    case Message::kSchema:
      return worker.schemas_in.Add(frame.payload, &schema_cache_);
    case Message::kYielded:
      return OnYielded(worker, in);
    case Message::kParked:
      return OnParked(worker, in);
    case Message::kEnded:
      return OnEnded(worker, in);
    case Message::kReleased: {
      const std::uint64_t count = in.Count();
      for (std::uint64_t i = 0; i < count; ++i) worker.pins.erase(in.U64());
      return in.Finish();
    }
    case Message::kActorReady:
      if (worker.actor.has_value()) {
        const std::int64_t heap_bytes = in.I64() + worker.unseen_bytes;
        worker.actor->port->Push(event::ActorReady{worker.actor->id, heap_bytes});
      }
      return Status::OK();
    case Message::kActorFailed:
      OnActorFailed(worker, ReadFailure(&in));
      return in.Finish();
    default:
      return Status::Invalid("a worker sent a message of kind ", static_cast<int>(frame.kind));
  }
}

Status WorkerPool::OnGreeting(Worker& worker, WireReader& in) {
  const std::uint32_t version = in.U32();
  if (version != kWorkerWireVersion) {
    return Status::Invalid("the worker's library has version ", version, " of the protocol, not ",
                           kWorkerWireVersion);
  }
  const std::int64_t pid = in.I64();
  const std::int64_t size = in.I64();
  ARROW_RETURN_NOT_OK(in.Finish());
  ARROW_ASSIGN_OR_RAISE(worker.arena, ArenaView::Map(worker.key, worker.in.TakeDescriptor(), size));
  worker.pid = pid;
  return Status::OK();
}

Status WorkerPool::OnYielded(Worker& worker, WireReader& in) {
  const std::uint64_t key = in.U64();
  const std::uint32_t index = in.U32();
  const std::uint64_t block = in.U64();
  auto layout = std::make_shared<const std::string>(in.Bytes());
  BlockInfo info = ReadInfo(worker.schemas_in, &in);
  ARROW_RETURN_NOT_OK(in.Finish());
  if (info.schema == nullptr || worker.arena == nullptr) {
    return Status::Invalid("a worker sent a block before its schema or its arena");
  }
  worker.blocks.emplace(block, RemoteBlock{layout, info.schema});
  worker.block_bytes += info.num_bytes;
  const DropQueue::Drop drop{worker.key, block, info.num_bytes};
  SharedTable table{worker.arena, std::move(layout), info.schema,
                    std::make_shared<const RemoteHold>(drops_, drop)};
  auto it = tasks_.find(key);
  if (it == tasks_.end()) return Status::OK();  // It was ended here; the hold drops the block.
  WorkerTask& task = it->second;
  LocalStore& store = task.port->store();
  task.port->YieldShared(task.id, index, std::move(table), std::move(info));
  const Status room = store.CheckRoom();
  if (!room.ok() && !task.cancelled) {
    task.cancelled = true;
    task.failure = Failure::FromStatus(FailureKind::kSystem, room);
    CancelSent(task, key);
  }
  return Status::OK();
}

Status WorkerPool::OnParked(Worker& worker, WireReader& in) {
  const std::uint64_t key = in.U64();
  const std::int64_t credit_bytes = in.I64();
  ARROW_RETURN_NOT_OK(in.Finish());
  auto it = tasks_.find(key);
  if (it == tasks_.end()) return Status::OK();
  WorkerTask& task = it->second;
  // With a grant or a cancel on its way the task is about to go on.
  if (task.credit_bytes <= credit_bytes && !task.cancelled && std::exchange(task.active, false)) {
    if (--worker.active == 0) worker.idle_since = SteadyNanos();
  }
  task.port->Push(event::TaskParked{task.id, credit_bytes});
  return Status::OK();
}

Status WorkerPool::OnEnded(Worker& worker, WireReader& in) {
  const std::uint64_t key = in.U64();
  std::optional<Failure> failure;
  if (in.Bool()) failure = ReadFailure(&in);
  TaskStats stats = ReadTaskStats(&in);
  if (stats.peak_heap_bytes > 0) stats.peak_heap_bytes += worker.unseen_bytes;
  ARROW_RETURN_NOT_OK(in.Finish());
  auto it = tasks_.find(key);
  if (it == tasks_.end()) return Status::OK();
  auto known = programs_.find(it->second.order.program->id);
  if (known != programs_.end()) {
    std::int64_t& average = known->second.task_nanos;
    const std::int64_t nanos = std::max<std::int64_t>(1, stats.wall_nanos);
    average = average == 0 ? nanos : average + (nanos - average) / kAverageWeight;
  }
  EndTask(key, std::move(failure), stats);
  return Status::OK();
}

void WorkerPool::OnActorFailed(Worker& worker, Failure failure) {
  if (worker.actor.has_value()) {
    worker.actor->port->Push(event::ActorLost{worker.actor->id, std::move(failure)});
    worker.actor.reset();
  }
  worker.stop_when_idle = true;
  const std::set<std::uint64_t> tasks = worker.tasks;
  for (std::uint64_t task : tasks) {
    EndTask(task,
            Failure::FromStatus(FailureKind::kWorkerLost, Status::Cancelled("the actor is gone")),
            {});
  }
  Stop(worker);
}

// ---- Death ----------------------------------------------------------------------------------

void WorkerPool::WatchTemplate() {
  if (watched_template_ == template_.descriptor()) return;
  watched_template_ = template_.descriptor();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kTemplateData;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, watched_template_, &event);
}

void WorkerPool::OnTemplate() {
  for (const TemplateReply& reply : template_.Poll()) {
    if (reply.kind == kTemplateFork && !requested_.empty()) {
      auto it = workers_.find(requested_.front());
      requested_.pop_front();
      if (it != workers_.end()) it->second->pid = reply.pid;
      continue;
    }
    for (const auto& [key, worker] : workers_) {
      if (worker->pid != reply.pid) continue;
      worker->exit_status = reply.status;
      worker->bury_at = 0;
      if (worker->socket < 0) continue;
      // What it still had to say is there. A process that it left behind may hold its socket open.
      Receive(*worker);
      Lose(*worker);
    }
  }
  if (template_.descriptor() >= 0) return;
  watched_template_ = -1;
  requested_.clear();
  for (const auto& [key, worker] : workers_) {
    worker->bury_at = 0;
    worker->orphaned = template_.served();
  }
}

void WorkerPool::Kill(Worker& worker) {
  if (worker.pid > 0 && !worker.exit_status.has_value()) {
    ::kill(static_cast<pid_t>(worker.pid), SIGKILL);
  }
  Lose(worker);
}

void WorkerPool::Lose(Worker& worker) {
  if (worker.socket < 0) return;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, worker.socket, nullptr);
  ForgetInForkedChild(worker.socket);
  ::shutdown(worker.socket, SHUT_RDWR);
  ::close(worker.socket);
  worker.socket = -1;
  // The template soon says how it ended.
  const bool missed = !worker.tasks.empty() || worker.actor.has_value();
  const bool wait = missed && !worker.exit_status.has_value() && template_.descriptor() >= 0;
  worker.bury_at = wait ? SteadyNanos() + kBuryNanos : 0;
}

void WorkerPool::Bury(std::uint64_t key) {
  auto it = workers_.find(key);
  const std::unique_ptr<Worker> worker = std::move(it->second);
  workers_.erase(it);
  unsent_.erase(key);
  FreeRest(*worker);
  std::string how = template_.last_error().empty() ? "was lost" : template_.last_error();
  if (worker->exit_status.has_value()) how = DescribeWaitStatus(*worker->exit_status);
  const std::string who =
      worker->pid > 0 ? "worker process " + std::to_string(worker->pid) : "a worker process";
  Failure failure;
  if (worker->arena != nullptr || worker->orphaned) {
    const char* when = worker->tasks.empty() ? "" : " while it ran a task";
    failure = Failure::FromStatus(FailureKind::kWorkerLost, Status::IOError(who, " ", how, when));
  } else {
    failure = Failure::FromStatus(
        FailureKind::kSystem, Status::IOError("a worker process ", how, " before it was ready"));
  }
  const std::int64_t stopped_bytes = worker->stopped_heap_bytes;
  if (stopped_bytes > 0) failure.kind = FailureKind::kOverMemory;
  if (worker->actor.has_value()) {
    worker->actor->port->Push(event::ActorLost{worker->actor->id, failure, stopped_bytes});
  }
  const std::set<std::uint64_t> tasks = worker->tasks;
  if (stopped_bytes > 0) {
    EndStopped(*worker, failure);
  } else {
    for (std::uint64_t task : tasks) EndTask(task, failure, {});
  }
  WireWriter payload;
  payload.U64(key);
  for (const auto& [other_key, other] : workers_) {
    if (other->arenas.erase(key) == 0) continue;
    other->out.Add(Message::kForgetArena, payload.bytes());
    unsent_.insert(other_key);
  }
}

}  // namespace headrace
