#include "headrace/control/schedule/liveness.h"

#include "headrace/control/schedule/scheduler_impl.h"

namespace headrace {

bool Liveness::Stuck() const {
  if (s_.stopping_ || s_.num_active_ > 0 || s_.wanted_ == 0) return false;
  if (s_.last().finished || s_.last().op->HasOutput()) return false;
  if (s_.IsSpilling()) return false;
  for (const OperatorRun& run : s_.runs_) {
    if (run.pool && run.pool->num_starting() > 0) return false;
    // A cancelled task that waits for credit still ends by itself.
    if (run.closed && !run.parked.empty()) return false;
  }
  return true;
}

bool Liveness::Override() {
  if (!Stuck()) return false;
  if (!s_.remakes_.idle()) {
    if (OperatorRun* remaker = FindRemaker()) return Advance(*remaker);
    if (s_.StartRemakes(/*force=*/true)) return true;
  }
  OperatorRun* run = &s_.last();
  while (run->parked.empty() && !run->has_work()) {
    if (run->spec->inputs.empty()) return false;
    const auto input = static_cast<std::size_t>(run->op->needed_input());
    run = &s_.run(run->spec->inputs[input]);
  }
  return Advance(*run);
}

/// Returns an operator that makes a lost block again and could go on, or one whose tasks must end
/// before that. What it makes is read before all else.
OperatorRun* Liveness::FindRemaker() const {
  for (std::size_t i = s_.runs_.size(); i-- > 0;) {
    OperatorRun& run = s_.runs_[i];
    if ((run.remaking > 0 || run.paused) && !run.parked.empty()) return &run;
    if (run.remaking > 0 && !run.paused && !run.retries.empty()) return &run;
  }
  return nullptr;
}

bool Liveness::Advance(OperatorRun& run) {
  if (run.parked.empty() || run.retry_first()) return StartForced(run);
  const bool needs_cost = s_.traits_.parks_waiting_tasks && !run.pool;
  if (needs_cost && !s_.Fits(run.task_cost)) return FreeResources(run);
  ++s_.overrides_;
  s_.Grant(run, *run.tasks.Find(*run.parked.begin()), 1);
  return false;
}

bool Liveness::StartForced(OperatorRun& run) {
  if (!run.pool) {
    if (!s_.Fits(run.task_cost)) return FreeResources(run);
  } else if (run.pool->free_slots() == 0) {
    // Nothing runs in the pool and no actor is starting, so there is none, or only such as are
    // about to be reported lost.
    const std::int32_t suspect = run.pool->FindSuspect();
    if (suspect >= 0) s_.StopActor(run, static_cast<std::uint32_t>(suspect));
    if (!s_.Fits(run.task_spec->cost)) return FreeResources(run);
    if (s_.MissingForActor(run) > 0 && StopIdle(run)) return true;
    s_.StartActor(run);
    return false;
  }
  if (s_.memory_.limited() && s_.memory_.room() < s_.NextHeap(run, false) && StopIdle(run)) {
    return true;
  }
  ++s_.overrides_;
  s_.Start(run, 1, s_.NextHeap(run, false));
  return false;
}

/// Stops an actor of another operator that has nothing to do.
bool Liveness::StopIdle(const OperatorRun& needy) {
  for (OperatorRun& run : s_.runs_) {
    if (!run.pool || &run == &needy) continue;
    const std::int32_t idle = run.pool->FindIdle();
    if (idle < 0) continue;
    s_.StopActor(run, static_cast<std::uint32_t>(idle));
    return true;
  }
  return false;
}

bool Liveness::FreeResources(const OperatorRun& needy) {
  if (StopIdle(needy)) return true;
  for (std::size_t i = s_.runs_.size(); i-- > 0;) {
    OperatorRun& run = s_.runs_[i];
    const bool holds = run.pool.has_value() || !s_.traits_.parks_waiting_tasks;
    if (!holds || run.parked.empty()) continue;
    ++s_.overrides_;
    s_.Grant(run, *run.tasks.Find(*run.parked.begin()), 1);
    return false;
  }
  return false;
}

}  // namespace headrace
