#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "headrace/observe/timeline.h"
#include "headrace/observe/trace.h"
#include "sim_harness.h"

// Random plans × random machines × random faults × random budgets, each from one number.
//
// HEADRACE_SIM_CASES: how many (default 10,000). HEADRACE_SIM_SEED: the first number (default 1).

namespace headrace::simtest {
namespace {

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// What a batch of cases was made of, so that a reader sees that it tried something.
struct Tally {
  std::int64_t steps = 0;
  std::int64_t blocks = 0;
  std::int64_t retries = 0;
  std::int64_t overrides = 0;
  std::int64_t spilled = 0;    // Objects.
  std::int64_t lost = 0;       // Of these and of others,
  std::int64_t remade = 0;     // and those that were made again.
  std::int64_t failed = 0;     // Runs that ended with a failure, as they had to.
  std::int64_t stopped = 0;    // By the consumer.
  std::int64_t held_back = 0;  // Runs with a user's policy.
  std::int64_t limited = 0;    // Runs with a memory limit,
  std::int64_t stops = 0;      // and workers stopped in them,
  std::int64_t no_room = 0;    // and those that ended since a task did not fit.
};

/// Replays a recorded run and returns where it differs, or "".
std::string TryReplay(const Outcome& out) {
  auto log = ParseEventLog(out.log);
  if (!log.ok()) return log.status().ToString();
  if (!log->cut.empty()) return "the log of a whole run is cut: " + log->cut;
  Timeline timeline(*log, 10);
  Trace trace(*log);
  const Status replayed = Replay(*log, {&timeline, &trace});
  if (!replayed.ok()) return replayed.ToString();
  if (trace.Finish().find("not ended") != std::string::npos) return "the trace has an open task";
  for (std::size_t i = 0; i < timeline.operators().size(); ++i) {
    const OperatorState& then = out.states[i];
    const OperatorState& now = timeline.operators()[i];
    if (now.tasks_done != then.tasks_done || now.output_rows != then.output_rows ||
        !std::equal(std::begin(now.wait_nanos), std::end(now.wait_nanos), then.wait_nanos)) {
      return "the replay tells another story of " + now.name;
    }
  }
  return timeline.peak_charged_bytes() == out.peak_charged_bytes ? "" : "another peak";
}

/// Runs the case of `seed` and returns what is wrong, or "".
std::string Try(std::uint64_t seed, bool replay, Tally* tally) {
  const Case c = MakeCase(seed);
  SimRun run(c);
  const Outcome out = run.Go(/*check=*/true);
  tally->steps += out.steps;
  tally->blocks += static_cast<std::int64_t>(out.blocks.size());
  tally->overrides += out.overrides;
  tally->spilled += out.spilled_objects;
  tally->lost += out.lost_objects;
  tally->failed += out.failure ? 1 : 0;
  tally->stopped += out.stopped ? 1 : 0;
  tally->held_back += c.policy.seed != 0 ? 1 : 0;
  tally->limited += c.sim.memory_limit_bytes > 0 ? 1 : 0;
  tally->stops += out.memory_stops;
  tally->no_room += out.failure && out.failure->kind == FailureKind::kOverMemory ? 1 : 0;
  for (const OperatorState& state : out.states) {
    tally->retries += state.tasks_retried;
    tally->remade += state.blocks_remade;
  }
  if (std::string problem = Judge(c, out); !problem.empty()) return problem;
  if (SimRun(c).Go(/*check=*/false).log != out.log) return "two runs of one seed differ";
  return replay ? TryReplay(out) : "";
}

TEST(Sim, RandomPlansMachinesAndFaults) {
  const std::uint64_t cases = FromEnvironment("HEADRACE_SIM_CASES", 10'000);
  const std::uint64_t first = FromEnvironment("HEADRACE_SIM_SEED", 1);
  const auto start = std::chrono::steady_clock::now();
  Tally tally;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + cases; ++seed) {
    const std::string problem = Try(seed, seed % 8 == 0, &tally);
    if (problem.empty()) continue;
    ADD_FAILURE() << problem << "\nagain: HEADRACE_SIM_CASES=1 HEADRACE_SIM_SEED=" << seed
                  << " sim_test --gtest_filter=Sim.RandomPlansMachinesAndFaults";
    if (++failures == 10) break;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf(
      "%lld cases from seed %lld in %.1f s: %lld events, %lld blocks, %lld retries, "
      "%lld overrides, %lld objects spilled, %lld lost and %lld made again, "
      "%lld runs failed and %lld were stopped as they "
      "should, %lld had a policy; "
      "%lld had a memory limit: %lld workers were stopped for it, %lld runs failed\n",
      static_cast<long long>(cases), static_cast<long long>(first), took.count(),
      static_cast<long long>(tally.steps), static_cast<long long>(tally.blocks),
      static_cast<long long>(tally.retries), static_cast<long long>(tally.overrides),
      static_cast<long long>(tally.spilled), static_cast<long long>(tally.lost),
      static_cast<long long>(tally.remade), static_cast<long long>(tally.failed),
      static_cast<long long>(tally.stopped), static_cast<long long>(tally.held_back),
      static_cast<long long>(tally.limited), static_cast<long long>(tally.stops),
      static_cast<long long>(tally.no_room));
  if (failures > 0 && cases == 1) {
    const Case c = MakeCase(first);
    std::printf("%s", ToString(*ParseEventLog(SimRun(c).Go(/*check=*/false).log)).c_str());
  }
}

/// A case in which nothing goes wrong by itself.
Case QuietCase(std::uint64_t seed) {
  Case c = MakeCase(seed);
  c.sim.worker_lost_chance = c.sim.actor_start_fails_chance = c.sim.actor_dies_idle_chance = 0;
  c.sim.noise_chance = c.sim.model.error_chance = 0;
  c.sim.workers_always_lost = c.sim.actors_never_start = false;
  c.sim.spill_lost_chance = c.sim.block_lost_chance = 0;
  c.sim.blocks_always_lost = false;
  c.stop_after = -1;
  c.policy.fails_after = -1;
  return c;
}

/// Returns how many of 200 cases with the planted mistake are judged wrong.
template <class Plant>
int Caught(Plant plant) {
  int caught = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Case c = QuietCase(seed);
    plant(&c.sim);
    // The books still agree with each other: it is the outcome that must tell.
    if (!Judge(c, SimRun(c).Go(/*check=*/false)).empty()) ++caught;
  }
  return caught;
}

// Canaries: checks that cannot fail are no checks.
TEST(SimCanary, NothingIsCaughtWhereNothingIsPlanted) {
  EXPECT_EQ(Caught([](SimOptions*) {}), 0);
}
TEST(SimCanary, CatchesALostTaskEnd) {
  EXPECT_GT(Caught([](SimOptions* sim) { sim->drop_task_ended = 2; }), 100);
}
TEST(SimCanary, CatchesALostBlock) {
  EXPECT_GT(Caught([](SimOptions* sim) { sim->drop_block = 2; }), 100);
}
TEST(SimCanary, CatchesADoubledBlock) {
  EXPECT_GT(Caught([](SimOptions* sim) { sim->double_block = 2; }), 100);
}
TEST(SimCanary, CatchesALostRelease) {
  EXPECT_GT(Caught([](SimOptions* sim) { sim->lose_release = 2; }), 100);
}
TEST(SimCanary, CatchesAMiscountedCredit) {
  EXPECT_GT(Caught([](SimOptions* sim) { sim->ignore_grant = 1; }), 20);
}

// Whoever passes the limit and is not stopped holds more than one task's surprise above it.
TEST(SimCanary, CatchesALimitThatNobodyKeeps) {
  int caught = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Case c = QuietCase(seed);
    if (c.sim.memory_limit_bytes == 0) continue;
    c.sim.ignore_allowances = true;
    c.sim.model.heap_outlier_chance = 0.5;
    if (!Judge(c, SimRun(c).Go(/*check=*/false)).empty()) ++caught;
  }
  EXPECT_GT(caught, 5);
}

}  // namespace
}  // namespace headrace::simtest
