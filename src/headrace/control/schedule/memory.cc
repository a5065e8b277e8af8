#include <algorithm>
#include <cstdint>
#include <utility>

#include "headrace/control/schedule/scheduler_impl.h"

// Heaps of tasks and actors, where the job has a memory limit: what is charged before they start,
// what is learned from what they used, and what becomes of those that were stopped for it.
//
//   stopped once   again with twice the allowance: so with fewer neighbours
//   twice          again when nothing else runs, with all that there is
//   then           the run fails
//
// A task that does not fit waits; where nothing else runs, liveness starts it all the same.

namespace headrace {
namespace {

constexpr std::int32_t kStopsMax = 2;       // Before a task runs alone.
constexpr std::int32_t kActorStopsMax = 4;  // Of actors while nothing runs.
constexpr std::int64_t kGuessFactor = 3;    // A function holds its input, a copy, and its output.

}  // namespace

void SchedulerImpl::FindHeap(OperatorRun& run) {
  const TaskProgram* program = run.program();
  run.has_heap = program != nullptr && program->lane == Lane::kProcess;
  if (!run.has_heap) return;
  const Resources& cost = run.task_spec != nullptr ? run.task_spec->cost : run.exchange->cost;
  memory_.SetDeclared(run.id, cost.memory_bytes);
}

// ---- Room.

std::int64_t SchedulerImpl::StartRoom(const OperatorRun& run) const {
  const std::int64_t room = reservation_.StartRoom(run.id);
  return memory_.limited() ? std::clamp<std::int64_t>(memory_.room(), 0, room) : room;
}

std::int64_t SchedulerImpl::GrantRoom(const OperatorRun& run) const {
  const std::int64_t room = reservation_.GrantRoom(run.id);
  return memory_.limited() ? std::clamp<std::int64_t>(memory_.room(), 0, room) : room;
}

/// Of a function that nobody has seen run: a worker, and its data some times over.
std::int64_t SchedulerImpl::HeapGuess(const OperatorRun& run) const {
  const std::int64_t blocks = run.op->queued_blocks();
  const std::int64_t data = blocks > 0 ? run.op->queued_bytes() / blocks : ExpectedBytes(run, 0);
  return kWorkerBytes + kGuessFactor * data;
}

/// What the next task will be charged. One that is sent ahead runs when another one has ended.
std::int64_t SchedulerImpl::NextHeap(const OperatorRun& run, bool ahead) const {
  if (!run.has_heap || run.pool || ahead) return 0;
  std::int64_t heap = memory_.Expected(run.id, HeapGuess(run));
  if (run.retries.empty()) return heap;
  const TaskRecord& task = *run.tasks.Find(NextRetry(run));
  heap = std::max(heap, std::min(task.heap_bytes_min, memory_.available()));
  // One that runs alone gets all, but for an eighth for its blocks.
  return task.alone ? std::max(heap, memory_.room() - memory_.room() / 8) : heap;
}

/// Those that must run alone go first: all others wait for them.
std::uint64_t SchedulerImpl::NextRetry(const OperatorRun& run) const {
  const auto first = alone_.lower_bound({run.index(), 0});
  if (first != alone_.end() && first->first == run.index() && run.retries.contains(first->second)) {
    return first->second;
  }
  return *run.retries.begin();
}

/// Returns true while `run` must start nothing, for a task that is to run alone.
bool SchedulerImpl::MustDrain(const OperatorRun& run) const {
  if (alone_.empty()) return false;
  if (num_active_ > 0 || run.retries.empty()) return true;
  return !alone_.contains({run.index(), NextRetry(run)});
}

/// What a process may hold that was charged `bytes`: no more than there could be for it.
std::int64_t SchedulerImpl::Allowance(std::int64_t bytes) const {
  return std::clamp<std::int64_t>(memory_.available() - ledger_.charged(), 1,
                                  std::max<std::int64_t>(1, bytes));
}

std::int64_t SchedulerImpl::MissingForActor(const OperatorRun& run) const {
  if (!run.has_heap) return 0;
  const std::int64_t heap = memory_.Expected(run.id, HeapGuess(run));
  return std::max<std::int64_t>(0, heap - memory_.room());
}

// ---- Charges.

void SchedulerImpl::ChargeHeap(TaskRecord& task, std::int64_t bytes) {
  memory_.Release(std::exchange(task.heap_bytes, bytes));
  memory_.Charge(bytes);
}

void SchedulerImpl::SetActorHeap(OperatorRun& run, std::int64_t bytes) {
  memory_.Release(std::exchange(run.actor_heap_bytes, bytes) * run.pool->num_live());
  memory_.Charge(bytes * run.pool->num_live());
}

/// Frees what actors hold that do nothing, but for that which `needy` is to use; they start again
/// when they are wanted.
void SchedulerImpl::StopIdleActorsBut(const OperatorRun& needy) {
  for (OperatorRun& run : runs_) {
    if (!run.pool) continue;
    for (std::int32_t idle = run.pool->FindIdle(); idle >= 0; idle = run.pool->FindIdle()) {
      if (&run == &needy && idle == run.pool->FindFree()) break;
      StopActor(run, static_cast<std::uint32_t>(idle));
    }
  }
}

void SchedulerImpl::LearnHeap(OperatorRun& run, std::int64_t peak_bytes) {
  if (!run.has_heap || peak_bytes <= 0) return;
  memory_.Learn(run.id, peak_bytes);
  if (run.pool) SetActorHeap(run, memory_.Expected(run.id, 0));
}

void SchedulerImpl::On(event::MemoryMeasured& e) {
  if (!memory_.limited()) return;
  for (const auto& [id, heap_bytes] : e.tasks) {
    TaskRecord* task = FindTask(id);
    if (task == nullptr) continue;
    OperatorRun& run = this->run(id.op);
    if (!run.has_heap) continue;
    memory_.Raise(run.id, heap_bytes);
    if (run.pool) {
      SetActorHeap(run, memory_.Expected(run.id, 0));
    } else if (heap_bytes > task->heap_bytes) {
      ChargeHeap(*task, heap_bytes);
    }
  }
  memory_.Measured(e.free_bytes, e.heap_bytes);
}

// ---- Stopped ones.

/// Returns false if the task has been alone and still asks for more: the run must fail.
bool SchedulerImpl::RetryAfterStop(OperatorRun& run, TaskRecord& task, std::int64_t peak_bytes) {
  if (peak_bytes > 0) {
    memory_.Raise(run.id, peak_bytes + peak_bytes / 4);
    if (run.pool) SetActorHeap(run, memory_.Expected(run.id, 0));
    if (task.alone) return false;
    task.heap_bytes_min = 2 * peak_bytes;
    if (++task.memory_stops >= kStopsMax) {
      task.alone = true;
      alone_.emplace(run.index(), task.id.ordinal);
    }
  }
  Retry(run, task);
  return true;
}

/// An actor was stopped. Only what happens while nothing else runs, and with one task at a time,
/// tells that there is no room for it. A task that it ran keeps count too, and comes to its end
/// earlier.
void SchedulerImpl::NoteActorStopped(OperatorRun& run, std::uint32_t actor,
                                     std::int64_t heap_bytes) {
  run.pool->SetOverMemory(actor);
  memory_.Raise(run.id, heap_bytes + heap_bytes / 4);
  SetActorHeap(run, memory_.Expected(run.id, 0));
  if (run.pool->had_several(actor)) return run.pool->LimitToOneTask();
  const auto ordinal = static_cast<std::int32_t>(actor);
  const TaskRecord* ran = nullptr;
  run.tasks.ForEach([&](const TaskRecord& task) {
    if (task.actor == ordinal && task.state == TaskRecord::State::kRunning) ran = &task;
  });
  if (num_active_ > (ran != nullptr ? 1 : 0)) return;
  if (++run.pool->memory_losses < kActorStopsMax) return;
  FailRun(run, OverLimit(run, heap_bytes, "an actor", ran));
}

}  // namespace headrace
