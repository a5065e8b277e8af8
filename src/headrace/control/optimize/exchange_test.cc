#include <arrow/type.h>
#include <arrow/util/logging.h>
#include <gtest/gtest.h>

#include "headrace/control/optimize/optimizer.h"
#include "headrace/control/plan/explain.h"
#include "headrace/control/plan/lower_exchange.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

PlanStages PlannedExchange(const LogicalPtr& plan) {
  LoweringContext context;
  context.capacity = {.cpu_milli = 2000};
  return PlanQuery(plan, Optimizer(), &context).ValueOrDie();
}

LogicalPtr Other(std::int64_t unit_bytes = 64 << 20) {
  return Read({.name = "Other", .columns = {"a", "x"}, .unit_bytes = unit_bytes});
}

ExprPtr AboveOne(const std::string& column) { return Gt(Col(column), Lit(1)); }

TEST(ExchangePlans, Golden) {
  Golden golden("exchange.txt");
  const auto add = [&](const std::string& name, const LogicalPtr& plan) {
    const PlanStages stages = PlannedExchange(plan);
    golden.Case(name, {{"logical", Explain(stages.logical)},
                       {"optimized physical", Explain(stages.optimized_physical)}});
  };
  add("sort", Sort(Read(), {{"a", true, false}, {"b"}}));
  add("maps before and after a sort", MapRows(With(Sort(MapRows(Read()), {{"a"}}), "x", Lit(1))));
  add("top", Limit(Sort(Read(), {{"a"}}), 5));
  add("top of a selection", Limit(Select(Sort(Read(), {{"a"}}), {"b"}), 5));
  add("shuffle", Shuffle(Read()));
  add("shuffle to blocks", Write(Shuffle(Read(), 3)));
  add("blocks in random order", MapBatches(RandomizeBlocks(Read())));
  add("repartition", MapBatches(Repartition(Read(), 5)));
  add("repartition at random", Repartition(Read(), 5, true));
  add("repartition by keys", RepartitionBy(Read(), {"a"}));
  add("groups folded", Aggregate(Filter(Read(), AboveOne("b")), {"a"}, {Sum("b")}));
  add("all folded", Aggregate(Read(), {}, {Sum("b"), {AggregateKind::kCount, "", "n", true, 0}}));
  add("groups for a function", MapBatches(Group(Read(), {"a"})));
  add("join of large sides", Join(Read({.unit_bytes = 1 << 30}), Other(), "a"));
  add("join with a small side", Join(Read({.unit_bytes = 1 << 30}), Other(1 << 20), "a"));
  add("join that keeps the small side's rows",
      Join(Read({.unit_rows = 1 << 20, .unit_bytes = 1 << 30}), Other(1 << 20), "a",
           JoinKind::kRightOuter));
  const LogicalPtr few = Filter(Read(), And(AboveOne("a"), And(AboveOne("b"), AboveOne("b"))));
  add("join whose left side filters make small", Join(few, Other(), "a"));
  add("join of the right rows that meet few left ones",
      Join(few, Other(), "a", JoinKind::kRightSemi));
  add("join with few rows on the right", Join(Other(), few, "a"));
  add("join of a function's rows", Join(MapBatches(Read({.unit_bytes = 1 << 30})), Other(), "a"));
  add("join, then groups",
      Aggregate(Join(Read({.unit_bytes = 1 << 30}), Other(), "a"), {"x"}, {Sum("b")}));
  add("zip of three", Zip({Read(), MapBatches(Input()), MapRows(Read())}));
  golden.Check();
}

