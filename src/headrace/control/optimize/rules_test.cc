#include "headrace/control/optimize/rules.h"

#include <gtest/gtest.h>

#include "headrace/control/plan/explain.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

// One walk, inputs first, as the optimizer does it.
LogicalPtr Walk(const Rule& rule, const LogicalPtr& op) {
  std::vector<LogicalPtr> inputs;
  for (const LogicalPtr& input : op->inputs()) inputs.push_back(Walk(rule, input));
  return rule.Rewrite(LogicalOperator::WithInputs(op, std::move(inputs))).ValueOrDie();
}

// Draws what one rule does to plans, and checks that it settles at once and keeps the columns.
class RuleCases {
 public:
  RuleCases(std::shared_ptr<const Rule> rule, const std::string& file)
      : rule_(std::move(rule)), golden_(file) {}

  void Applies(const std::string& name, const LogicalPtr& before) {
    ASSERT_TRUE(Validate(before).ok()) << name << ": " << Validate(before);
    const LogicalPtr after = Walk(*rule_, before);
    EXPECT_NE(after, before) << name << ": the rule should apply";
    EXPECT_TRUE(Validate(after).ok()) << name << ": " << Validate(after);
    EXPECT_EQ(Walk(*rule_, after), after) << name << ": a second walk changes the plan again";
    const auto schema = InferSchema(before);
    if (schema != nullptr) {
      ASSERT_NE(InferSchema(after), nullptr) << name;
      EXPECT_EQ(InferSchema(after)->ToString(), schema->ToString()) << name;
    }
    golden_.Case(name, {{"before", Explain(before)}, {"after", Explain(after)}});
  }

  void MustNotApply(const std::string& name, const LogicalPtr& plan) {
    ASSERT_TRUE(Validate(plan).ok()) << name << ": " << Validate(plan);
    EXPECT_EQ(Walk(*rule_, plan), plan) << name << ": became\n" << Explain(Walk(*rule_, plan));
    golden_.Case(name, {{"stays", Explain(plan)}});
  }

  void Check() const { golden_.Check(); }

 private:
  std::shared_ptr<const Rule> rule_;
  Golden golden_;
};

ExprPtr Over(const std::string& column, std::int64_t value = 1) {
  return Gt(Col(column), Lit(value));
}

LogicalPtr Placed(const LogicalPtr& op, logical::Placement placement) {
  LogicalKind kind = op->kind();
  if (auto* filter = std::get_if<logical::Filter>(&kind)) filter->placement = placement;
  if (auto* project = std::get_if<logical::Project>(&kind)) project->placement = placement;
  return LogicalOperator::Make(std::move(kind), op->inputs());
}

const logical::Placement kTwoCpus{Resources{.cpu_milli = 2000}, std::nullopt};

TEST(PredicatePushdownTest, Golden) {
  RuleCases cases(MakePredicatePushdown(), "predicate_pushdown.txt");
  cases.Applies("into a read", Filter(Read(), Over("a")));
  cases.Applies("joins the filter of a read", Filter(Filter(Read(), Over("a")), Over("b")));
  cases.Applies("joins a filter over a read that cannot filter",
                Filter(Filter(ReadText(), Over("a")), Over("b")));
  cases.Applies("through a selection and a rename",
                Filter(Rename(Select(Read(), {"b", "a"}), "a", "x"), And(Over("x"), Over("b"))));
  cases.Applies("only terms on columns that pass",
                Filter(With(Read(), "x", Add(Col("a"), Lit(1))), And(Over("x"), Over("b"))));
  cases.Applies("over a replaced column, other terms pass",
                Filter(With(Read(), "a", Add(Col("a"), Lit(1))), And(Over("a"), Over("b"))));
  cases.Applies("through a union into what can filter",
                Filter(Union({Read(), ReadText()}), Over("a")));
  cases.Applies("a term that may fail, alone, into a read",
                Filter(Read(), Gt(Divide(Col("a"), Col("b")), Lit(1))));
  cases.Applies("safe term passes a filter, the other stays",
                Filter(Filter(ReadText(), Over("b", 0)),
                       And(Gt(Divide(Col("a"), Col("b")), Lit(1)), Over("c"))));

  cases.MustNotApply("over a read that cannot filter", Filter(ReadText(), Over("a")));
  cases.MustNotApply("over computed columns only",
                     Filter(With(Read(), "x", Add(Col("a"), Lit(1))), Over("x")));
  cases.MustNotApply(
      "may fail on rows that the other filter drops",
      Filter(Filter(ReadText(), Over("b", 0)), Gt(Divide(Col("a"), Col("b")), Lit(1))));
  cases.MustNotApply("volatile", Filter(Read(), Gt(Fn("random", {}), Lit(0))));
  cases.MustNotApply(
      "not ahead of a volatile term",
      Filter(Read(), And(Gt(Fn("monotonically_increasing_id", {}), Lit(0)), Over("a"))));
  cases.MustNotApply("below volatile columns",
                     Filter(With(Read(), "x", Fn("random", {})), Over("a")));
  cases.MustNotApply("over a limit", Filter(Limit(Read(), 5), Over("a")));
  cases.MustNotApply("over a mix, whose turns go by all rows",
                     Filter(Mix({Read(), Read()}, {1, 2}), Over("a")));
  cases.MustNotApply("over a function", Filter(MapRows(Read()), Over("a")));
  cases.MustNotApply("with resources of its own", Placed(Filter(Read(), Over("a")), kTwoCpus));
  logical::Read limited = *Read()->As<logical::Read>();
  limited.row_limit = 5;
  cases.MustNotApply("into a read with a limit", Filter(LogicalOperator::Make(limited), Over("a")));
  cases.Check();
}

