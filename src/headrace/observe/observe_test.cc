#include <gtest/gtest.h>

#include "headrace/observe/event_log.h"
#include "headrace/observe/statistics.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

PhysicalPlan Plan() {
  auto program = std::make_shared<TaskProgram>();
  program->name = "Read";
  TaskOperator read;
  read.program = std::move(program);
  read.unit_groups = {{0}, {1}};
  return {{{"Read", std::move(read), {}}}};
}

const BackendTraits kTraits{{.cpu_milli = 1000}, 1 << 20, true};

/// Records a run of one event.
std::string Recorded() {
  std::string bytes = EventLogEncoder::Header(Plan(), {}, kTraits);
  auto scheduler = *Scheduler::Make(Plan(), {}, kTraits);
  while (auto action = scheduler->Poll()) bytes += EventLogEncoder::Record(*action);
  const Event end = event::TaskEnded{{OperatorId{0}, 0, 0}, {}, {}};
  bytes += EventLogEncoder::Record(Instant{5}, end);
  scheduler->Step(end, Instant{5});
  while (auto action = scheduler->Poll()) bytes += EventLogEncoder::Record(*action);
  return bytes;
}

TEST(EventLog, ReplaysWhatWasRecorded) {
  auto log = ParseEventLog(Recorded());
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->events.size(), 1U);
  EXPECT_EQ(log->entries.size(), 3U);
  EXPECT_TRUE(Replay(Plan(), {}, kTraits, *log).ok());
}

TEST(EventLog, NamesTheFirstDifference) {
  auto log = *ParseEventLog(Recorded());
  log.entries.back().action = "finish";
  const Status status = Replay(Plan(), {}, kTraits, log);
  EXPECT_NE(status.message().find("record 3 is \"finish\""), std::string::npos) << status;
}

TEST(EventLog, RefusesAnotherPlan) {
  auto log = *ParseEventLog(Recorded());
  PhysicalPlan other = Plan();
  std::get<TaskOperator>(other.operators[0].kind).unit_groups.push_back({2});
  EXPECT_FALSE(Replay(other, {}, kTraits, log).ok());
  EXPECT_FALSE(Replay(Plan(), {}, {{.cpu_milli = 2000}, 1 << 20, true}, log).ok());
}

TEST(EventLog, EndsAtItsLastWholeRecord) {
  const std::string bytes = Recorded();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto log = ParseEventLog(std::string_view(bytes).substr(0, size));
    if (!log.ok()) continue;
    EXPECT_TRUE(Replay(Plan(), {}, kTraits, *log).ok()) << size;
  }
  EXPECT_FALSE(ParseEventLog("nothing of ours").ok());
}

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
