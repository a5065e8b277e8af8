#include "headrace/control/optimize/operator_fusion.h"

#include <gtest/gtest.h>

#include "headrace/control/optimize/rules.h"
#include "headrace/control/plan/explain.h"
#include "headrace/control/plan/lower.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

PhysicalPlan LoweredPlan(const LogicalPtr& plan) {
  LoweringContext context;
  context.capacity = {.cpu_milli = 2000};
  return Lower(plan, &context).ValueOrDie();
}

PhysicalPlan Fused(const LogicalPtr& plan) {
  return MakeOperatorFusion()->Rewrite(LoweredPlan(plan)).ValueOrDie();
}

// Returns what keeps the last operator of the plan from its input.
FusionBarrier Barrier(const LogicalPtr& plan) {
  const PhysicalPlan physical = LoweredPlan(plan);
  const OperatorSpec& down = physical.operators.back();
  const OperatorSpec& up = physical.operators[static_cast<std::size_t>(down.inputs.front().value)];
  return FindFusionBarrier(up, down, 1);
}

logical::Placement Tasks(std::optional<std::int32_t> cap) { return {std::nullopt, TaskPool{cap}}; }

logical::Placement Cost(Resources cost) { return {std::move(cost), std::nullopt}; }

TEST(OperatorFusionTest, Golden) {
  Golden golden("operator_fusion.txt");
  const auto add = [&](const std::string& name, const LogicalPtr& plan) {
    golden.Case(name, {{"before", Explain(LoweredPlan(plan))}, {"after", Explain(Fused(plan))}});
  };
  add("read, steps and write are one task",
      Write(MapBatches(With(Filter(Read(), Gt(Col("a"), Lit(1))), "x", Lit(1)), "f", 32)));
  add("reads into actors, not actors into tasks", Write(MapClass(Read())));
  add("a function stays before a single actor", MapClass(MapRows(Read())));
  add("a function goes into a wider pool",
      MapClass(MapRows(Read()), "C", {std::nullopt, ActorPool{2, 4, 2, 2}}));
  add("two classes are two pools", MapClass(MapClass(Read(), "A"), "B"));
  add("limits and unions divide", MapRows(Union({MapRows(Limit(MapRows(Read()), 5)), Read()})));
  add("a gpu stage reads nothing itself",
      MapClass(MapBatches(Read()), "Model", Cost({.cpu_milli = 0, .gpu_milli = 1000})));
  add("batches form behind batches of the same size",
      MapBatches(MapBatches(MapBatches(Input(), "f", 32), "g", 32), "h", 64));
  add("files of a minimum size wait for their rows", Write(MapBatches(Read()), 1000));
  golden.Check();
}

TEST(OperatorFusionTest, FusedTaskHasTheWholeChain) {
  const auto plan = Fused(MapBatches(Read(), "f", 32));
  ASSERT_EQ(plan.operators.size(), 1u);
  const auto& task = *plan.operators[0].As<TaskOperator>();
  EXPECT_EQ(plan.operators[0].name, "ReadParquet->MapBatches(f)");
  EXPECT_EQ(task.program->name, "ReadParquet->MapBatches(f)");
  EXPECT_EQ(task.unit_groups.size(), 4u);
  EXPECT_EQ(task.min_bundle_rows, 0);
  ASSERT_EQ(task.program->steps.size(), 2u);
  EXPECT_NE(FindReadStep(*task.program), nullptr);
  EXPECT_EQ(task.program->lane, Lane::kProcess);
  EXPECT_FALSE(task.program->shared_output);
}

TEST(OperatorFusionTest, SharedOutputsAreSetAnew) {
  // Alone, the filter reads the blocks of the read in a thread; fused with the function, in a
  // worker process, and the limit's blocks must be there too.
  const auto plan = Fused(MapRows(Filter(Limit(Read(), 5), Gt(Col("a"), Lit(1)))));
  ASSERT_EQ(plan.operators.size(), 3u);
  EXPECT_TRUE(plan.operators[0].As<TaskOperator>()->program->shared_output);
  EXPECT_TRUE(plan.operators[1].As<LimitOperator>()->cut_program->shared_output);
}

TEST(OperatorFusionTest, EdgesAreRenumbered) {
  const auto plan = Fused(Union({MapRows(Read()), MapRows(Read())}));
  ASSERT_EQ(plan.operators.size(), 3u);
  EXPECT_EQ(plan.operators[2].inputs, (std::vector<OperatorId>{{0}, {1}}));
}

TEST(OperatorFusionTest, Compute) {
  EXPECT_EQ(Barrier(MapRows(Read())), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(MapClass(Read())), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(MapClass(Filter(Read(), Gt(Col("a"), Lit(1))))), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(MapClass(MapRows(Read()))), FusionBarrier::kPool);
  const logical::Placement wide{std::nullopt, ActorPool{1, 2, 1, 2}};
  EXPECT_EQ(Barrier(MapClass(MapRows(Read()), "C", wide)), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(MapRows(MapClass(Read()))), FusionBarrier::kCompute);
  EXPECT_EQ(Barrier(MapClass(MapClass(Read(), "A"), "B")), FusionBarrier::kClass);
  auto function = Function(FunctionKind::kMapBatches, "C");
  function->is_class = true;
  EXPECT_EQ(Barrier(Map(Map(Read(), function), function)), FusionBarrier::kNone);
  const logical::Placement two{std::nullopt, ActorPool{2, 2, 2, 2}};
  EXPECT_EQ(Barrier(Map(Map(Read(), function), function, two)), FusionBarrier::kCompute);
  EXPECT_EQ(Barrier(Limit(Read(), 5)), FusionBarrier::kKind);
  EXPECT_EQ(Barrier(MapRows(Input())), FusionBarrier::kKind);
  EXPECT_EQ(Barrier(MapRows(Write(Read()))), FusionBarrier::kKind);
}

