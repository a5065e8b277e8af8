#include <algorithm>
#include <utility>
#include <vector>

#include "headrace/control/schedule/scheduler_impl.h"

// What operators' tasks take, as measured; the credit that they get, and the needs that divide the
// budget.

namespace headrace {
namespace {

// Every so many samples the needs are computed anew; with each of the first ones.
constexpr std::int64_t kSamplesPerUpdate = 8;

}  // namespace

/// Says how many blocks a task makes, by those done; 0: not known yet.
std::int64_t SchedulerImpl::BlocksPerTask(const OperatorRun& run) const {
  const std::int64_t done = run.stats.tasks_done;
  return done == 0 ? 0 : std::max<std::int64_t>(1, (run.blocks_of_done_tasks + done - 1) / done);
}

/// Returns the credit for the next block of a task that has made `taken`. Where more will follow,
/// the task is to park when it has made that one; else it is to end without parking.
std::int64_t SchedulerImpl::ExpectedBytes(const OperatorRun& run, std::int64_t taken) const {
  std::int64_t expected = options_.target_max_block_bytes;
  if (run.stats.output_blocks > 0) {
    const std::int64_t mean = run.block_bytes_mean;
    const std::int64_t blocks = BlocksPerTask(run);
    const bool is_last = blocks > 0 && taken + 1 >= blocks;
    expected = is_last ? std::min(mean + mean / 2, run.stats.block_bytes.max) + 1 : mean;
  }
  return std::clamp<std::int64_t>(expected, 1,
                                  std::max<std::int64_t>(1, reservation_.task_share(run.id)));
}

/// Returns what the tasks that were started are likely to make yet; what failed ones have made is
/// taken off it.
std::int64_t SchedulerImpl::BytesToCome(const OperatorRun& run) const {
  const OperatorLoad& load = loads_[run.index()];
  const std::int64_t blocks = (load.tasks_running + load.tasks_parked) * BlocksPerTask(run) -
                              (run.stats.output_blocks - run.blocks_of_done_tasks);
  return std::max<std::int64_t>(0, blocks) * run.block_bytes_mean;
}

/// Takes in a block of `bytes` that `task` made.
void SchedulerImpl::MeasureBlock(OperatorRun& run, TaskRecord& task, std::int64_t bytes) {
  const std::int64_t samples = std::min(run.stats.output_blocks, TaskMeans::kWindow);
  run.block_bytes_mean += (bytes - run.block_bytes_mean) / samples;
  const std::int64_t nanos = (*now_ - std::exchange(task.since, *now_)).nanos;
  task.running_nanos += nanos;
  // A source's tasks may be long, and their blocks tell as much.
  if (run.spec->inputs.empty()) AddSample(run, nanos, 0, bytes);
}

/// Takes in a task that has ended well.
void SchedulerImpl::MeasureTask(OperatorRun& run, const TaskRecord& task) {
  if (run.spec->inputs.empty() || task.id.attempt > 0) return;
  std::int64_t held = 0;
  for (const RefBundle::Item& item : task.work.held.items) held += item.info.num_bytes;
  AddSample(run, task.running_nanos + (*now_ - task.since).nanos, held, task.yielded_bytes);
}

void SchedulerImpl::AddSample(OperatorRun& run, std::int64_t nanos, std::int64_t held_bytes,
                              std::int64_t output_bytes) {
  run.means.Add(nanos, held_bytes, output_bytes);
  if (++run.samples <= kSamplesPerUpdate || run.samples % kSamplesPerUpdate == 0) {
    needs_stale_ = true;
  }
}

void SchedulerImpl::RefreshNeeds() {
  needs_stale_ = false;
  if (reservation_.division() != Division::kByNeed) return;
  std::vector<OperatorDemand> demands(runs_.size());
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const OperatorRun& run = runs_[i];
    OperatorDemand& demand = demands[i];
    demand.consumer = run.consumer;
    demand.runs_tasks = reservation_.eligible(run.id);
    demand.gathers = run.exchange != nullptr && !demand.runs_tasks && !run.finished;
    demand.starts_flow =
        std::all_of(run.spec->inputs.begin(), run.spec->inputs.end(),
                    [this](OperatorId input) { return this->run(input).finished; });
    demand.means = run.means;
    demand.block_bytes = run.stats.output_blocks > 0 ? ExpectedBytes(run, 0) : 0;
    demand.cost = run.task_spec != nullptr ? run.task_spec->cost : run.task_cost;
  }
  reservation_.SetNeeds(
      CreditNeeds(demands, reservation_.budget_bytes(), reservation_.unknown_need(), total_));
}

}  // namespace headrace
