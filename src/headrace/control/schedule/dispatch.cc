#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/scheduler_impl.h"

// Which operator may run, and what a start or a grant charges.

namespace headrace {
namespace {

WaitReason ShortageReason(const Resources& cost, const Resources& used, const Resources& total) {
  if (cost.cpu_milli > total.cpu_milli - used.cpu_milli) return WaitReason::kNoCpu;
  if (cost.gpu_milli > total.gpu_milli - used.gpu_milli) return WaitReason::kNoGpu;
  if (cost.memory_bytes > total.memory_bytes - used.memory_bytes) return WaitReason::kNoMemory;
  if (cost.custom_milli.empty()) return WaitReason::kNone;
  return (used + cost).FitsIn(total) ? WaitReason::kNone : WaitReason::kNoCustomResource;
}

}  // namespace

WaitReason SchedulerImpl::CreditReason(const OperatorRun& run) const {
  const std::int64_t at_consumer =
      ledger_.held(run.id, Place::kConsumer) +
      (run.consumer < 0 ? ledger_.held(run.id, Place::kOutputQueue) : 0);
  return at_consumer > 0 && wanted_ == 0 ? WaitReason::kConsumer : WaitReason::kNoCredit;
}

void SchedulerImpl::RefreshView() const {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const OperatorRun& run = runs_[i];
    loads_[i].queued_bytes =
        ledger_.held(run.id, Place::kOutputQueue) + ledger_.held(run.id, Place::kInputQueue);
    loads_[i].input_blocks = run.op->queued_blocks();
    loads_[i].held_bytes = ledger_.usage(run.id);
    loads_[i].expected_block_bytes = ExpectedBytes(run, 0);
  }
}

std::int64_t SchedulerImpl::ByPolicies(const OperatorRun& run, std::int64_t offered) const {
  if (policies_.empty()) return offered;
  RefreshView();
  for (const auto& policy : policies_) {
    offered = std::min(offered, policy->CreditBytes(run.id, offered, View()));
  }
  return offered;
}

SchedulerImpl::Candidate SchedulerImpl::MayStart(const OperatorRun& run, bool ahead) const {
  if (run.rests() || run.closed) return {WaitReason::kFinished};
  if (!run.has_work()) {
    return {run.op->exhausted() ? WaitReason::kFinished : WaitReason::kNoInput};
  }
  if (run.left_of != nullptr && AwaitsChoice(run)) return {WaitReason::kNoInput};
  // A limit's cut is a slice of its input: it needs no cpu and no room.
  if (!run.runs_tasks) return {WaitReason::kNone, 1};
  // Running tasks come before new ones.
  if (!run.parked.empty() && !run.retry_first()) return {CreditReason(run)};
  if (const WaitReason reason = caps_.MayStart(run.id, View()); reason != WaitReason::kNone) {
    return {reason};
  }
  if (run.pool) {
    if (run.pool->free_slots() == 0) return {WaitReason::kNoActor};
  } else {
    const WaitReason reason = ShortageReason(run.task_cost, used_, total_);
    const bool may_queue =
        ahead && reason == WaitReason::kNoCpu &&
        used_.cpu_milli + run.task_cost.cpu_milli <= total_.cpu_milli * (1 + run.ahead_factor);
    if (reason != WaitReason::kNone && !may_queue) return {reason};
  }
  if (MustDrain(run)) return {WaitReason::kNoMemory};
  const std::int64_t heap = NextHeap(run, ahead);
  if (memory_.limited() && memory_.room() <= heap) return {WaitReason::kNoMemory};
  std::int64_t expected = ExpectedBytes(run, 0);
  std::int64_t room = reservation_.StartRoom(run.id);
  if (memory_.limited()) room = std::min(room, memory_.room() - heap);
  // Of an operator's first task nothing is known: it makes do with the room that there is.
  if (run.tasks.empty() && run.stats.output_blocks == 0) expected = std::min(expected, room);
  if (room < expected || room == 0) return {CreditReason(run)};
  // The user's policies come last: so they are asked about what could start, and no more.
  if (policies_.empty()) return {WaitReason::kNone, expected, heap};
  RefreshView();
  for (const auto& policy : policies_) {
    const WaitReason reason = policy->MayStart(run.id, View());
    if (reason != WaitReason::kNone) return {reason};
  }
  const std::int64_t credit = ByPolicies(run, expected);
  return {credit < 1 ? WaitReason::kPolicy : WaitReason::kNone, credit, heap};
}

/// Returns the operator to start a task of, or null: the one with the least output that waits or
/// is on its way. So long tasks do not take all cpus from those that empty their queue.
OperatorRun* SchedulerImpl::Choose(bool ahead, Candidate* chosen) {
  OperatorRun* best = nullptr;
  std::int64_t best_queued = 0;
  for (std::size_t i = runs_.size(); i-- > 0;) {  // Downstream first: ties go there.
    OperatorRun& run = runs_[i];
    if (ahead && run.waits_for != WaitReason::kNoCpu) continue;
    const Candidate candidate = MayStart(run, ahead);
    run.waits_for = candidate.reason;
    if (candidate.reason != WaitReason::kNone) continue;
    const std::int64_t queued = ledger_.held(run.id, Place::kOutputQueue) +
                                ledger_.held(run.id, Place::kInputQueue) + BytesToCome(run);
    if (best != nullptr && queued >= best_queued) continue;
    best = &run;
    best_queued = queued;
    *chosen = candidate;
  }
  return best;
}

/// Where tasks are so short that a cpu would idle until the scheduler hears of their end, some are
/// sent ahead, beyond the cpus that there are: unless somebody with longer work waits for a cpu.
bool SchedulerImpl::MaySendAhead() const {
  if (!has_short_tasks_ || actor_waits_) return false;
  return std::none_of(runs_.begin(), runs_.end(), [](const OperatorRun& run) {
    return run.waits_for == WaitReason::kNoCpu && run.ahead_factor == 0;
  });
}

