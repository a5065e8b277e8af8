#include "headrace/observe/statistics.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(Statistics, RendersUnitsThatSuit) {
  EXPECT_EQ(RenderDuration(0), "0ns");
  EXPECT_EQ(RenderDuration(5'100), "5.1us");
  EXPECT_EQ(RenderDuration(1'380'000), "1.38ms");
  EXPECT_EQ(RenderDuration(2e9), "2s");
  EXPECT_EQ(RenderBytes(17), "17B");
  EXPECT_EQ(RenderBytes(1536), "1.5KiB");
  EXPECT_EQ(RenderBytes(64 << 20), "64MiB");
}

TEST(Statistics, RendersOperatorsAsUsersKnowThem) {
  OperatorState state;
  state.name = "ReadRange->MapBatches(f)";
  state.tasks_done = 2;
  state.output_blocks = 2;
  state.output_rows = 30;
  state.active_nanos = 520'000'000;
  state.wall_nanos = 6'000'000;
  for (const std::int64_t nanos : {2'000'000, 4'000'000}) state.task_wall_nanos.Add(nanos);
  for (const std::int64_t rows : {10, 20}) state.block_rows.Add(rows);
  state.wait_nanos[static_cast<int>(WaitReason::kNoCpu)] = 25'000'000;
  state.wait_nanos[static_cast<int>(WaitReason::kConsumer)] = 75'000'000;
  state.wait_nanos[static_cast<int>(WaitReason::kFinished)] = 1'000'000;
  const std::string text = RenderStatistics({state}, {.elapsed = Duration::Seconds(1)});
  for (const char* line :
       {"Operator 1 ReadRange->MapBatches(f): 2 tasks executed, 2 blocks produced in 0.52s\n",
        "* Remote wall time: 2ms min, 4ms max, 3ms mean, 6ms total\n",
        "* Output num rows per block: 10 min, 20 max, 15 mean, 30 total\n",
        "\t* Estimated single task throughput: 5000 rows/s\n",
        "* Waited for: consumer 75ms (75%), no cpu 25ms (25%)\n",
        "Dataset throughput:\n\t* Throughput: 30 rows/s\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

}  // namespace
}  // namespace headrace
