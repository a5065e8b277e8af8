#include "headrace/control/plan/lower.h"

#include <gtest/gtest.h>

#include "headrace/control/plan/explain.h"
#include "headrace/control/plan/plan_testing.h"
#include "headrace/control/plan/read_groups.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

LoweringContext Context() {
  LoweringContext context;
  context.capacity = {.cpu_milli = 2000};
  return context;
}

PhysicalPlan Lowered(const LogicalPtr& plan, bool preserve_order = false) {
  LoweringContext context = Context();
  context.options.preserve_order = preserve_order;
  return Lower(plan, &context).ValueOrDie();
}

TEST(LowerTest, Golden) {
  Golden golden("lower.txt");
  const auto add = [&](const std::string& name, const LogicalPtr& plan, bool order = false) {
    golden.Case(name, {{"logical", Explain(plan)}, {"physical", Explain(Lowered(plan, order))}});
  };
  add("each operator",
      Write(Limit(MapClass(With(Filter(MapRows(Read()), Gt(Col("a"), Lit(1))), "x", Lit(1))), 5)));
  add("existing blocks", MapBatches(Input(3)));
  add("union", Union({Read(), MapRows(Input())}));
  add("mix", Mix({Read(), MapRows(Input())}, {1, 3}));
  add("order asked for", MapRows(Union({Read(), Input()})), true);
  add("order needed by batches", MapBatches(MapRows(Read()), "g", 32));
  add("order needed by a limit in one branch", Union({Limit(ReadText(), 3), Read()}));
  add("a cap, a pool and resources",
      MapClass(MapBatches(Read(), "f", 0, {Resources{.cpu_milli = 500}, TaskPool{3}}), "C",
               {Resources{.gpu_milli = 1000}, ActorPool{1, 4, 1, 2}}));
  golden.Check();
}

TEST(LowerTest, ProgramsHaveTheirOwnIdsLanesAndShape) {
  LoweringContext context = Context();
  context.options.target_min_block_bytes = 10;
  context.options.target_max_block_bytes = 20;
  context.options.max_errored_blocks = 3;
  context.options.max_task_attempts = 7;
  context.options.seed = 5;
  context.next_program_id = 100;
  const auto plan = Lower(Limit(MapRows(Read()), 2), &context).ValueOrDie();
  EXPECT_EQ(context.next_program_id, 103u);
  EXPECT_EQ(plan.max_errored_blocks, 3);
  const auto& read = *plan.operators[0].As<TaskOperator>();
  const auto& map = *plan.operators[1].As<TaskOperator>();
  const auto& limit = *plan.operators[2].As<LimitOperator>();
  EXPECT_EQ(read.program->id, 100u);
  EXPECT_EQ(read.program->lane, Lane::kThread);
  EXPECT_EQ(read.program->shape.target_min_bytes, 10);
  EXPECT_EQ(read.program->shape.target_max_bytes, 20);
  EXPECT_EQ(read.program->seed, 5u);
  EXPECT_EQ(read.max_attempts, 7);
  EXPECT_EQ(map.program->lane, Lane::kProcess);
  ASSERT_NE(limit.cut_program, nullptr);
  ASSERT_EQ(limit.cut_program->steps.size(), 1u);
  EXPECT_EQ(std::get<LimitStep>(limit.cut_program->steps[0]).rows, 2);
  EXPECT_FALSE(limit.cut_program->shape.shape);
}

TEST(LowerTest, SharedOutputsFollowTheReader) {
  const auto shared = [](const PhysicalPlan& plan, std::size_t i) {
    if (const auto* limit = plan.operators[i].As<LimitOperator>()) {
      return limit->cut_program->shared_output;
    }
    return plan.operators[i].As<TaskOperator>()->program->shared_output;
  };
  const auto through_limit = Lowered(MapRows(Limit(Read(), 3)));
  EXPECT_TRUE(shared(through_limit, 0));
  EXPECT_TRUE(shared(through_limit, 1));
  EXPECT_FALSE(shared(through_limit, 2));
  const auto native = Lowered(Select(Read(), {"a"}));
  EXPECT_FALSE(shared(native, 0));
  const auto through_union = Lowered(MapRows(Union({Read(), Select(Read(), {"a"})})));
  EXPECT_TRUE(shared(through_union, 0));
  EXPECT_FALSE(shared(through_union, 1));  // Read by a thread: the selection.
  EXPECT_TRUE(shared(through_union, 2));
}

TEST(LowerTest, SubtreeThatOccursTwiceIsLoweredTwice) {
  const auto read = Read();
  EXPECT_EQ(Lowered(Union({read, read})).operators.size(), 3u);
}

// ---- Read parallelism.

std::vector<std::size_t> GroupSizes(const LogicalPtr& plan, std::int64_t cpu_milli = 2000) {
  std::vector<std::size_t> sizes;
  std::uint32_t next = 0;
  for (const auto& group : GroupUnits(*plan->As<logical::Read>(), ExecutionOptions(), cpu_milli)) {
    for (std::uint32_t unit : group) EXPECT_EQ(unit, next++);
    sizes.push_back(group.size());
  }
  return sizes;
}

LogicalPtr Asked(const SourceOptions& options, std::int64_t parallelism,
                 std::int64_t row_limit = -1) {
  logical::Read read;
  read.source = MakeSource(options);
  read.parallelism = parallelism;
  read.row_limit = row_limit;
  return LogicalOperator::Make(std::move(read));
}

