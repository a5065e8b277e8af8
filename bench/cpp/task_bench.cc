// What one task costs: in the scheduler alone, and through the whole engine on the thread lane.

#include <arrow/record_batch.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/optimize/optimizer.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/engine/dataset.h"
#include "headrace/engine/execution.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

namespace headrace {
namespace {

constexpr std::int64_t kBudgetBytes = std::int64_t{1} << 30;

Result<std::shared_ptr<arrow::RecordBatch>> Same(std::shared_ptr<arrow::RecordBatch> batch) {
  return batch;
}

/// One row per task: as many tasks as rows.
Dataset OneRowTasks(std::int64_t tasks) {
  return Dataset::Range(tasks, tasks).ValueOrDie().MapBatches(Same, {.name = "Same"});
}

void ReportCost(benchmark::State& state, std::int64_t tasks) {
  state.SetItemsProcessed(state.iterations() * tasks);
  state.counters["per_task"] =
      benchmark::Counter(static_cast<double>(tasks), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
}

/// A world in which every task yields one small block and ends at once, and the consumer takes
/// everything: what remains is the scheduler.
class InstantWorld {
 public:
  explicit InstantWorld(Scheduler* scheduler) : scheduler_(scheduler) {}

  std::int64_t Run() {
    events_.push_back(event::OutputWanted{.output = 0, .bundles = 1});
    while (true) {
      while (std::optional<Action> action = scheduler_->Poll()) {
        std::visit([this](const auto& a) { Perform(a); }, *action);
      }
      if (scheduler_->finished()) return tasks_;
      HEADRACE_CHECK(!events_.empty());
      Event event = std::move(events_.front());
      events_.pop_front();
      scheduler_->Step(std::move(event), Instant{now_ += 1000});
    }
  }

 private:
  void Perform(const action::StartTask& start) {
    ++tasks_;
    BlockHandle block;
    block.object = {++objects_};
    block.info.num_rows = 1;
    block.info.num_bytes = 8;
    block.info.position = start.order.position.Child(0);
    events_.push_back(event::BlockYielded{.task = start.task, .index = 0, .block = block});
    events_.push_back(event::TaskEnded{.task = start.task, .failure = {}, .stats = {}});
  }
  void Perform(const action::DeliverOutput& output) {
    for (const BlockHandle& block : output.blocks) {
      events_.push_back(event::OutputConsumed{.output = 0, .bytes = block.info.num_bytes});
    }
    events_.push_back(event::OutputWanted{.output = 0, .bundles = 1});
  }
  template <class Other>
  void Perform(const Other&) {}

  Scheduler* scheduler_;
  std::deque<Event> events_;
  std::uint64_t objects_ = 0;
  std::int64_t tasks_ = 0;
  std::int64_t now_ = 0;
};

void SchedulerTask(benchmark::State& state) {
  const std::int64_t tasks = state.range(0);
  const Dataset dataset = OneRowTasks(tasks);
  const Optimizer optimizer;
  const BackendTraits traits{.total = {.cpu_milli = 8000}, .object_store_bytes = kBudgetBytes};
  for (auto _ : state) {
    state.PauseTiming();
    LoweringContext context{.options = dataset.options(), .capacity = traits.total};
    PlanStages stages = PlanQuery(dataset.plan(), optimizer, &context).ValueOrDie();
    auto scheduler =
        Scheduler::Make(std::move(stages.optimized_physical), dataset.options(), traits)
            .ValueOrDie();
    state.ResumeTiming();
    const std::int64_t ran = InstantWorld(scheduler.get()).Run();
    HEADRACE_CHECK(ran == tasks);
    state.PauseTiming();
    scheduler.reset();
    state.ResumeTiming();
  }
  ReportCost(state, tasks);
}
BENCHMARK(SchedulerTask)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void ThreadLaneTask(benchmark::State& state) {
  const std::int64_t tasks = state.range(0);
  const std::shared_ptr<Session> session = Session::Default().ValueOrDie();
  const Dataset dataset = OneRowTasks(tasks);
  for (auto _ : state) {
    auto execution = session->Execute(dataset.plan(), dataset.options()).ValueOrDie();
    std::int64_t rows = 0;
    while (auto block = execution->Next(64).ValueOrDie()) {
      rows += block->info.num_rows;
      execution->backend().Release(std::span(&block->object, 1));
    }
    HEADRACE_CHECK(rows == tasks);
  }
  ReportCost(state, tasks);
}
BENCHMARK(ThreadLaneTask)
    ->Arg(1'000)
    ->Arg(100'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace headrace
