#include "headrace/control/schedule/exchange_operator.h"

#include <gtest/gtest.h>

#include "headrace/control/schedule/scheduler.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

ProgramPtr Program(std::string name, std::vector<Step> steps = {}) {
  auto program = std::make_shared<TaskProgram>();
  program->name = std::move(name);
  program->steps = std::move(steps);
  return program;
}

OperatorSpec Source(std::string name, std::uint32_t tasks) {
  TaskOperator task;
  task.program = Program(name);
  for (std::uint32_t i = 0; i < tasks; ++i) task.unit_groups.push_back({i});
  return {.name = std::move(name), .kind = std::move(task), .inputs = {}};
}

OperatorSpec Existing(std::vector<std::uint64_t> objects, std::int64_t rows) {
  InputOperator input;
  for (const std::uint64_t object : objects) {
    BlockHandle block{ObjectId{object}, {}};
    block.info.num_rows = rows;
    block.info.num_bytes = rows * 10;
    input.blocks.push_back(std::move(block));
  }
  return {.name = "in", .kind = std::move(input), .inputs = {}};
}

OperatorSpec Exchange(ExchangeKind kind, std::vector<OperatorId> inputs,
                      std::vector<Step> steps = {}) {
  ExchangeOperator exchange;
  exchange.kind = kind;
  if (kind != ExchangeKind::kPermuted) exchange.program = Program("X", std::move(steps));
  return {.name = "X", .kind = std::move(exchange), .inputs = std::move(inputs)};
}

/// A scheduler, and what it does as text.
class TestRun {
 public:
  explicit TestRun(PhysicalPlan plan, std::int64_t budget = 1 << 20) {
    scheduler_ = *Scheduler::Make(std::move(plan), {}, {{.cpu_milli = 2000}, budget, true});
  }

  /// Steps, checks the books, and returns the actions.
  std::vector<std::string> operator()(Event event) {
    scheduler_->Step(std::move(event), Instant{++now_});
    scheduler_->CheckInvariants();
    return Actions();
  }
  std::vector<std::string> Actions() {
    std::vector<std::string> texts;
    for (const Action& action : scheduler_->TakeActions()) texts.push_back(ToString(action));
    return texts;
  }
  std::vector<std::string> Yield(TaskId task, std::uint64_t object, std::int64_t rows,
                                 std::uint32_t index = 0) {
    event::BlockYielded e{task, index, {ObjectId{object}, {}}};
    e.block.info.num_rows = rows;
    e.block.info.num_bytes = rows * 10;
    e.block.info.position.path = {static_cast<std::uint32_t>(task.ordinal), index};
    return (*this)(std::move(e));
  }
  std::vector<std::string> End(TaskId task) { return (*this)(event::TaskEnded{task, {}, {}}); }
  Scheduler& operator*() { return *scheduler_; }

 private:
  std::unique_ptr<Scheduler> scheduler_;
  std::int64_t now_ = 0;
};

constexpr TaskId Of(std::int32_t op, std::uint64_t ordinal, std::uint32_t attempt = 0) {
  return {OperatorId{op}, attempt, ordinal};
}

using Lines = std::vector<std::string>;

std::string Joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(ExchangeBlocks, SharesRowsOutAndReleasesWhatNobodyNeeds) {
  PhysicalPlan plan{{Existing({1, 2}, 3), Exchange(ExchangeKind::kRows, {OperatorId{0}})}};
  std::get<ExchangeOperator>(plan.operators[1].kind).partitions = 2;
  TestRun run(plan);
  std::string text = Joined(run.Actions());
  EXPECT_NE(text.find("start 1#0 X inputs [o1[0,3)] at 0 cost cpu=1"), std::string::npos) << text;
  EXPECT_NE(text.find("start 1#1 X inputs [o2[0,3)] at 1 cost cpu=1"), std::string::npos) << text;
  run(event::OutputWanted{0, 10});
  EXPECT_EQ(Joined(run.Yield(Of(1, 1), 7, 3)), "deliver output 0 o7 rows=3 bytes=30 at 1.0\n");
  // The second block has no reader left; the first task has not ended.
  EXPECT_EQ(Joined(run.End(Of(1, 1))), "release [o2]\n");
  EXPECT_EQ(Joined(run.End(Of(1, 0))), "release [o1]\nfinish\n");
}

