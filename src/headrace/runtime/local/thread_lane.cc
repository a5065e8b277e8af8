#include "headrace/runtime/local/thread_lane.h"

#include <sys/prctl.h>

#include <optional>
#include <utility>

#include "headrace/runtime/local/event_port.h"
#include "headrace/runtime/local/heap_pool.h"
#include "headrace/runtime/local/task_run.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

class ThreadLane::Task {
 public:
  Task(std::shared_ptr<EventPort> port, TaskId id, TaskOrder order)
      : port_(std::move(port)),
        id_(id),
        order_(std::move(order)),
        run_(order_.credit_bytes, order_.skip_outputs) {}

  /// Computes until the end, or parks when the credit is used up.
  void Run() {
    if (!run_.opened() && !run_.cancelled()) {
      const Status status = Open();
      if (!status.ok()) {
        port_->TellLosses(status);
        return End(run_.FailureFrom(status));
      }
    }
    if (run_.cancelled()) return End(TaskRun::Cancelled());
    while (true) {
      TaskRun::Pulled pulled = run_.Pull();
      if (!pulled.output.has_value()) return End(std::move(pulled.failure));
      const std::int64_t num_bytes = pulled.output->info.num_bytes;
      const Status room = port_->store().CheckRoom();
      if (!room.ok()) return End(Failure::FromStatus(FailureKind::kSystem, room));
      auto& [block, info] = *pulled.output;
      if (pulled.last) {
        return port_->YieldLast(pulled.index, std::move(block), std::move(info),
                                {id_, std::nullopt, run_.Close()});
      }
      port_->Yield(id_, pulled.index, std::move(block), std::move(info));
      if (!run_.Charge(num_bytes) && Park()) return;
    }
  }

  /// Each returns true if the task must be queued again.
  bool Grant(std::int64_t credit_bytes) {
    std::lock_guard lock(mutex_);
    run_.Grant(credit_bytes);
    if (!parked_ || !run_.has_credit()) return false;  // If it runs, it goes on.
    parked_ = false;
    return true;
  }
  bool Cancel() {
    std::lock_guard lock(mutex_);
    run_.Cancel();
    return std::exchange(parked_, false);
  }

 private:
  Status Open() {
    TaskContext context;
    context.sides = &port_->sides();
    context.pool = HeapPool();
    if (order_.program->shared_output) {
      ARROW_ASSIGN_OR_RAISE(auto arena, Arena::ForProcess());
      context.pool = arena->pool();
    }
    ARROW_ASSIGN_OR_RAISE(TaskInput input, LoadInput(id_, order_, port_->store()));
    return run_.Open(*order_.program, std::move(input), context);
  }

  /// Returns false if a grant or a cancel came first. The event goes out before anybody can run
  /// the task again.
  bool Park() {
    std::lock_guard lock(mutex_);
    if (run_.has_credit()) return false;
    parked_ = true;
    port_->Push(event::TaskParked{id_, run_.credit_bytes()});
    return true;
  }

  void End(std::optional<Failure> failure) {
    port_->Push(event::TaskEnded{id_, std::move(failure), run_.Close()});
  }

  const std::shared_ptr<EventPort> port_;
  const TaskId id_;
  const TaskOrder order_;
  TaskRun run_;
  std::mutex mutex_;
  bool parked_ = false;  // Guarded by mutex_.
};

ThreadLane::ThreadLane(int threads) {
  threads_.reserve(threads);
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Serve(); });
}

ThreadLane::~ThreadLane() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::shared_ptr<ThreadLane::Task> ThreadLane::Make(std::shared_ptr<EventPort> port, TaskId id,
                                                   TaskOrder order) {
  return std::make_shared<Task>(std::move(port), id, std::move(order));
}

void ThreadLane::Grant(const std::shared_ptr<Task>& task, std::int64_t credit_bytes) {
  if (task->Grant(credit_bytes)) Enqueue(std::span(&task, 1));
}

void ThreadLane::Cancel(const std::shared_ptr<Task>& task) {
  if (task->Cancel()) Enqueue(std::span(&task, 1));
}

void ThreadLane::Enqueue(std::span<const std::shared_ptr<Task>> tasks) {
  int wake = 0;
  {
    std::lock_guard lock(mutex_);
    for (const std::shared_ptr<Task>& task : tasks) {
      tasks_.push_back(task);
      if (MustWake()) ++wake;
    }
  }
  for (; wake > 0; --wake) work_.notify_one();
}

void ThreadLane::Submit(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  if (MustWake()) work_.notify_one();
}

// A thread that is on its way takes all that comes until it is here: a burst of short tasks is not
// to cost a call of the kernel each.
bool ThreadLane::MustWake() {
  if (idle_ <= woken_) return false;
  ++woken_;
  return true;
}

void ThreadLane::Serve() {
  ::prctl(PR_SET_NAME, "headrace-lane", 0, 0, 0);
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    if (!jobs_.empty()) {
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    } else if (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task->Run();
      task.reset();
      lock.lock();
    } else if (stopping_) {
      return;
    } else {
      ++idle_;
      work_.wait(lock);
      --idle_;
      if (woken_ > 0) --woken_;
    }
  }
}

}  // namespace headrace