bool SchedulerImpl::StartOne() {
  Candidate candidate;
  OperatorRun* chosen = Choose(/*ahead=*/false, &candidate);
  if (chosen == nullptr && MaySendAhead()) chosen = Choose(/*ahead=*/true, &candidate);
  if (chosen == nullptr) return false;
  Start(*chosen, candidate.credit_bytes, candidate.heap_bytes);
  return true;
}

/// Returns a task to be tried again, or else a new one.
TaskRecord& SchedulerImpl::TakeTask(OperatorRun& run) {
  if (!run.retries.empty()) {
    const std::uint64_t ordinal = NextRetry(run);
    run.retries.erase(ordinal);
    ++run.stats.tasks_retried;
    TaskRecord& task = *run.tasks.Find(ordinal);
    if (task.unread) Reread(run, task, /*ends=*/false);
    return task;
  }
  TaskRecord& task = run.tasks.Add(run.id);
  task.work = run.op->TakeWork();
  // What the exchange keeps goes through its last tasks, and is joined there.
  if (run.left_of != nullptr && !run.op->keeps_outputs()) AddSides(run, &task.work);
  for (const RefBundle::Item& item : task.work.held.items) {
    ledger_.Move(item.owner, Place::kInputQueue, Place::kTaskInput, item.info.num_bytes);
  }
  if (run.stats.tasks_started++ == 0) run.first_start = now_.value_or(Instant{});
  return task;
}

void SchedulerImpl::Start(OperatorRun& run, std::int64_t credit_bytes, std::int64_t heap_bytes) {
  // What is sent ahead is charged nothing, but may hold no more than others.
  const std::int64_t allowance =
      run.pool || !run.has_heap ? 0 : Allowance(std::max(heap_bytes, NextHeap(run, false)));
  TaskRecord* task = &TakeTask(run);
  if (task->alone) StopIdleActorsBut(run);
  task->state = TaskRecord::State::kRunning;
  task->granted_bytes = credit_bytes;
  task->yielded_bytes = 0;
  task->running_nanos = 0;
  task->since = now_.value_or(Instant{});
  ChargeHeap(*task, heap_bytes);
  ledger_.Charge(run.id, Place::kCredit, credit_bytes);
  ++num_active_;
  ++loads_[run.index()].tasks_running;

  action::StartTask start{.task = task->id, .order = OrderOf(run, *task)};
  TaskOrder& order = start.order;
  order.heap_bytes = allowance;
  if (run.pool) {
    task->actor = run.pool->FindFree();
    HEADRACE_CHECK(task->actor >= 0);
    const auto ordinal = static_cast<std::uint32_t>(task->actor);
    run.pool->TaskStarted(ordinal);
    order.actor = ActorId{run.id, ordinal};
  } else {
    used_ += run.task_cost;
    order.cost = run.task_cost;
  }
  Push(std::move(start));
}

/// Returns the order of a task but for where it runs.
TaskOrder SchedulerImpl::OrderOf(const OperatorRun& run, const TaskRecord& task) const {
  TaskOrder order;
  const ProposedTask& work = task.work;
  order.program = work.program;
  order.inputs.reserve(work.held.items.size() + work.shared.size() + work.side_inputs.size());
  if (work.shared_first) order.inputs.append(work.shared.begin(), work.shared.end());
  for (const RefBundle::Item& item : work.held.items) order.inputs.push_back(item.object.id());
  if (!work.shared_first) {
    order.inputs.append(work.shared.begin(), work.shared.end());
  }
  order.inputs.append(work.side_inputs.begin(), work.side_inputs.end());
  order.ranges = work.ranges;
  if (!order.ranges.empty()) order.ranges.resize(order.inputs.size());
  order.left_inputs = work.left_inputs;
  order.sides = work.sides;
  order.keys = work.keys;
  if (work.units != nullptr) order.units = *work.units;
  order.position = work.position;
  order.credit_bytes = task.granted_bytes;
  order.skip_outputs = task.outputs_taken;
  order.again = task.again;
  return order;
}

void SchedulerImpl::GrantParked() {
  for (std::size_t i = runs_.size(); i-- > 0;) {
    OperatorRun& run = runs_[i];
    while (!run.parked.empty() && !run.closed && !run.retry_first()) {
      TaskRecord& task = *run.tasks.Find(*run.parked.begin());
      const std::int64_t expected = ExpectedBytes(run, task.outputs_taken);
      if (GrantRoom(run) < expected) break;
      if (traits_.parks_waiting_tasks && !run.pool && !Fits(run.task_cost)) break;
      const std::int64_t bytes = ByPolicies(run, expected);
      if (bytes < 1) break;
      Grant(run, task, bytes);
    }
  }
}

void SchedulerImpl::Grant(OperatorRun& run, TaskRecord& task, std::int64_t bytes) {
  if (task.state == TaskRecord::State::kParked) {
    run.parked.erase(task.id.ordinal);
    task.state = TaskRecord::State::kRunning;
    task.since = now_.value_or(Instant{});
    if (traits_.parks_waiting_tasks && !run.pool) used_ += run.task_cost;
    --num_parked_;
    ++num_active_;
    --loads_[run.index()].tasks_parked;
    ++loads_[run.index()].tasks_running;
  }
  task.granted_bytes = std::max(task.granted_bytes, task.yielded_bytes) + bytes;
  ledger_.Charge(run.id, Place::kCredit, bytes);
  Push(action::GrantCredit{task.id, task.granted_bytes});
}

}  // namespace headrace