TEST(LimitPushdownTest, Golden) {
  RuleCases cases(MakeLimitPushdown(), "limit_pushdown.txt");
  cases.Applies("into a read, which is not exact", Limit(Read(), 5));
  cases.Applies("into a read of one unit, which is", Limit(Read({.units = 1, .unit_rows = -1}), 5));
  cases.Applies("beyond all rows, whose order is asked for all the same", Limit(Read(), 400));
  cases.Applies("joins limits", Limit(Limit(Input(), 5), 3));
  cases.Applies("the lower limit may be the smaller", Limit(Limit(Input(), 3), 5));
  cases.Applies("through projections and row functions",
                Limit(With(MapRows(Select(Input(), {"a"})), "x", Lit(1)), 3));
  cases.Applies("into a read below row functions", Limit(MapRows(Read()), 3));
  cases.Applies("limit over a row function over a limit", Limit(MapRows(Limit(Input(), 5)), 3));

  cases.MustNotApply("over existing blocks", Limit(Input(), 5));
  cases.MustNotApply("over a batch function", Limit(MapBatches(Read()), 5));
  cases.MustNotApply("over a flat map",
                     Limit(Map(Read(), Function(FunctionKind::kFlatMapRows, "g")), 5));
  cases.MustNotApply("over filters", Limit(Filter(ReadText(), Over("a")), 5));
  cases.MustNotApply("over a column of random numbers",
                     Limit(With(Read(), "x", Fn("random", {})), 5));
  cases.MustNotApply("over a filter function",
                     Limit(Map(Read(), Function(FunctionKind::kFilterRows, "p")), 5));
  auto tolerant = Function(FunctionKind::kMapRows, "t");
  tolerant->drops_rows = true;
  cases.MustNotApply("over a row function that leaves rows out", Limit(Map(Read(), tolerant), 5));
  cases.MustNotApply("over a union", Limit(Union({Input(), Input()}), 5));
  logical::Read limited = *Read()->As<logical::Read>();
  limited.row_limit = 4;
  cases.MustNotApply("the read knows a smaller one", Limit(LogicalOperator::Make(limited), 5));
  cases.Check();
}

TEST(ProjectionPushdownTest, Golden) {
  RuleCases cases(MakeProjectionPushdown(), "projection_pushdown.txt");
  cases.Applies("selection into a read", Select(Read(), {"c", "a"}));
  cases.Applies("drop into a read", Drop(Read(), {"b"}));
  cases.Applies("no column: row counts only", Select(Read(), {}));
  cases.Applies("no column of any format", Select(ReadText(), {}));
  cases.Applies("no column behind a filter", Select(Filter(Read(), Over("a")), {}));
  cases.Applies("selection of a selection", Select(Select(ReadText(), {"a", "b"}), {"b"}));
  cases.Applies("computed column narrows the read",
                Project(Read(), {false, {}, {}, {{"x", Add(Col("a"), Col("c"))}}}));
  cases.Applies("through a filter, whose columns are read too",
                Select(Filter(Read(), Over("b")), {"a"}));
  cases.Applies("through a limit", Select(Limit(Read(), 3), {"a"}));
  cases.Applies("into the branches of a union", Select(Union({Read(), Read()}), {"a"}));
  cases.Applies("into the branches of a mix", Select(Mix({Read(), Read()}, {1, 2}), {"a"}));
  cases.Applies("unknown schema, explicit columns", Select(Read({.columns = {}}), {"z", "y"}));
  cases.Applies("computed column that nobody reads",
                Select(Filter(With(Read(), "x", Add(Col("a"), Lit(1))), Over("b")), {"b"}));
  cases.Applies("with over with, each used once",
                With(With(ReadText(), "x", Add(Col("a"), Lit(1))), "x", Add(Col("x"), Lit(2))));
  cases.Applies("independent withs",
                With(With(ReadText(), "x", Lit(1)), "y", Add(Col("a"), Lit(2))));
  cases.Applies("drop of what was computed", Drop(With(Read(), "x", Lit(1)), {"x"}));
  cases.Applies("rename and back", Rename(Rename(Read(), "a", "x"), "x", "a"));
  cases.Applies("rename over a drop", Rename(Drop(Read(), {"b"}), "a", "x"));
  cases.Applies("with resources of its own the projection stays",
                Placed(Select(Read(), {"b", "a"}), kTwoCpus));
  cases.Applies("identity over anything of known columns", Select(Limit(Input(), 1), {"a"}));

  cases.MustNotApply("all columns and one more", With(Read(), "x", Lit(1)));
  cases.MustNotApply("over a function", Select(MapRows(Read()), {"a"}));
  cases.MustNotApply("into a read that cannot", Select(ReadText(), {"a"}));
  cases.MustNotApply("computed twice", With(With(ReadText(), "x", Add(Col("a"), Lit(1))), "y",
                                            Add(Col("x"), Col("x"))));
  cases.MustNotApply("computed and still shown", With(With(ReadText(), "x", Add(Col("a"), Lit(1))),
                                                      "y", Add(Col("x"), Lit(1))));
  cases.MustNotApply("volatile", Select(With(ReadText(), "x", Fn("random", {})), {"x", "a"}));
  cases.MustNotApply("constants only, which need the rows",
                     Project(Read(), {false, {}, {}, {{"x", Lit(1)}}}));
  cases.MustNotApply("drop over unknown columns", Drop(ReadText(), {"a"}));
  cases.Check();
}

}  // namespace
}  // namespace headrace
