#include <algorithm>
#include <string>
#include <utility>

#include "headrace/control/schedule/scheduler_impl.h"

// Sizes of actor pools, and lost actors.

namespace headrace {
namespace {

// Bounds on restarts; past them the run fails with the last failure.
constexpr std::int32_t kStartErrorsMax = 3;  // Its start failed (the constructor raised) in a row.
constexpr std::int32_t kStartFailuresMax = 8;  // The same, or its worker died while it started.
constexpr std::int32_t kLossesMax = 16;        // Lost in a row: none served a task or lived on.

}  // namespace

void SchedulerImpl::ScalePools() {
  actor_waits_ = false;
  for (OperatorRun& run : runs_) {
    if (run.pool && !run.closed && !run.rests()) ScalePool(run);
  }
}

void SchedulerImpl::ScalePool(OperatorRun& run) {
  ActorPoolState& pool = *run.pool;
  const ActorPool& spec = pool.spec();
  if (run.op->exhausted() && run.retries.empty()) return StopIdleActors(run, spec.min_size);
  const Resources& cost = run.task_spec->cost;
  while (pool.num_live() < spec.max_size) {
    const bool wanted = pool.num_live() < spec.min_size || pool.num_added() < spec.initial_size;
    const std::int64_t slots = pool.free_slots() + std::int64_t{pool.num_starting()} *
                                                       std::max(spec.max_tasks_in_flight, 1);
    const std::int64_t waiting =
        run.op->queued_blocks() + static_cast<std::int64_t>(run.retries.size());
    const bool pressed = run.parked.empty() && run.has_work() && waiting > slots;
    if (!(wanted || pressed) || !LeavesRoom(run)) return;
    if (!Fits(cost) || MissingForActor(run) > 0) {
      actor_waits_ = true;
      return;
    }
    StartActor(run);
  }
}

/// Returns true if one more actor of `growing` leaves every other operator what it needs for one
/// task or one actor. Else a pool could grow until its own input cannot be made. Where even the
/// smallest pools do not fit beside the rest, liveness starts and stops them in turn.
bool SchedulerImpl::LeavesRoom(const OperatorRun& growing) const {
  Resources held = growing.task_spec->cost;
  for (const OperatorRun& run : runs_) {
    if (!run.pool || run.rests()) continue;
    const std::int32_t least = &run == &growing ? 0 : 1;
    const std::int32_t size = std::max(run.pool->num_live(), least);
    for (std::int32_t i = 0; i < size; ++i) held += run.task_spec->cost;
  }
  return held.FitsIn(total_) &&
         std::all_of(runs_.begin(), runs_.end(), [&](const OperatorRun& run) {
           const bool needs_more = run.task_spec != nullptr && !run.pool && !run.rests();
           return !needs_more || (held + run.task_cost).FitsIn(total_);
         });
}

void SchedulerImpl::StartActor(OperatorRun& run) {
  const std::uint32_t ordinal = run.pool->Add();
  used_ += run.task_spec->cost;
  std::int64_t allowance = 0;
  if (run.has_heap) {
    if (run.pool->num_live() == 1) run.actor_heap_bytes = memory_.Expected(run.id, HeapGuess(run));
    allowance = Allowance(run.actor_heap_bytes);
    memory_.Charge(run.actor_heap_bytes);
  }
  Push(action::StartActor{{run.id, ordinal},
                          {run.task_spec->program, run.task_spec->cost, allowance}});
}

void SchedulerImpl::StopActor(OperatorRun& run, std::uint32_t ordinal) {
  // It lived until it was not needed, so the losses before it were not in a row.
  if (run.pool->SetGone(ordinal) == ActorPoolState::State::kReady) run.pool->losses = 0;
  used_ -= run.task_spec->cost;
  memory_.Release(run.actor_heap_bytes);
  Push(action::StopActor{{run.id, ordinal}});
}

/// Stops actors without tasks, youngest first, until `keep` are left. With `keep` 0 the operator
/// is over, and those that are starting stop as well.
void SchedulerImpl::StopIdleActors(OperatorRun& run, std::int32_t keep) {
  while (run.pool->num_live() > keep) {
    std::int32_t actor = run.pool->FindIdle();
    if (actor < 0 && keep == 0) actor = static_cast<std::int32_t>(run.pool->live().back());
    if (actor < 0) return;
    StopActor(run, static_cast<std::uint32_t>(actor));
  }
}

void SchedulerImpl::On(event::ActorReady& e) {
  if (!IsOperator(e.actor.op) || !run(e.actor.op).pool) return;
  ActorPoolState& pool = *run(e.actor.op).pool;
  if (!pool.SetReady(e.actor.ordinal)) return;
  pool.start_failures = pool.start_errors = 0;
  LearnHeap(run(e.actor.op), e.heap_bytes);
}

void SchedulerImpl::On(event::ActorLost& e) {
  if (!IsOperator(e.actor.op) || !run(e.actor.op).pool) return;
  OperatorRun& run = this->run(e.actor.op);
  ActorPoolState& pool = *run.pool;
  const ActorPoolState::State before = pool.SetGone(e.actor.ordinal);
  if (before == ActorPoolState::State::kGone) return;
  used_ -= run.task_spec->cost;
  memory_.Release(run.actor_heap_bytes);
  const bool over_memory = e.failure.kind == FailureKind::kOverMemory;
  if (run.closed || stopping_) return;
  if (over_memory) return NoteActorStopped(run, e.actor.ordinal, e.heap_bytes);
  if (before == ActorPoolState::State::kStarting) {
    ++pool.start_failures;
    const bool by_error = e.failure.kind != FailureKind::kWorkerLost;
    pool.start_errors = by_error ? pool.start_errors + 1 : 0;
  } else {
    ++pool.losses;
  }
  if (pool.start_failures >= kStartFailuresMax || pool.losses >= kLossesMax ||
      pool.start_errors >= kStartErrorsMax) {
    Failure failure = e.failure;
    if (before == ActorPoolState::State::kStarting) {
      const std::string& said = e.failure.context;
      const bool is_line = said.empty() || said.starts_with('\n');
      failure.context =
          "operator " + run.spec->name + ", while an actor started" + (is_line ? "" : "\n") + said;
    }
    FailRun(run, std::move(failure));
  }
}

}  // namespace headrace