// Draws plans before and after the logical rules.
TEST(ExchangeRules, Golden) {
  Golden golden("exchange_rules.txt");
  const Optimizer optimizer;
  const auto add = [&](const std::string& name, const LogicalPtr& before) {
    ASSERT_TRUE(Validate(before).ok()) << name << ": " << Validate(before);
    const LogicalPtr after = optimizer.Optimize(before).ValueOrDie();
    EXPECT_EQ(optimizer.Optimize(after).ValueOrDie(), after) << name << ": does not settle";
    const auto schema = InferSchema(before);
    if (schema != nullptr) {
      ASSERT_NE(InferSchema(after), nullptr) << name;
      EXPECT_EQ(InferSchema(after)->ToString(), schema->ToString()) << name;
    }
    golden.Case(name, {{"before", Explain(before)}, {"after", Explain(after)}});
  };
  const auto text = [](const LogicalPtr& op) { return MapRows(op); };
  add("columns through a sort", Select(Sort(Read(), {{"b"}}), {"a"}));
  add("columns through a shuffle of a function's rows", Select(Shuffle(text(Read())), {"a"}));
  add("columns through a repartition by keys", Select(RepartitionBy(Read(), {"a"}), {"b"}));
  add("a fold reads what it folds", Aggregate(Read(), {"a"}, {Sum("b")}));
  add("a fold that nobody reads",
      Select(Aggregate(Read(), {"a"}, {Sum("b"), Sum("c")}), {"sum(b)"}));
  add("columns through a join", Select(Join(Read(), Other(), "a"), {"b"}));
  add("a filter through a sort and a shuffle",
      Filter(Sort(Shuffle(Read()), {{"b"}}), AboveOne("a")));
  add("a filter on a fold's key, and on its result",
      Filter(Aggregate(Read(), {"a"}, {Sum("b")}), And(AboveOne("a"), AboveOne("sum(b)"))));
  add("a filter on both sides of a join",
      Filter(Join(Read(), Other(), "a"), And(AboveOne("b"), AboveOne("x"))));
  add("a filter on the side of an outer join that may be null",
      Filter(Join(Read(), Other(), "a", JoinKind::kLeftOuter), And(AboveOne("b"), AboveOne("x"))));
  add("a filter stays above a limit", Filter(Limit(Sort(Read(), {{"a"}}), 5), AboveOne("a")));
  add("a shuffle forgets a sort", Shuffle(Sort(Read(), {{"a"}})));
  add("a sort remembers a shuffle", Sort(Shuffle(Read()), {{"a"}}));
  add("a sort forgets bounds", Sort(Repartition(Read(), 5), {{"a"}}));
  add("two sorts", Sort(Sort(Read(), {{"b"}, {"a", true, false}}), {{"a"}}));
  add("two repartitions", Repartition(Repartition(Read(), 5), 3));
  add("a repartition remembers a shuffle", Repartition(Shuffle(Read()), 3));
  add("a fold forgets a shuffle", Aggregate(Shuffle(Read()), {"a"}, {Sum("b")}));
  add("a list remembers it",
      Aggregate(Shuffle(Read()), {"a"}, {{AggregateKind::kList, "b", "list(b)", true, 0}}));
  golden.Check();
}

TEST(ExchangePlans, WrongOnesAreRefused) {
  EXPECT_TRUE(Validate(Sort(Read(), {{"z"}})).IsKeyError());
  EXPECT_TRUE(Validate(Sort(Read(), {})).IsInvalid());
  EXPECT_TRUE(Validate(Repartition(Read(), 0)).IsInvalid());
  EXPECT_TRUE(Validate(Repartition(Read(), -1)).IsInvalid());
  EXPECT_TRUE(Validate(RepartitionBy(Read(), {"z"})).IsKeyError());
  EXPECT_TRUE(Validate(Shuffle(Read(), 0)).IsInvalid());
  EXPECT_TRUE(Validate(Aggregate(Read(), {"z"}, {Sum("a")})).IsKeyError());
  EXPECT_TRUE(Validate(Aggregate(Read(), {"a"}, {Sum("z")})).IsKeyError());
  EXPECT_TRUE(Validate(Aggregate(Read(), {"a"}, {Sum("b"), Sum("b")})).IsInvalid());
  EXPECT_TRUE(Validate(Group(Read(), {})).IsInvalid());
  EXPECT_TRUE(Validate(Join(Read(), Other(), "b")).IsKeyError());
  EXPECT_TRUE(Validate(Zip({Read(), Input()})).IsInvalid());
  EXPECT_TRUE(Validate(Zip({Read(), ReadText()})).ok());
}

TEST(ExchangePlans, SidesStayWhereOrderIsAskedFor) {
  const LogicalPtr few = Filter(Read(), And(AboveOne("a"), And(AboveOne("b"), AboveOne("c"))));
  const LogicalPtr join = Join(few, Other(), "a");
  const Optimizer optimizer;
  const LogicalPtr kept = optimizer.Optimize(join, /*preserve_order=*/true).ValueOrDie();
  const LogicalPtr moved = optimizer.Optimize(join, /*preserve_order=*/false).ValueOrDie();
  EXPECT_NE(kept->As<logical::Join>(), nullptr);
  ASSERT_NE(moved->As<logical::Project>(), nullptr);
  EXPECT_EQ(moved->input()->As<logical::Join>()->join.kind, JoinKind::kInner);
  EXPECT_TRUE(InferSchema(moved)->Equals(*InferSchema(kept)));
  EXPECT_EQ(optimizer.Optimize(moved, /*preserve_order=*/false).ValueOrDie(), moved);
}

