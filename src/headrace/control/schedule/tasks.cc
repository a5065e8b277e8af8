#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/exchange_operator.h"
#include "headrace/control/schedule/scheduler_impl.h"

// What happened to tasks: yielded, parked, ended, lost.

namespace headrace {
namespace {

// Tasks are sent ahead to keep a cpu busy for as long as an end and the next start may take to
// come through, once enough tasks were seen to trust their mean.
constexpr std::int64_t kAheadNanos = 200'000;
constexpr std::int64_t kAheadFactorMax = 64;
constexpr std::int64_t kShortTasksMin = 8;

}  // namespace

TaskRecord* SchedulerImpl::FindTask(const TaskId& id) {
  if (!IsOperator(id.op)) return nullptr;
  TaskRecord* task = run(id.op).tasks.Find(id.ordinal);
  if (task == nullptr || task->id.attempt != id.attempt) return nullptr;
  return task->state == TaskRecord::State::kRetry ? nullptr : task;
}

void SchedulerImpl::On(event::BlockYielded& e) {
  TaskRecord* task = FindTask(e.task);
  const std::int64_t bytes = e.block.info.num_bytes;
  if (task == nullptr || e.index != task->outputs_taken || bytes < 0) {
    unwanted_.push_back(e.block.object);
    return;
  }
  OperatorRun& run = this->run(e.task.op);
  if (task->again) return OnMadeAgain(run, *task, e);
  const std::int64_t from_credit = std::min(bytes, task->open_credit());
  ledger_.Move(run.id, Place::kCredit, Place::kOutputQueue, from_credit);
  ledger_.Charge(run.id, Place::kOutputQueue, bytes - from_credit);
  task->yielded_bytes += bytes;
  ++task->outputs_taken;
  ++run.stats.output_blocks;
  if (!run.op->keeps_outputs()) {
    run.stats.output_rows += e.block.info.num_rows;
    run.stats.output_bytes += bytes;
    run.stats.block_rows.Add(e.block.info.num_rows);
    run.stats.block_bytes.Add(bytes);
  }
  MeasureBlock(run, *task, bytes);
  task->rows_yielded += e.block.info.num_rows;
  run.op->OnBlock(e.task.ordinal, {refs_.Adopt(e.block.object, bytes), std::move(e.block.info),
                                   run.id, static_cast<std::uint32_t>(e.task.ordinal), e.index});
  TopUp(run, *task);
  Flush(run);
}

/// Grants more before the task parks, where it is likely to have more and room is plenty.
void SchedulerImpl::TopUp(OperatorRun& run, TaskRecord& task) {
  const std::int64_t expected = ExpectedBytes(run, task.outputs_taken);
  const std::int64_t missing = expected - task.open_credit();
  if (missing <= expected / 2 || task.state != TaskRecord::State::kRunning || run.closed ||
      !run.parked.empty() || !run.runs_tasks) {
    return;
  }
  const std::int64_t blocks = BlocksPerTask(run);
  if (blocks > 0 && task.outputs_taken >= blocks) return;
  if (GrantRoom(run) < missing) return;
  const std::int64_t bytes = ByPolicies(run, missing);
  if (bytes >= 1) Grant(run, task, bytes);
}

void SchedulerImpl::On(event::TaskParked& e) {
  TaskRecord* task = FindTask(e.task);
  if (task == nullptr || task->state != TaskRecord::State::kRunning ||
      e.credit_bytes < task->granted_bytes) {
    return;  // Stale: more was granted on the way.
  }
  OperatorRun& run = this->run(e.task.op);
  task->state = TaskRecord::State::kParked;
  if (traits_.parks_waiting_tasks && !run.pool) used_ -= run.task_cost;
  run.parked.insert(e.task.ordinal);
  ++num_parked_;
  --num_active_;
  ++loads_[run.index()].tasks_parked;
  --loads_[run.index()].tasks_running;
}

void SchedulerImpl::On(event::TaskEnded& e) {
  TaskRecord* task = FindTask(e.task);
  if (task == nullptr) return;
  OperatorRun& run = this->run(e.task.op);
  const bool for_actor =
      task->actor >= 0 && run.pool->over_memory(static_cast<std::uint32_t>(task->actor));
  if (for_actor && e.failure && e.failure->kind == FailureKind::kWorkerLost) {
    e.failure->kind = FailureKind::kOverMemory;
    e.stats.peak_heap_bytes = 0;
  }
  Account(run, *task, e);
  LeaveSlot(run, *task,
            e.failure && (e.failure->kind == FailureKind::kWorkerLost ||
                          e.failure->kind == FailureKind::kOverMemory));
  if (!e.failure || e.failure->kind != FailureKind::kOverMemory) {
    LearnHeap(run, e.stats.peak_heap_bytes);
  }
  if (task->again) return EndAgain(run, *task, e);
  if (e.failure && !run.closed && !stopping_) {
    HandleFailure(run, *task, e);
    return;
  }
  if (!e.failure) {
    ++run.stats.tasks_done;
    ++loads_[run.index()].tasks_done;
    run.blocks_of_done_tasks += task->outputs_taken;
    if (run.pool) run.pool->losses = run.pool->memory_losses = 0;
  }
  EndForGood(run, *task);
}

void SchedulerImpl::Account(OperatorRun& run, const TaskRecord& task, const event::TaskEnded& e) {
  run.stats.wall_nanos += e.stats.wall_nanos;
  run.stats.cpu_nanos += e.stats.cpu_nanos;
  run.stats.function_nanos += e.stats.function_nanos;
  run.stats.peak_heap_bytes = std::max(run.stats.peak_heap_bytes, e.stats.peak_heap_bytes);
  run.stats.active_nanos = (*now_ - run.first_start).nanos;
  if (e.failure || task.again) return;
  MeasureTask(run, task);
  if (!run.op->keeps_outputs()) run.stats.input_rows += e.stats.rows_in;
  run.stats.errored_rows += e.stats.errored_rows;
  run.stats.letter_rows += e.stats.letter_rows;
  run.stats.task_wall_nanos.Add(e.stats.wall_nanos);
  run.stats.task_cpu_nanos.Add(e.stats.cpu_nanos);
  run.stats.task_function_nanos.Add(e.stats.function_nanos);
  run.stats.task_rows.Add(task.rows_yielded);
  MeasureAhead(run);
}

/// Learns how many tasks to send ahead, from the mean time of those done.
void SchedulerImpl::MeasureAhead(OperatorRun& run) {
  const Spread& wall = run.stats.task_wall_nanos;
  if (wall.count < kShortTasksMin ||
      run.task_cost != Resources{.cpu_milli = run.task_cost.cpu_milli}) {
    return;
  }
  const std::int64_t mean = std::max<std::int64_t>(1, wall.total / wall.count);
  run.ahead_factor = std::min(kAheadNanos / mean, kAheadFactorMax);
  has_short_tasks_ = has_short_tasks_ || run.ahead_factor > 0;
}

/// Gives back what an attempt held: its credit, its resources, its place in an actor.
void SchedulerImpl::LeaveSlot(OperatorRun& run, TaskRecord& task, bool worker_lost) {
  ledger_.Release(run.id, Place::kCredit, task.open_credit());
  ChargeHeap(task, 0);
  task.granted_bytes = task.yielded_bytes = 0;
  OperatorLoad& load = loads_[run.index()];
  bool holds_cost = !run.pool;
  if (task.state == TaskRecord::State::kParked) {
    run.parked.erase(task.id.ordinal);
    if (traits_.parks_waiting_tasks) holds_cost = false;
    --num_parked_;
    --load.tasks_parked;
  } else {
    --num_active_;
    --load.tasks_running;
  }
  if (holds_cost) used_ -= run.task_cost;
  if (task.actor >= 0) {
    const auto actor = static_cast<std::uint32_t>(task.actor);
    run.pool->TaskEnded(actor);
    if (worker_lost) run.pool->SetSuspect(actor);
    task.actor = -1;
  }
}

/// Lets the task wait for its next attempt.
void SchedulerImpl::Retry(OperatorRun& run, TaskRecord& task) {
  run.last_attempt = std::max(run.last_attempt, ++task.id.attempt);
  EnterRetry(run, task);
}

void SchedulerImpl::HandleFailure(OperatorRun& run, TaskRecord& task, const event::TaskEnded& e) {
  ++run.stats.tasks_failed;
  const Failure& failure = *e.failure;
  switch (failure.kind) {
    case FailureKind::kWorkerLost:
      if (++task.workers_lost >= run.max_attempts) break;
      return Retry(run, task);
    case FailureKind::kOverMemory:
      if (RetryAfterStop(run, task, e.stats.peak_heap_bytes)) return;
      FailRun(run, OverLimit(run, e.stats.peak_heap_bytes, "a task", &task), &task);
      return EndForGood(run, task);
    case FailureKind::kUserError:
    case FailureKind::kDataError:
      ++errored_blocks_;
      if (errored_blocks_max_ >= 0 && errored_blocks_ > errored_blocks_max_) break;
      EndForGood(run, task);
      return;
    case FailureKind::kInputLost:
      if (AwaitInputs(run, task)) return;
      break;
    case FailureKind::kCancelled:
    case FailureKind::kSystem:
      break;
  }
  FailRun(run, failure, &task);
  EndForGood(run, task);
}

/// The task will not run again: releases its inputs and tells the operator.
void SchedulerImpl::EndForGood(OperatorRun& run, TaskRecord& task) {
  const std::uint64_t ordinal = task.id.ordinal;
  for (const RefBundle::Item& item : task.work.held.items) {
    ledger_.Release(item.owner, Place::kTaskInput, item.info.num_bytes);
  }
  if (task.unread) Reread(run, task, /*ends=*/true);
  if (!task.work.sides.empty()) {
    for (ExchangeBlocks* join : run.sides) join->ReturnSide();
  }
  if (task.alone) alone_.erase({run.index(), ordinal});
  const bool again = task.again;
  run.tasks.Remove(ordinal);
  if (again) {
    run.op->OnAgainEnd(ordinal);
    EndRemake(run, ordinal);
  } else {
    run.op->OnTaskEnd(ordinal);
    NoteInput(run);  // The last task of a pass gave the next one its input.
  }
  if (run.paused && !stopping_) {
    WantMissing(run, again);
    RefreshPaused();
  }
  Flush(run);
  CheckFinished(run);
}

}  // namespace headrace