TEST(ExchangeBlocks, ALostTaskRunsAgainOnTheSameRows) {
  PhysicalPlan plan{{Existing({1}, 4), Exchange(ExchangeKind::kRows, {OperatorId{0}})}};
  std::get<ExchangeOperator>(plan.operators[1].kind).partitions = 2;
  TestRun run(plan);
  run.Actions();
  Failure lost;
  lost.kind = FailureKind::kWorkerLost;
  EXPECT_EQ(run.End(Of(1, 1)), Lines{});  // Its block is still read.
  const std::string text = Joined(run(event::TaskEnded{Of(1, 0), lost, {}}));
  EXPECT_NE(text.find("start 1#0.1 X inputs [o1[0,2)]"), std::string::npos) << text;
  EXPECT_EQ(Joined(run.End(Of(1, 0, 1))), "release [o1]\nfinish\n");
}

TEST(ExchangeBlocks, WaitsForAllInputsAndZipsThem) {
  PhysicalPlan plan{
      {Existing({1, 2}, 2), Source("read", 1),
       Exchange(ExchangeKind::kAligned, {OperatorId{0}, OperatorId{1}}, {ZipStep{}})}};
  TestRun run(plan);
  run.Actions();
  run.Yield(Of(1, 0), 5, 4);
  const std::string text = Joined(run.End(Of(1, 0)));
  EXPECT_NE(text.find("start 2#0 X inputs [o1[0,2) o2[0,2) | o5[0,4)]"), std::string::npos) << text;
}