TEST(ExchangePlans, EstimatesKnowKindsOfTerms) {
  const LogicalPtr all = Read();
  const auto share = [&](const ExprPtr& predicate) {
    return *EstimateBytes(Filter(all, predicate)) / *EstimateBytes(all);
  };
  const ExprPtr above = AboveOne("a");
  EXPECT_NEAR(share(above), 1.0 / 3, 1e-9);
  EXPECT_NEAR(share(And(above, above)), 1.0 / 9, 1e-9);
  EXPECT_NEAR(*EstimateBytes(Join(all, all, "a")), 2 * *EstimateBytes(all), 1e-9);
  EXPECT_FALSE(EstimateBytes(ReadText()));
}

// Sizes of encoded columns bound nothing: those of fixed width and known rows do.
TEST(ExchangePlans, BoundsFollowFromRowsAndTypes) {
  const auto bound = [](SourceOptions options, const std::shared_ptr<arrow::DataType>& type,
                        std::optional<std::vector<std::string>> columns = {}) {
    auto source = MakeSource(options);
    ARROW_CHECK_OK(source->schema->AddField(0, arrow::field("t", type)).Value(&source->schema));
    logical::Read read;
    read.source = std::move(source);
    read.columns = std::move(columns);
    return BoundBytes(LogicalOperator::Make(std::move(read)));
  };
  const SourceOptions four{.columns = {"a"}, .units = 4, .unit_rows = 100, .unit_bytes = 10};
  EXPECT_EQ(bound(four, arrow::float32()), 400 * (9 + 5));
  EXPECT_EQ(bound(four, arrow::boolean()), 400 * (9 + 1));
  EXPECT_EQ(bound(four, arrow::utf8()), std::nullopt);
  EXPECT_EQ(bound(four, arrow::dictionary(arrow::int8(), arrow::utf8())), std::nullopt);
  EXPECT_EQ(bound(four, arrow::list(arrow::int8())), std::nullopt);
  EXPECT_EQ(bound(four, arrow::utf8(), {{"a"}}), 400 * 9);
  SourceOptions unknown = four;
  unknown.unit_rows = -1;
  EXPECT_EQ(bound(unknown, arrow::float32()), std::nullopt);
  SourceOptions csv = four;
  csv.format = "csv";
  EXPECT_EQ(bound(csv, arrow::float32()), std::nullopt);
  EXPECT_EQ(BoundBytes(Union({Input(2), Filter(Input(3), AboveOne("a"))})), 400);
  EXPECT_EQ(BoundBytes(With(Input(2), "x", Lit(1))), std::nullopt);
}

TEST(ExchangePlans, BucketsFollowTheBytes) {
  const auto buckets = [](const LogicalPtr& plan) {
    const ExchangeParts parts = PlanExchange(*plan);
    return std::get<ScatterStep>(parts.map_sides[0].back()).buckets;
  };
  EXPECT_EQ(buckets(Shuffle(Read())), 64);
  EXPECT_EQ(buckets(Shuffle(ReadText())), 256);
  EXPECT_EQ(buckets(Shuffle(Read({.unit_bytes = 1 << 30}))), 512);
  EXPECT_EQ(buckets(Shuffle(Read({.unit_bytes = std::int64_t{1} << 40}))), 4096);
  EXPECT_EQ(buckets(Shuffle(Read(), 3)), 3);
}

TEST(ExchangePlans, TasksThatCannotRunAreRefused) {
  const auto shuffle = LogicalOperator::Make(
      logical::RandomShuffle{0, -1, {Resources{.gpu_milli = 1000}, std::nullopt}}, {Read()});
  const PhysicalPlan plan = PlannedExchange(shuffle).optimized_physical;
  const Status status = CheckFeasible(plan, {.cpu_milli = 2000});
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("RandomShuffle cannot run"), std::string::npos);
}

}  // namespace
}  // namespace headrace