TEST(OperatorFusionTest, Concurrency) {
  const auto capped = MapBatches(Read(), "f", 0, Tasks(4));
  EXPECT_EQ(Barrier(MapBatches(capped, "g", 0, Tasks(4))), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(MapBatches(capped, "g", 0, Tasks(2))), FusionBarrier::kConcurrency);
  EXPECT_EQ(Barrier(MapBatches(capped, "g")), FusionBarrier::kConcurrency);
  logical::Filter filter{Gt(Col("a"), Lit(1)), Tasks(4)};
  EXPECT_EQ(Barrier(MapClass(LogicalOperator::Make(filter, {Read()}))),
            FusionBarrier::kConcurrency);
  EXPECT_EQ(Barrier(capped), FusionBarrier::kNone);
}

TEST(OperatorFusionTest, ResourcesTakeTheLarger) {
  const auto barrier = [](Resources up, Resources down) {
    return Barrier(MapBatches(MapBatches(Read(), "f", 0, Cost(up)), "g", 0, Cost(down)));
  };
  const Resources standard{.cpu_milli = 1000}, half{.cpu_milli = 500}, two{.cpu_milli = 2000},
      gpu{.cpu_milli = 1000, .gpu_milli = 1000},
      named{.cpu_milli = 1000, .custom_milli = {{"TPU", 1000}}};
  EXPECT_EQ(barrier(two, two), FusionBarrier::kNone);
  EXPECT_EQ(barrier(gpu, gpu), FusionBarrier::kNone);
  EXPECT_EQ(barrier(standard, two), FusionBarrier::kNone);
  EXPECT_EQ(barrier(half, two), FusionBarrier::kResources);
  EXPECT_EQ(barrier(standard, gpu), FusionBarrier::kResources);
  EXPECT_EQ(barrier(named, standard), FusionBarrier::kResources);
  // An actor's resources are its own.
  EXPECT_EQ(Barrier(MapClass(Read(), "C", Cost(half))), FusionBarrier::kResources);
  EXPECT_EQ(Barrier(MapClass(Read(), "C", Cost({}))), FusionBarrier::kResources);
  EXPECT_EQ(Barrier(MapClass(Read(), "C", Cost(standard))), FusionBarrier::kNone);
  const auto plan =
      Fused(MapBatches(Read(), "f", 0, Cost({.cpu_milli = 500, .memory_bytes = 1 << 20})));
  EXPECT_EQ(plan.operators.at(0).As<TaskOperator>()->cost,
            (Resources{.cpu_milli = 1000, .memory_bytes = 1 << 20}));
}

TEST(OperatorFusionTest, APlaceIsKept) {
  const auto at = [](std::string where) {
    logical::Placement placement;
    placement.where = std::move(where);
    return placement;
  };
  const auto barrier = [&](std::string up, std::string down) {
    return Barrier(MapBatches(MapBatches(Read(), "f", 0, at(up)), "g", 0, at(down)));
  };
  EXPECT_EQ(barrier("here", "here"), FusionBarrier::kNone);
  EXPECT_EQ(barrier("here", ""), FusionBarrier::kNone);
  EXPECT_EQ(barrier("", "here"), FusionBarrier::kPlace);
  EXPECT_EQ(barrier("here", "there"), FusionBarrier::kPlace);
  const auto fused = Fused(MapBatches(MapBatches(Input(), "f", 0, at("here")), "g"));
  EXPECT_EQ(fused.operators.back().As<TaskOperator>()->program->where, "here");
}

TEST(OperatorFusionTest, Bundles) {
  const auto batches = [](LogicalPtr input, std::int64_t rows) {
    return MapBatches(std::move(input), "g", rows);
  };
  EXPECT_EQ(Barrier(batches(Read(), 32)), FusionBarrier::kNone);
  SourceOptions small;
  small.unit_rows = 8;
  EXPECT_EQ(Barrier(batches(Read(small), 8)), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(batches(Read(small), 9)), FusionBarrier::kBundle);
  small.units = 1;
  EXPECT_EQ(Barrier(batches(Read(small), 9)), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(batches(MapRows(Input()), 32)), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(batches(batches(Input(), 32), 32)), FusionBarrier::kNone);
  EXPECT_EQ(Barrier(batches(batches(Input(), 32), 64)), FusionBarrier::kBundle);
  EXPECT_EQ(Barrier(batches(Filter(Input(), Gt(Col("a"), Lit(1))), 32)), FusionBarrier::kBundle);
  EXPECT_EQ(Barrier(Write(MapRows(Input()), 100)), FusionBarrier::kNone);
  auto tolerant = Function(FunctionKind::kMapRows, "t");
  tolerant->drops_rows = true;
  EXPECT_EQ(Barrier(Write(Map(Input(), tolerant), 100)), FusionBarrier::kBundle);
  EXPECT_EQ(Barrier(Write(Read(), 100)), FusionBarrier::kBundle);
  EXPECT_EQ(Barrier(Write(batches(Input(), 100), 100)), FusionBarrier::kBundle);
  const auto plan = Fused(batches(MapRows(Input()), 32));
  EXPECT_EQ(plan.operators.at(1).As<TaskOperator>()->min_bundle_rows, 32);
}

TEST(OperatorFusionTest, OutputOfTwoConsumersStays) {
  const auto plan = LoweredPlan(MapRows(Read()));
  EXPECT_EQ(FindFusionBarrier(plan.operators[0], plan.operators[1], 2), FusionBarrier::kConsumers);
  EXPECT_EQ(ToString(FusionBarrier::kConsumers), "consumers");
}

}  // namespace
}  // namespace headrace