TEST(ExchangeBlocks, InputsThatDoNotFitEndTheRun) {
  PhysicalPlan plan{
      {Existing({1}, 2), Existing({2}, 3),
       Exchange(ExchangeKind::kAligned, {OperatorId{0}, OperatorId{1}}, {ZipStep{}})}};
  TestRun run(plan);
  const std::string text = Joined(run.Actions());
  EXPECT_NE(text.find("finish failed data_error: Cannot zip datasets of different number of rows"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("release [o"), std::string::npos) << text;
}

TEST(ExchangeBlocks, BroadcastStreamsTheOtherInput) {
  PhysicalPlan plan{
      {Source("big", 2), Source("small", 1),
       Exchange(ExchangeKind::kBroadcast, {OperatorId{0}, OperatorId{1}}, {JoinStep{}})}};
  TestRun run(plan);
  run.Actions();
  run.Yield(Of(0, 0), 1, 5);
  run.Yield(Of(1, 0), 9, 2);
  std::string text = Joined(run.End(Of(1, 0)));
  EXPECT_NE(text.find("start 2#0 X inputs [o1[0,) | o9[0,)] at 0.0"), std::string::npos) << text;
  run.End(Of(0, 0));
  text = Joined(run.Yield(Of(0, 1), 2, 5));
  EXPECT_NE(Joined(run.End(Of(2, 0))).find("release [o1]"), std::string::npos);
  EXPECT_EQ(Joined(run.End(Of(0, 1))), "");
  EXPECT_EQ(Joined(run.End(Of(2, 1))), "release [o2 o9]\nfinish\n");
}

TEST(ExchangeBlocks, PermutedBlocksPassWithoutTasks) {
  PhysicalPlan plan{
      {Existing({1, 2, 3, 4, 5}, 1), Exchange(ExchangeKind::kPermuted, {OperatorId{0}})}};
  std::get<ExchangeOperator>(plan.operators[1].kind).seed = 3;
  TestRun run(plan);
  const Lines lines = run(event::OutputWanted{0, 10});
  ASSERT_EQ(lines.size(), 2U);  // Five blocks at once, and the end.
  const Lines again = TestRun(plan)(event::OutputWanted{0, 10});
  EXPECT_EQ(lines, again);
  EXPECT_NE(Joined(lines).find(" at 4"), std::string::npos);
}

TEST(ExchangeBlocks, SpillsWhereNoCreditIsLeft) {
  PhysicalPlan plan{{Source("read", 3), Exchange(ExchangeKind::kRows, {OperatorId{0}})}};
  std::get<ExchangeOperator>(plan.operators[1].kind).partitions = 1;
  TestRun run(plan, 1000);
  run.Actions();
  run(event::OutputWanted{0, 10});
  run.Yield(Of(0, 0), 1, 60);
  std::string text = Joined(run.End(Of(0, 0)));
  text += Joined(run.Yield(Of(0, 1), 2, 60));
  text += Joined(run.End(Of(0, 1)));
  ASSERT_NE(text.find("spill [o1]"), std::string::npos) << text;
  const std::int64_t before = (*run).charged_bytes();
  text = Joined(run(event::ObjectsSpilled{{ObjectId{1}}, {ObjectId{1}}, std::nullopt}));
  EXPECT_LT((*run).charged_bytes(), before);
  EXPECT_EQ((*run).Snapshot()[1].spilled_bytes, 600);
  // Said twice, or of an object that nobody asked for: nothing happens.
  run(event::ObjectsSpilled{
      {ObjectId{1}, ObjectId{77}}, {ObjectId{1}, ObjectId{77}}, std::nullopt});
  EXPECT_EQ((*run).Snapshot()[1].spilled_bytes, 600);
}

TEST(ExchangeBlocks, AFullDiskEndsTheRun) {
  PhysicalPlan plan{{Source("read", 3), Exchange(ExchangeKind::kRows, {OperatorId{0}})}};
  TestRun run(plan, 1000);
  run.Actions();
  run.Yield(Of(0, 0), 1, 60);
  run.End(Of(0, 0));
  run.Yield(Of(0, 1), 2, 60);
  run.End(Of(0, 1));
  event::ObjectsSpilled full{{ObjectId{1}}, {}, std::nullopt};
  full.failure = Failure::FromStatus(FailureKind::kSystem, Status::IOError("no space left"));
  std::string text = Joined(run(full));
  text += Joined(run.End(Of(0, 2)));
  EXPECT_NE(text.find("finish failed system: no space left"), std::string::npos) << text;
}

PhysicalPlan BatchesOf(std::int64_t rows, OperatorSpec input) {
  PhysicalPlan plan{{std::move(input), Exchange(ExchangeKind::kRowBatches, {OperatorId{0}})}};
  std::get<ExchangeOperator>(plan.operators[1].kind).rows_per_partition = rows;
  return plan;
}

TEST(RowBatches, ABatchStartsAsSoonAsItsRowsAreThere) {
  TestRun run(BatchesOf(4, Source("read", 2)));  // Later one cpu reads, the other cuts batches.
  run.Actions();
  run(event::OutputWanted{0, 10});
  run.Yield(Of(0, 0), 1, 3);
  std::string text = Joined(run.End(Of(0, 0)));
  EXPECT_EQ(text.find("start 1#"), std::string::npos) << text;
  text = Joined(run.Yield(Of(0, 1), 2, 6));
  EXPECT_NE(text.find("start 1#0 X inputs [o1[0,3) o2[0,1)] at 0"), std::string::npos) << text;
  text += Joined(run.End(Of(1, 0)));
  EXPECT_NE(text.find("start 1#1 X inputs [o2[1,5)] at 1"), std::string::npos) << text;
  EXPECT_NE(text.find("release [o1]"), std::string::npos) << text;
  // The second block has a row that no task has.
  EXPECT_EQ(run.End(Of(1, 1)), Lines{});
  text = Joined(run.End(Of(0, 1)));
  EXPECT_NE(text.find("start 1#2 X inputs [o2[5,6)] at 2"), std::string::npos) << text;
  EXPECT_EQ(Joined(run.End(Of(1, 2))), "release [o2]\nfinish\n");
}

TEST(RowBatches, InputWithoutRowsMakesOneTaskForItsSchema) {
  TestRun run(BatchesOf(4, Existing({1, 2}, 0)));
  const std::string text = Joined(run.Actions());
  EXPECT_NE(text.find("start 1#0 X inputs [o1[0,0)] at 0"), std::string::npos) << text;
  EXPECT_EQ(Joined(run.End(Of(1, 0))), "release [o1]\nfinish\n");
}

TEST(RowBatches, ALostTaskRunsAgainOnTheSameRows) {
  TestRun run(BatchesOf(2, Existing({1}, 4)));
  run.Actions();
  Failure lost;
  lost.kind = FailureKind::kWorkerLost;
  EXPECT_EQ(run.End(Of(1, 1)), Lines{});
  const std::string text = Joined(run(event::TaskEnded{Of(1, 0), lost, {}}));
  EXPECT_NE(text.find("start 1#0.1 X inputs [o1[0,2)]"), std::string::npos) << text;
  EXPECT_EQ(Joined(run.End(Of(1, 0, 1))), "release [o1]\nfinish\n");
}

TEST(ExchangeBlocks, PlansThatMakeNoSenseAreRefused) {
  const BackendTraits traits{{.cpu_milli = 2000}, 1000, true};
  PhysicalPlan one_sided{{Existing({}, 0), Exchange(ExchangeKind::kAligned, {OperatorId{0}})}};
  EXPECT_FALSE(Scheduler::Make(one_sided, {}, traits).ok());
  PhysicalPlan idle{{Existing({}, 0), Exchange(ExchangeKind::kRows, {OperatorId{0}})}};
  std::get<ExchangeOperator>(idle.operators[1].kind).program = nullptr;
  EXPECT_FALSE(Scheduler::Make(idle, {}, traits).ok());
}

}  // namespace
}  // namespace headrace
