#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

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

/// Runs the case of `seed` and returns what is wrong, or "".
std::string Try(std::uint64_t seed, bool replay, std::int64_t* steps, std::int64_t* overrides) {
  const Case c = MakeCase(seed);
  SimRun run(c);
  const Outcome out = run.Go(/*check=*/true);
  *steps += out.steps;
  *overrides += out.overrides;
  if (std::string problem = Judge(c, out); !problem.empty()) return problem;
  if (SimRun(c).Go(/*check=*/false).log != out.log) return "two runs of one seed differ";
  if (!replay) return "";
  auto log = ParseEventLog(out.log);
  if (!log.ok()) return log.status().ToString();
  const Status replayed = Replay(run.plan(), c.options, run.traits(), *log);
  return replayed.ok() ? "" : replayed.ToString();
}

TEST(Sim, RandomPlansMachinesAndFaults) {
  const std::uint64_t cases = FromEnvironment("HEADRACE_SIM_CASES", 10'000);
  const std::uint64_t first = FromEnvironment("HEADRACE_SIM_SEED", 1);
  const auto start = std::chrono::steady_clock::now();
  std::int64_t steps = 0;
  std::int64_t overrides = 0;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + cases; ++seed) {
    const std::string problem = Try(seed, seed % 4 == 0, &steps, &overrides);
    if (problem.empty()) continue;
    ADD_FAILURE() << problem << "\nagain: HEADRACE_SIM_CASES=1 HEADRACE_SIM_SEED=" << seed
                  << " sim_test --gtest_filter=Sim.RandomPlansMachinesAndFaults";
    if (++failures == 10) break;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%llu cases from seed %llu: %lld events, %lld overrides, %.1f s\n",
              static_cast<unsigned long long>(cases), static_cast<unsigned long long>(first),
              static_cast<long long>(steps), static_cast<long long>(overrides), took.count());
  if (failures > 0 && cases == 1) {
    const Case c = MakeCase(first);
    std::printf("%s", ToString(*ParseEventLog(SimRun(c).Go(false).log)).c_str());
  }
}

}  // namespace
}  // namespace headrace::simtest
