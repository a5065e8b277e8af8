#include <arrow/table.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/data/transform/function.h"
#include "headrace/runtime/local/local_runtime.h"
#include "headrace/runtime/local/released_pins.h"
#include "headrace/runtime/local/task_run.h"
#include "headrace/runtime/local/worker_heap.h"
#include "headrace/runtime/local/worker_link.h"
#include "headrace/runtime/steady_nanos.h"
#include "headrace/runtime/store/arena.h"
#include "headrace/runtime/store/block_codec.h"
#include "headrace/runtime/store/fork_guard.h"

// The worker process. Two threads: the main one runs tasks, one after the other; the reader takes
// orders, sets cancel flags and frees blocks while a task runs.

namespace headrace {

namespace {

// While the main thread has tasks, what they have to say goes out together, by the reader and at
// most this late: a send wakes the driver, which may take the cpu of the function that comes next.
constexpr int kBusyPollMillis = 1;
constexpr std::int64_t kFlushNanos = 1'000'000;
constexpr std::size_t kFlushBytes = 64 * 1024;
// How long user code may run on after the driver is gone.
constexpr std::chrono::seconds kOrphanGrace{1};

struct Task {
  Task(std::uint64_t key, std::int64_t credit_bytes, std::uint32_t skip_outputs)
      : key(key), run(credit_bytes, skip_outputs) {}

