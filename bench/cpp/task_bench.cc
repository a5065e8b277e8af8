// What one task costs through the whole engine on the thread lane: plan, schedule, run, store,
// deliver. bench/scheduler_bench.cc has the scheduler's share alone.

#include <arrow/record_batch.h>
#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <span>

#include "headrace/base/check.h"
#include "headrace/engine/dataset.h"
#include "headrace/engine/execution.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

namespace headrace {
namespace {

Result<std::shared_ptr<arrow::RecordBatch>> Same(std::shared_ptr<arrow::RecordBatch> batch) {
  return batch;
}

void ThreadLaneTask(benchmark::State& state) {
  const std::int64_t tasks = state.range(0);
  const std::shared_ptr<Session> session = Session::Default().ValueOrDie();
  const Dataset dataset = Dataset::Range(tasks, tasks).ValueOrDie();  // A row per task.
  const Dataset mapped = state.range(1) == 0 ? dataset : dataset.MapBatches(Same, {.name = "Same"});
  for (auto _ : state) {
    auto execution = session->Execute(mapped.plan(), mapped.options()).ValueOrDie();
    std::int64_t rows = 0;
    while (auto block = execution->Next(128).ValueOrDie()) {
      rows += block->info.num_rows;
      execution->backend().Release(std::span(&block->object, 1));
    }
    HEADRACE_CHECK(rows == tasks);
  }
  state.counters["per_task"] =
      benchmark::Counter(static_cast<double>(tasks), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
}
BENCHMARK(ThreadLaneTask)
    ->ArgNames({"tasks", "function"})
    ->Args({1'000, 0})
    ->Args({100'000, 0})
    ->Args({100'000, 1})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace headrace
