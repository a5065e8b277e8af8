#include <gtest/gtest.h>

#include "figure9.h"

// What a stage that asks for batches of so many rows costs where the tasks before it differ in
// speed.

namespace headrace::simtest {
namespace {

// 40 read tasks of 5 blocks of 100 rows, a block a second, the first task's a hundred; then batches
// of `batch_rows` in a second each, on slots of their own.
Case SlowFirstRead(std::int64_t batch_rows) {
  Case c = Figure9(kGigabyte * 64);
  std::get<TaskOperator>(c.plan.operators[0].kind).unit_groups.resize(40);
  auto& transform = std::get<TaskOperator>(c.plan.operators[1].kind);
  transform.cost = {.gpu_milli = 1000};
  transform.min_bundle_rows = batch_rows;
  c.sim.block_time = [](OperatorId op, const Position& position, Instant) {
    return Duration::Seconds(op.value == 0 && position.path[0] == 0 ? 100 : 1);
  };
  return c;
}

double SecondsOf(const Case& c) {
  const Outcome out = SimRun(c).Go(/*check=*/true);
  EXPECT_EQ(Judge(c, out), "");
  return out.seconds;
}

TEST(Order, ASlowReadHoldsBackOnlyWhatIsJoinedWithItsRows) {
  const double alone = SecondsOf(SlowFirstRead(0));
  EXPECT_GE(alone, 500);
  EXPECT_LT(alone, 510);
  EXPECT_LT(SecondsOf(SlowFirstRead(100)), alone + 2);
  EXPECT_GT(SecondsOf(SlowFirstRead(150)), alone + 20);  // Two blocks each, in order.
}

}  // namespace
}  // namespace headrace::simtest
