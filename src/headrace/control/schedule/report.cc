#include <algorithm>
#include <variant>

#include "headrace/base/check.h"
#include "headrace/control/schedule/scheduler_impl.h"

// Snapshots, and the books compared.

namespace headrace {

std::vector<OperatorState> SchedulerImpl::Snapshot() const {
  std::vector<OperatorState> states;
  states.reserve(runs_.size());
  for (const OperatorRun& run : runs_) {
    OperatorState state = run.stats;
    state.tasks_running = loads_[run.index()].tasks_running;
    state.tasks_parked = loads_[run.index()].tasks_parked;
    state.tasks_total = run.finished ? run.stats.tasks_started : run.op->tasks_total();
    if (run.pool) {
      state.actors_ready = run.pool->num_ready();
      state.actors_starting = run.pool->num_starting();
    }
    state.input_blocks = run.op->queued_blocks();
    state.input_bytes = run.op->queued_bytes();
    state.held_bytes = ledger_.usage(run.id);
    state.waits_for = run.waits_for;
    state.spilled_bytes = run.op->spilled_bytes_total();
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<ResourceDemand> SchedulerImpl::Demands() const {
  std::vector<ResourceDemand> demands;
  for (const OperatorRun& run : runs_) {
    if (!run.runs_tasks || run.finished || run.closed || !run.has_work()) continue;
    const Resources& each = run.pool ? run.task_spec->cost : run.task_cost;
    if (Fits(each)) continue;
    const std::int64_t known = run.op->tasks_total() - run.stats.tasks_started;
    std::int64_t count = std::max({known, run.op->queued_blocks(), std::int64_t{1}});
    if (run.pool) {
      const ActorPool& spec = run.pool->spec();
      count = count / std::max(spec.max_tasks_in_flight, 1) - run.pool->num_starting();
      count = std::clamp<std::int64_t>(count, run.pool->num_live() == 0 ? 1 : 0,
                                       spec.max_size - run.pool->num_live());
    } else if (const auto* tasks = run.task_spec == nullptr
                                       ? nullptr
                                       : std::get_if<TaskPool>(&run.task_spec->compute);
               tasks != nullptr && tasks->max_tasks) {
      count = std::min(count, *tasks->max_tasks - loads_[run.index()].tasks_running);
    }
    if (count > 0) demands.push_back({each, count});
  }
  return demands;
}

void SchedulerImpl::CheckInvariants() const {
  ledger_.CheckInvariants();
  HEADRACE_CHECK(ledger_.stored() == refs_.live_bytes());

  std::vector<std::int64_t> book(runs_.size() * kNumPlaces, 0);
  const auto entry = [&](OperatorId op, Place place) -> std::int64_t& {
    return book[static_cast<std::size_t>(op.value * kNumPlaces + static_cast<int>(place))];
  };
  Resources used;
  std::int64_t heap = 0;
  std::int64_t active = 0;
  std::int64_t parked = 0;
  for (const OperatorRun& run : runs_) {
    run.op->AddTo(&book);
    if (run.pool) {
      for (std::int32_t i = 0; i < run.pool->num_live(); ++i) used += run.task_spec->cost;
      heap += run.actor_heap_bytes * run.pool->num_live();
    }
    run.tasks.ForEach([&](const TaskRecord& task) {
      entry(run.id, Place::kCredit) += task.open_credit();
      for (const RefBundle::Item& item : task.work.held.items) {
        entry(item.owner, Place::kTaskInput) += item.info.num_bytes;
      }
      const bool is_parked = task.state == TaskRecord::State::kParked;
      const bool is_running = task.state == TaskRecord::State::kRunning;
      heap += task.heap_bytes;
      active += is_running ? 1 : 0;
      parked += is_parked ? 1 : 0;
      if (is_running || (is_parked && !traits_.parks_waiting_tasks)) used += run.task_cost;
      HEADRACE_CHECK(is_parked == run.parked.contains(task.id.ordinal));
    });
  }
  for (const auto& [owner, bytes] : delivered_) entry(owner, Place::kConsumer) += bytes;
  for (const OperatorRun& run : runs_) {
    for (int place = 0; place < kNumPlaces; ++place) {
      HEADRACE_CHECK(entry(run.id, static_cast<Place>(place)) ==
                     ledger_.held(run.id, static_cast<Place>(place)));
    }
  }
  HEADRACE_CHECK(used == used_);
  HEADRACE_CHECK(heap == memory_.charged());
  HEADRACE_CHECK(active == num_active_);
  HEADRACE_CHECK(parked == num_parked_);
}

}  // namespace headrace