using Sizes = std::vector<std::size_t>;

TEST(ReadGroupsTest, SmallUnitsAreJoinedToTheMinimum) {
  // 1,000 units of 64 KiB are 62 MiB: not more tasks than MiB.
  EXPECT_EQ(GroupSizes(Read({.units = 1000, .unit_bytes = 64 << 10})).size(), 62u);
}

TEST(ReadGroupsTest, MidSizedDataGetsTheDefaultNumber) {
  EXPECT_EQ(GroupSizes(Read({.units = 1000, .unit_bytes = 8 << 20})).size(), 200u);
}

TEST(ReadGroupsTest, LargeDataStaysUnderTheMaximum) {
  // 62.5 GiB in tasks of at most 128 MiB.
  EXPECT_EQ(GroupSizes(Read({.units = 1000, .unit_bytes = 64 << 20})).size(), 500u);
}

TEST(ReadGroupsTest, TinyDataStillUsesEachCpuTwice) {
  EXPECT_EQ(GroupSizes(Read({.units = 100, .unit_bytes = 8})), Sizes(4, 25));
  EXPECT_EQ(GroupSizes(Read({.units = 3, .unit_bytes = 8})), Sizes(3, 1));
}

TEST(ReadGroupsTest, UnknownSizesDivideByCount) {
  EXPECT_EQ(GroupSizes(ReadText()), Sizes(4, 1));
  EXPECT_EQ(GroupSizes(Read({.units = 1000, .unit_bytes = -1})), Sizes(200, 5));
}

TEST(ReadGroupsTest, AskedNumberWinsUpToTheUnits) {
  EXPECT_EQ(GroupSizes(Asked({.units = 10}, 3)), (Sizes{4, 3, 3}));
  EXPECT_EQ(GroupSizes(Asked({.units = 10}, 1)), Sizes{10});
  EXPECT_EQ(GroupSizes(Asked({.units = 10}, 99)), Sizes(10, 1));
}

TEST(ReadGroupsTest, SharesAreOfBytesNotUnits) {
  logical::Read read;
  auto source = MakeSource({.units = 6, .unit_bytes = 10});
  source->units[0].num_bytes = 1000;
  read.source = source;
  read.parallelism = 3;
  EXPECT_EQ(GroupSizes(LogicalOperator::Make(read)).front(), 1u);
}

TEST(ReadGroupsTest, NoUnitsMakeNoTasks) { EXPECT_EQ(GroupSizes(Read({.units = 0})), Sizes{}); }

TEST(ReadGroupsTest, RowLimitLeavesOutUnitsThatCannotMatter) {
  EXPECT_EQ(GroupSizes(Asked({.units = 10}, -1, 250)), Sizes(3, 1));
  EXPECT_EQ(GroupSizes(Asked({.units = 10, .unit_rows = -1}, -1, 250)), Sizes(10, 1));
  EXPECT_EQ(GroupSizes(Asked({.format = "python", .units = 10}, -1, 250)), Sizes(10, 1));
}

// ---- Feasibility.

TEST(CheckFeasibleTest, SaysWhatIsAskedAndWhatThereIs) {
  const auto plan = Lowered(MapClass(Read(), "C", {Resources{.gpu_milli = 2000}, std::nullopt}));
  const Status status = CheckFeasible(plan, {.cpu_milli = 2000, .gpu_milli = 1000});
  EXPECT_TRUE(status.IsInvalid());
  EXPECT_EQ(status.message(),
            "MapBatches(C) cannot run: each actor asks for gpu=2, but there is only cpu=2 gpu=1 "
            "(not enough GPU)");
  EXPECT_TRUE(CheckFeasible(plan, {.cpu_milli = 1000, .gpu_milli = 2000}).ok());
}

TEST(CheckFeasibleTest, PoolLargerThanTheMachineWorksWithLess) {
  const auto plan = Lowered(MapClass(Read(), "C", {std::nullopt, ActorPool{4, 4, 4, 2}}));
  EXPECT_TRUE(CheckFeasible(plan, {.cpu_milli = 1000}).ok());
  EXPECT_FALSE(CheckFeasible(plan, {.cpu_milli = 500}).ok());
}

TEST(CheckFeasibleTest, SaysWhatAMemoryLimitLeaves) {
  const Resources total{.cpu_milli = 2000, .memory_bytes = 8'000'000'000};
  const auto plan = Lowered(MapClass(
      Read(), "C", {Resources{.cpu_milli = 1000, .memory_bytes = 600'000'000}, ActorPool{}}));
  ExecutionOptions options;
  options.memory_limit_bytes = 700'000'000;
  const Status status = CheckFeasible(plan, total, options, 500'000'000);
  EXPECT_TRUE(status.IsInvalid());
  EXPECT_EQ(status.message(),
            "MapBatches(C) cannot run: each actor needs 601.0 MB (600.0 MB asked for by memory=, "
            "1.0 MB for a block), but memory_limit is 700.0 MB, of which the engine itself leaves "
            "500.0 MB: ask for less memory=, or raise memory_limit");
  EXPECT_TRUE(CheckFeasible(plan, total, options, 602'000'000).ok());
  EXPECT_TRUE(CheckFeasible(plan, total, {}, 0).ok());
  const Status none = CheckFeasible(plan, total, options, -30'000'000);
  EXPECT_NE(none.message().find("which the engine itself exceeds by 30.0 MB"), std::string::npos)
      << none.message();
}

}  // namespace
}  // namespace headrace
