#include "headrace/control/account/demand.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace headrace {
namespace {

constexpr std::int64_t kBlock = 10'000'000;
constexpr std::int64_t kMillis = 1'000'000;  // Nanoseconds.

// Load → transform → infer, each a block at a time.
std::vector<OperatorDemand> Pipeline() {
  const auto add = [](std::int32_t consumer, std::int64_t millis, std::int64_t held,
                      std::int64_t made) {
    OperatorDemand op;
    op.consumer = consumer;
    op.runs_tasks = true;
    op.starts_flow = held == 0;
    op.means = {.samples = 8, .nanos = millis * kMillis, .held_bytes = held, .output_bytes = made};
    op.block_bytes = made;
    op.cost = {.cpu_milli = 1000};
    return op;
  };
  return {add(1, 1070, 0, kBlock), add(2, 505, kBlock, kBlock), add(-1, 503, kBlock, 8)};
}

std::vector<std::int64_t> NeedsOf(std::int64_t budget_bytes, std::int64_t cpus = 1000) {
  return CreditNeeds(Pipeline(), budget_bytes, 0, {.cpu_milli = 1000 * cpus});
}

TEST(CreditNeeds, IsRoundedUpWhereThereIsRoom) {
  // 3 cpus turn over a block in 2.078 / 3 s.
  EXPECT_EQ(NeedsOf(100 * kBlock, 3), (std::vector<std::int64_t>{2 * kBlock, kBlock, 8}));
}

TEST(CreditNeeds, WholeTasksShareABudgetThatIsShort) {
  // Of 4.1 : 1.9 : 1.9 tasks in 10 blocks, a transform holding two: the load bounds the flow.
  EXPECT_EQ(NeedsOf(10 * kBlock), (std::vector<std::int64_t>{3 * kBlock, 2 * kBlock, 16}));
  EXPECT_EQ(NeedsOf(11 * kBlock), (std::vector<std::int64_t>{4 * kBlock, 2 * kBlock, 16}));
}

TEST(CreditNeeds, FitsABudgetOfLessThanATaskEach) {
  const std::vector<std::int64_t> needs = NeedsOf(kBlock);
  for (const std::int64_t need : needs) EXPECT_GT(need, 0);
  EXPECT_LT(std::accumulate(needs.begin(), needs.end(), std::int64_t{0}), kBlock);
}

}  // namespace
}  // namespace headrace
