#include "headrace/control/optimize/optimizer.h"

#include <gtest/gtest.h>

#include "headrace/control/plan/explain.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

PlanStages Plan(const LogicalPtr& plan, const Optimizer& optimizer = Optimizer()) {
  LoweringContext context;
  context.capacity = {.cpu_milli = 2000};
  return PlanQuery(plan, optimizer, &context).ValueOrDie();
}

TEST(OptimizerTest, Golden) {
  Golden golden("optimizer.txt");
  const auto add = [&](const std::string& name, const LogicalPtr& plan) {
    const PlanStages stages = Plan(plan);
    golden.Case(name, {{"logical", Explain(stages.logical)},
                       {"optimized logical", Explain(stages.optimized_logical)},
                       {"physical", Explain(stages.physical)},
                       {"optimized physical", Explain(stages.optimized_physical)}});
  };
  add("filter, expression, write",
      Write(With(Filter(Read(), Gt(Col("a"), Lit(1))), "x", Add(Col("a"), Col("b")))));
  add("a filter column need not leave the read",
      Select(Filter(Read(), Gt(Col("b"), Lit(1))), {"a"}));
  add("count", Select(Read(), {}));
  add("count behind computed columns", Select(With(Read(), "x", Add(Col("a"), Lit(1))), {}));
  add("take", Limit(Select(MapRows(Read()), {"a"}), 20));
  add("limit of a filtered selection",
      Limit(Select(Filter(Rename(Read(), "a", "x"), Gt(Col("x"), Lit(1))), {"x"}), 20));
  add("filter behind a limit stays there",
      Filter(Limit(Rename(Read(), "a", "x"), 20), Gt(Col("x"), Lit(1))));
  add("classification of files", Write(MapClass(MapBatches(Read({.format = "binary",
                                                                 .name = "Binary",
                                                                 .columns = {"bytes", "path"},
                                                                 .pushes = false}),
                                                           "features", 0),
                                                "Classify")));
  golden.Check();
}

TEST(OptimizerTest, WrongPlansAreRefusedBeforeAnyRule) {
  LoweringContext context;
  const auto stages = PlanQuery(Select(Read(), {"z"}), Optimizer(), &context);
  EXPECT_TRUE(stages.status().IsKeyError());
  EXPECT_EQ(context.next_program_id, 1u);
}

TEST(OptimizerTest, NothingToDoIsTheSamePointer) {
  const auto plan = MapBatches(Input());
  EXPECT_EQ(Optimizer().Optimize(plan).ValueOrDie(), plan);
}

TEST(OptimizerTest, LimitsStayWhereTasksMayFail) {
  const LogicalPtr plan = Limit(MapRows(Read()), 5);
  LoweringContext context;
  context.capacity = {.cpu_milli = 2000};
  EXPECT_NE(PlanQuery(plan, Optimizer(), &context).ValueOrDie().optimized_logical, plan);
  context.options.max_errored_blocks = -1;
  EXPECT_EQ(PlanQuery(plan, Optimizer(), &context).ValueOrDie().optimized_logical, plan);
}

TEST(OptimizerTest, DeepPlansSettle) {
  LogicalPtr plan = Read();
  for (int i = 0; i < 200; ++i) plan = MapRows(With(plan, "x", Add(Col("a"), Lit(i))));
  const auto better = Optimizer().Optimize(Limit(plan, 5));
  ASSERT_TRUE(better.ok()) << better.status();
  EXPECT_EQ((*better)->As<logical::Limit>(), nullptr);
}

// A rule given by its function.
class TestRule : public Rule {
 public:
  using Rewriter = std::function<Result<LogicalPtr>(const LogicalPtr&)>;
  TestRule(std::string name, Rewriter rewriter)
      : name_(std::move(name)), rewriter_(std::move(rewriter)) {}
  std::string_view name() const override { return name_; }
  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override { return rewriter_(op); }

 private:
  std::string name_;
  Rewriter rewriter_;
};

TEST(OptimizerTest, UsersRuleRunsAfterTheOthersAndCanBeRemoved) {
  std::vector<std::string> seen;
  Optimizer optimizer;
  optimizer.AddRule(std::make_shared<TestRule>("halve", [&](const LogicalPtr& op) {
    seen.push_back(op->name());
    const auto* limit = op->As<logical::Limit>();
    if (limit == nullptr || limit->rows < 10) return op;
    return Limit(op->input(), limit->rows / 2);
  }));
  const auto plan = Limit(Limit(Input(), 30), 20);
  EXPECT_EQ(Explain(optimizer.Optimize(plan).ValueOrDie()),
            "Limit[limit=10]\n+- InputData[InputData]\n");
  EXPECT_EQ(seen, (std::vector<std::string>{"InputData", "limit=20"}));
  EXPECT_TRUE(optimizer.RemoveRule("halve"));
  EXPECT_FALSE(optimizer.RemoveRule("halve"));
  EXPECT_EQ(Explain(optimizer.Optimize(plan).ValueOrDie()),
            "Limit[limit=20]\n+- InputData[InputData]\n");
}

TEST(OptimizerTest, DefaultRulesCanBeRemoved) {
  Optimizer optimizer;
  for (const char* name :
       {"predicate_pushdown", "limit_pushdown", "projection_pushdown", "operator_fusion"}) {
    EXPECT_TRUE(optimizer.RemoveRule(name)) << name;
  }
  const auto stages = Plan(MapRows(Select(Read(), {"a"})), optimizer);
  EXPECT_EQ(stages.optimized_logical, stages.logical);
  EXPECT_EQ(stages.optimized_physical.operators.size(), 3u);
}

TEST(OptimizerTest, RuleThatBreaksThePlanIsNamed) {
  Optimizer optimizer;
  optimizer.AddRule(std::make_shared<TestRule>("breaker", [](const LogicalPtr& op) {
    return op->As<logical::Read>() != nullptr ? Select(op, {"z"}) : op;
  }));
  const auto better = optimizer.Optimize(Read());
  EXPECT_TRUE(better.status().IsKeyError());
  EXPECT_EQ(better.status().message().find("rule 'breaker' made a wrong plan: select_columns"), 0u)
      << better.status();
}

TEST(OptimizerTest, RuleThatReturnsNothingIsNamed) {
  Optimizer optimizer;
  optimizer.AddRule(
      std::make_shared<TestRule>("nothing", [](const LogicalPtr&) { return LogicalPtr(); }));
  EXPECT_TRUE(optimizer.Optimize(Read()).status().IsInvalid());
}

class DropLast : public PhysicalRule {
 public:
  std::string_view name() const override { return "drop_last"; }
  Result<PhysicalPlan> Rewrite(PhysicalPlan plan) const override {
    plan.operators.pop_back();
    return plan;
  }
};

TEST(OptimizerTest, PhysicalRulesRunAfterFusion) {
  Optimizer optimizer;
  optimizer.AddRule(std::make_shared<DropLast>());
  const auto stages = Plan(Limit(MapBatches(Read()), 5), optimizer);
  ASSERT_EQ(stages.optimized_physical.operators.size(), 1u);
  EXPECT_EQ(stages.optimized_physical.operators[0].name, "ReadParquet->MapBatches(f)");
  EXPECT_TRUE(optimizer.RemoveRule("drop_last"));
}

}  // namespace
}  // namespace headrace