  const std::uint64_t key;
  ProgramPtr program;
  TaskInput input;  // Without blocks until it starts.
  std::vector<SharedTable> blocks;
  std::vector<RowRange> ranges;  // Of the blocks.
  TaskRun run;
  bool parked = false;               // Guarded by the worker's mutex.
  std::int64_t peak_heap_bytes = 0;  // Of the attempt, while it ran.
};
using TaskPtr = std::shared_ptr<Task>;
using TableList = std::vector<std::shared_ptr<arrow::Table>>;

class WorkerProcess {
 public:
  WorkerProcess(int socket, FunctionRuntime* functions, std::shared_ptr<Arena> arena)
      : socket_(socket),
        functions_(functions),
        arena_(std::move(arena)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        released_(std::make_shared<ReleasedPins>(wake_)),
        heap_(arena_) {}

  int Run();

 private:
  // The reader's.
  void Read();
  bool ReadFrames();
  Status Handle(const Frame& frame);
  Status OnArena(WireReader& in);
  Status OnOrder(WireReader& in);
  Status OnCancel(WireReader& in);
  Status OnDrop(WireReader& in);
  void OnEndOfInput();
  void Wake(const TaskPtr& task);

  // The main thread's.
  void RunTask(const TaskPtr& task);
  Status Open(Task& task);
  Status Yield(Task& task, TaskRun::Pulled& pulled);
  bool Park(Task& task);
  void End(Task& task, std::optional<Failure> failure);
  void FreeDropped();
  void EmitEnd(std::uint64_t key, std::optional<Failure> failure, const TaskStats& stats);
  void StartActor(const ProgramPtr& program);

  // Sending; from both.
  void Greet();
  void Emit(Message kind, const WireWriter& payload);
  void AddReleased();
  void Flush();

  const int socket_;
  FunctionRuntime* const functions_;
  const std::shared_ptr<Arena> arena_;
  const int wake_;
  const std::shared_ptr<ReleasedPins> released_;

  WorkerHeap heap_;

  // The reader's alone.
  FrameReceiver in_;
  SchemaReceiver schemas_in_;
  SchemaCache schema_cache_;
  std::unordered_map<std::uint64_t, ProgramPtr> programs_;
  std::unordered_map<std::uint64_t, std::shared_ptr<const ArenaMapping>> arenas_;

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::deque<TaskPtr> ready_;
  std::unordered_map<std::uint64_t, TaskPtr> tasks_;
  TaskPtr running_;                 // Or null.
  std::vector<TaskPtr> cancelled_;  // Ended by the reader; to be destroyed by the main thread.
  std::deque<ProgramPtr> actors_;   // To be started.
  struct BlockOut {
    std::shared_ptr<arrow::Table> table;
    std::int64_t num_bytes = 0;
  };
  std::unordered_map<std::uint64_t, BlockOut> blocks_;  // Yielded ones.
  std::uint64_t next_block_ = 1;
  // Blocks that nobody reads any more. Memory of Python's among them needs Python's lock, which a
  // running function may hold for long: so the main thread frees them, between two outputs.
  TableList dropped_;
  bool stopping_ = false;
  bool main_ended_ = false;
  std::atomic<bool> busy_{false};

  std::mutex out_mutex_;  // Guards what follows.
  FrameSender out_;
  SchemaSender schemas_out_;
};

// ---- Sending --------------------------------------------------------------------------------

void WorkerProcess::Greet() {
  WireWriter greeting;
  greeting.U32(kWorkerWireVersion);
  greeting.I64(::getpid());
  greeting.I64(arena_->size());
  std::lock_guard lock(out_mutex_);
  HEADRACE_CHECK(
      out_.AddWithDescriptor(Message::kGreeting, greeting.bytes(), arena_->descriptor()).ok());
  Flush();
}

void WorkerProcess::Emit(Message kind, const WireWriter& payload) {
  std::lock_guard lock(out_mutex_);
  AddReleased();
  out_.Add(kind, payload.bytes());
  if (out_.size() > kFlushBytes) Flush();
}

// Requires: out_mutex_ is held, as for the next.
void WorkerProcess::AddReleased() {
  const std::vector<std::uint64_t> pins = released_->Take();
  if (pins.empty()) return;
  WireWriter payload;
  payload.U64(pins.size());
  for (std::uint64_t pin : pins) payload.U64(pin);
  out_.Add(Message::kReleased, payload.bytes());
}

void WorkerProcess::Flush() {
  AddReleased();
  if (out_.size() == 0) return;
  // If the driver is gone, the reader sees it.
  [[maybe_unused]] const auto sent = out_.Flush(socket_, /*wait=*/true);
}

// ---- The reader -----------------------------------------------------------------------------

void WorkerProcess::Read() {
  std::int64_t flushed_nanos = 0;
  while (true) {
    pollfd polled[2] = {{socket_, POLLIN, 0}, {wake_, POLLIN, 0}};
    const int count = ::poll(polled, 2, busy_.load() ? kBusyPollMillis : -1);
    if (count < 0 && errno != EINTR) break;
    {
      std::lock_guard lock(mutex_);
      if (main_ended_) return;
    }
    if ((polled[1].revents & POLLIN) != 0) {
      std::uint64_t value;
      [[maybe_unused]] const ssize_t size = ::read(wake_, &value, sizeof value);
    }
    if (polled[0].revents != 0 && !ReadFrames()) break;
    if (busy_.load()) heap_.NotePeak();
    // Once the main thread is idle it sends nothing more by itself. Who woke us will not do it
    // again, so that must wait for its turn.
    const std::int64_t now = SteadyNanos();
    const bool due = !busy_.load() || now - flushed_nanos >= kFlushNanos;
    std::unique_lock lock(out_mutex_, std::defer_lock);
    if (polled[1].revents != 0) {
      lock.lock();
    } else if (!due || !lock.try_lock()) {
      continue;
    }
    flushed_nanos = now;
    Flush();
  }
  OnEndOfInput();
}

bool WorkerProcess::ReadFrames() {
  while (true) {
    const FrameReceiver::Fill fill = in_.FillFrom(socket_);
    if (fill == FrameReceiver::Fill::kNothing) return true;
    if (fill == FrameReceiver::Fill::kEnd) return false;
    while (auto frame = in_.Next()) {
      const Status status = Handle(*frame);
      if (status.ok()) continue;
      std::fprintf(stderr, "headrace worker %d: %s\n", static_cast<int>(::getpid()),
                   status.ToString().c_str());
      return false;
    }
  }
}

void WorkerProcess::OnEndOfInput() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  ready_.clear();
  for (const auto& [key, task] : tasks_) task->run.Cancel();
  changed_.notify_all();
  if (!changed_.wait_for(lock, kOrphanGrace, [this] { return main_ended_; })) ::_exit(1);
}

Status WorkerProcess::Handle(const Frame& frame) {
  WireReader in(frame.payload);
  switch (frame.kind) {
    case Message::kHello:
    case Message::kArena:
      if (frame.kind == Message::kHello) {
        const std::uint32_t version = in.U32();
        if (version != kWorkerWireVersion) return Status::Invalid("library versions differ");
        arenas_[in.U64()] = arena_;
        WireWriter driver;  // Like kArena: its id is 0.
        driver.U64(0);
        driver.I64(in.I64());
        WireReader rest(driver.bytes());
        return OnArena(rest);
      }
      return OnArena(in);
    case Message::kForgetArena:
      arenas_.erase(in.U64());
      return in.Finish();
    case Message::kSchema:
      return schemas_in_.Add(frame.payload, &schema_cache_);
    case Message::kProgram: {
      const std::uint64_t id = in.U64();
      WireReader bytes(in.Bytes());
      ARROW_ASSIGN_OR_RAISE(programs_[id], ReadProgram(&bytes));
      return in.Finish();
    }
    case Message::kForgetProgram:
      programs_.erase(in.U64());
      return in.Finish();
    case Message::kOrder:
      return OnOrder(in);
    case Message::kGrant: {
      const std::uint64_t key = in.U64();
      std::lock_guard lock(mutex_);
      auto it = tasks_.find(key);
      if (it == tasks_.end()) return Status::OK();
      it->second->run.Grant(in.I64());
      if (it->second->run.has_credit()) Wake(it->second);
      return in.Finish();
    }
    case Message::kCancel:
      return OnCancel(in);
    case Message::kDrop:
      return OnDrop(in);
    case Message::kStartActor: {
      ProgramPtr program = programs_[in.U64()];
      if (program == nullptr) return Status::Invalid("actor of an unknown program");
      std::lock_guard lock(mutex_);
      actors_.push_back(std::move(program));
      busy_.store(true);
      changed_.notify_all();
      return in.Finish();
    }
    case Message::kStop: {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
      return Status::OK();
    }
    case Message::kKeepFree:
      heap_.SetKeepFree(in.I64());
      return in.Finish();
    default:
      return Status::Invalid("message of kind ", static_cast<int>(frame.kind));
  }
}

Status WorkerProcess::OnArena(WireReader& in) {
  const std::uint64_t id = in.U64();
  const std::int64_t size = in.I64();
  ARROW_RETURN_NOT_OK(in.Finish());
  ARROW_ASSIGN_OR_RAISE(arenas_[id], ArenaView::Map(id, in_.TakeDescriptor(), size));
  return Status::OK();
}

Status WorkerProcess::OnOrder(WireReader& in) {
  const std::uint64_t key = in.U64();
  const std::uint64_t program = in.U64();
  const std::int64_t credit_bytes = in.I64();
  const std::uint32_t skip_outputs = in.U32();
  auto task = std::make_shared<Task>(key, credit_bytes, skip_outputs);
  task->program = programs_[program];
  if (task->program == nullptr) return Status::Invalid("order of an unknown program");
  task->input.position = ReadPosition(&in);
  task->input.task_number = in.U64();
  task->ranges = ReadRowRanges(&in);
  task->input.left_blocks = in.U32();
  if (in.Bool()) task->input.keys = ReadKeyRange(&in);
  const std::uint64_t units = in.Count();
  for (std::uint64_t i = 0; i < units; ++i) task->input.units.push_back(ReadReadUnit(&in));
  const std::uint64_t inputs = in.Count();
  for (std::uint64_t i = 0; i < inputs; ++i) {
    const std::uint64_t pin = in.U64();
    SharedTable& block = task->blocks.emplace_back();
    block.hold = std::make_shared<const InputHold>(released_, pin);
    auto arena = arenas_.find(in.U64());
    block.layout = std::make_shared<const std::string>(in.Bytes());
    task->input.infos.push_back(ReadInfo(schemas_in_, &in));
    block.schema = task->input.infos.back().schema;
    if (arena == arenas_.end() || block.schema == nullptr) {
      return Status::Invalid("input in an unknown arena or of an unknown schema");
    }
    block.arena = arena->second;
  }
  if (!task->ranges.empty() && task->ranges.size() != inputs) {
    return Status::Invalid("order with ", inputs, " inputs and ", task->ranges.size(), " ranges");
  }
  ARROW_RETURN_NOT_OK(in.Finish());
  std::lock_guard lock(mutex_);
  tasks_.emplace(key, task);
  ready_.push_back(std::move(task));
  busy_.store(true);
  changed_.notify_all();
  return Status::OK();
}

// A task that waits while another one runs is at its end now: the driver, which gives a cancelled
// task little time, must not take this process from the one that runs.
Status WorkerProcess::OnCancel(WireReader& in) {
  const std::uint64_t key = in.U64();
  ARROW_RETURN_NOT_OK(in.Finish());
  {
    std::lock_guard lock(mutex_);
    auto it = tasks_.find(key);
    if (it == tasks_.end()) return Status::OK();
    const TaskPtr task = it->second;
    task->run.Cancel();
    if (running_ == nullptr || running_ == task) {
      Wake(task);
      return Status::OK();
    }
    std::erase(ready_, task);
    tasks_.erase(it);
    cancelled_.push_back(task);
  }
  EmitEnd(key, TaskRun::Cancelled(), {});
  return Status::OK();
}

Status WorkerProcess::OnDrop(WireReader& in) {
  TableList freed;  // After the lock is given back.
  const std::uint64_t count = in.Count();
  std::lock_guard lock(mutex_);
  for (std::uint64_t i = 0; i < count; ++i) {
    auto node = blocks_.extract(in.U64());
    if (node.empty()) continue;
    heap_.AddBlockBytes(-node.mapped().num_bytes);
    dropped_.push_back(std::move(node.mapped().table));
  }
  if (!busy_.load()) freed.swap(dropped_);
  return in.Finish();
}

// Requires: mutex_ is held. A parked task goes before those that have not begun.
void WorkerProcess::Wake(const TaskPtr& task) {
  if (!std::exchange(task->parked, false)) return;
  ready_.push_front(task);
  busy_.store(true);
  changed_.notify_all();
}

// ---- The main thread ------------------------------------------------------------------------

int WorkerProcess::Run() {
  Greet();
  std::thread reader([this] { Read(); });
  std::unique_lock lock(mutex_);
  while (true) {
    if (!actors_.empty()) {
      const ProgramPtr program = std::move(actors_.front());
      actors_.pop_front();
      lock.unlock();
      StartActor(program);
      lock.lock();
    } else if (!ready_.empty()) {
      TaskPtr task = std::move(ready_.front());
      ready_.pop_front();
      running_ = task;
      lock.unlock();
      released_->SetMainRunning(true);
      RunTask(task);
      task.reset();
      lock.lock();
      TaskPtr ended = std::exchange(running_, nullptr);
      std::vector<TaskPtr> cancelled = std::exchange(cancelled_, {});
      lock.unlock();
      ended.reset();
      for (const TaskPtr& other : cancelled) other->run.Close();
      cancelled.clear();
      released_->SetMainRunning(false);
      lock.lock();
    } else {
      busy_.store(false);
      lock.unlock();
      {
        std::lock_guard out_lock(out_mutex_);
        Flush();
      }
      FreeDropped();
      heap_.GiveBack();
      lock.lock();
      const auto woken = [this] { return stopping_ || !ready_.empty() || !actors_.empty(); };
      if (stopping_ && ready_.empty() && actors_.empty()) break;
      changed_.wait(lock, woken);
      busy_.store(!ready_.empty() || !actors_.empty());
    }
  }
  main_ended_ = true;
  changed_.notify_all();
  lock.unlock();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
  reader.join();
  return 0;
}

Status WorkerProcess::Open(Task& task) {
  TaskContext context;
  context.pool = arena_->pool();
  context.functions = functions_;
  for (SharedTable& shared : task.blocks) {
    ARROW_ASSIGN_OR_RAISE(auto table, DecodeLayout(shared));
    const std::size_t number = task.input.blocks.size();
    BlockInfo& info = task.input.infos[number];
    Block& block = task.input.blocks.emplace_back(std::move(table), info.num_bytes);
    if (!task.ranges.empty()) CutToRange(task.ranges[number], &block, &info);
    shared = {};
  }
  task.blocks.clear();
  return task.run.Open(*task.program, std::move(task.input), context);
}

void WorkerProcess::RunTask(const TaskPtr& task) {
  if (!task->run.opened() && !task->run.cancelled()) {
    const Status status = Open(*task);
    if (!status.ok()) return End(*task, task->run.FailureFrom(status));
  }
  if (task->run.cancelled()) return End(*task, TaskRun::Cancelled());
  heap_.ForgetPeak();  // What came before was another task's.
  while (true) {
    TaskRun::Pulled pulled = task->run.Pull();
    task->peak_heap_bytes = std::max(task->peak_heap_bytes, heap_.TakePeak());
    if (!pulled.output.has_value()) return End(*task, std::move(pulled.failure));
    const std::int64_t num_bytes = pulled.output->info.num_bytes;
    const Status status = Yield(*task, pulled);
    pulled.output.reset();
    FreeDropped();
    if (!status.ok()) {
      return End(*task, Failure::FromStatus(FailureKind::kSystem, status));
    }
    if (pulled.last) return End(*task, std::nullopt);
    if (!task->run.Charge(num_bytes) && Park(*task)) return;
  }
}

Status WorkerProcess::Yield(Task& task, TaskRun::Pulled& pulled) {
  ARROW_ASSIGN_OR_RAISE(auto table, MoveToArena(pulled.output->block.table(), *arena_));
  ARROW_ASSIGN_OR_RAISE(const std::string layout, EncodeLayout(*table, *arena_));
  std::uint32_t schema;
  {
    std::lock_guard lock(out_mutex_);
    ARROW_ASSIGN_OR_RAISE(schema, schemas_out_.NumberOf(table->schema(), &out_));
  }
  std::uint64_t block;
  {
    std::lock_guard lock(mutex_);
    block = next_block_++;
    heap_.AddBlockBytes(pulled.output->info.num_bytes);
    blocks_.emplace(block, BlockOut{std::move(table), pulled.output->info.num_bytes});
  }
  WireWriter payload;
  payload.U64(task.key);
  payload.U32(pulled.index);
  payload.U64(block);
  payload.Bytes(layout);
  WriteInfo(pulled.output->info, schema, &payload);
  Emit(Message::kYielded, payload);
  return Status::OK();
}

void WorkerProcess::FreeDropped() {
  TableList dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(dropped_);  // Destroyed after the lock.
}

/// Returns false if a grant or a cancel came first.
bool WorkerProcess::Park(Task& task) {
  std::lock_guard lock(mutex_);
  if (task.run.has_credit()) return false;
  task.parked = true;
  WireWriter payload;
  payload.U64(task.key);
  payload.I64(task.run.credit_bytes());
  Emit(Message::kParked, payload);
  return true;
}

void WorkerProcess::End(Task& task, std::optional<Failure> failure) {
  TaskStats stats = task.run.Close();
  stats.peak_heap_bytes = task.peak_heap_bytes;
  task.blocks.clear();
  task.input = {};
  {
    std::lock_guard lock(mutex_);
    tasks_.erase(task.key);
  }
  EmitEnd(task.key, std::move(failure), stats);
}

void WorkerProcess::EmitEnd(std::uint64_t key, std::optional<Failure> failure,
                            const TaskStats& stats) {
  WireWriter payload;
  payload.U64(key);
  payload.Bool(failure.has_value());
  if (failure.has_value()) WriteFailure(*failure, &payload);
  WriteTaskStats(stats, &payload);
  Emit(Message::kEnded, payload);
}

void WorkerProcess::StartActor(const ProgramPtr& program) {
  const Status status = MakeInstances(*program, functions_);
  WireWriter payload;
  if (status.ok()) {
    payload.I64(heap_.Held());
    return Emit(Message::kActorReady, payload);
  }
  WriteFailure(FailureOf(status), &payload);
  Emit(Message::kActorFailed, payload);
}

}  // namespace

int RunWorker(int fd, FunctionRuntime* functions) {
  const pid_t parent = ::getppid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) return 0;  // It died before the kernel knew of our wish.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  // A process that the user's function forks must not keep the socket open when this one dies.
  CloseInForkedChild(fd);
  auto arena = Arena::ForProcess();
  if (!arena.ok()) {
    std::fprintf(stderr, "headrace worker: %s\n", arena.status().ToString().c_str());
    return 1;
  }
  // Leaked: inputs that live on in the user's globals are released after the end of this.
  auto* process = new WorkerProcess(fd, functions, *arena);
  const int code = process->Run();
  ForgetInForkedChild(fd);
  return code;
}

}  // namespace headrace
