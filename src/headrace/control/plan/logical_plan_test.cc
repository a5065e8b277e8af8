#include "headrace/control/plan/logical_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "headrace/control/plan/columns.h"
#include "headrace/control/plan/expr_facts.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

std::string Types(const LogicalPtr& plan) {
  auto schema = InferSchema(plan);
  return schema == nullptr ? "unknown" : schema->ToString();
}

TEST(LogicalPlanTest, NamesAreThoseOfRayData) {
  EXPECT_EQ(Read()->name(), "ReadParquet");
  EXPECT_EQ(Input()->name(), "InputData");
  EXPECT_EQ(MapRows(Input(), "f")->name(), "Map(f)");
  EXPECT_EQ(MapBatches(Input(), "<lambda>")->name(), "MapBatches(<lambda>)");
  EXPECT_EQ(Map(Input(), Function(FunctionKind::kFlatMapRows, "g"))->name(), "FlatMap(g)");
  EXPECT_EQ(Map(Input(), Function(FunctionKind::kFilterRows, "p"))->name(), "Filter(p)");
  EXPECT_EQ(Filter(Input(), Gt(Col("a"), Lit(3)))->name(), "Filter(a > 3)");
  EXPECT_EQ(Select(Input(), {"a"})->name(), "Project");
  EXPECT_EQ(Limit(Input(), 5)->name(), "limit=5");
  EXPECT_EQ(Union({Input(), Input()})->name(), "Union");
  EXPECT_EQ(Mix({Input(), Input()}, {1, 1})->name(), "Mix");
  EXPECT_EQ(Write(Input())->name(), "Write");
}

TEST(LogicalPlanTest, SameInputsGiveTheSameOperator) {
  const auto limit = Limit(Input(), 5);
  EXPECT_EQ(LogicalOperator::WithInputs(limit, limit->inputs()), limit);
  EXPECT_NE(LogicalOperator::WithInputs(limit, {Input()}), limit);
}

TEST(InferSchemaTest, ProjectionsGiveTypesWhereTheTableKnowsThem) {
  EXPECT_EQ(Types(Read()), "a: int64\nb: int64\nc: int64");
  EXPECT_EQ(Types(Select(Read(), {"c", "a"})), "c: int64\na: int64");
  EXPECT_EQ(Types(Drop(Read(), {"a", "c"})), "b: int64");
  EXPECT_EQ(Types(Rename(Read(), "b", "x")), "a: int64\nx: int64\nc: int64");
  EXPECT_EQ(Types(With(Select(Read(), {"a"}), "p", Gt(Col("a"), Lit(1)))), "a: int64\np: bool");
  EXPECT_EQ(Types(With(Select(Read(), {"a"}), "s", Add(Col("a"), Lit(1)))), "a: int64\ns: int64");
  const auto half = MakeExpr(expr::Literal{arrow::MakeScalar(0.5)});
  EXPECT_EQ(Types(With(Select(Read(), {"a"}), "s", Add(Col("a"), half))), "a: int64\ns: double");
  const auto cast = MakeExpr(expr::Cast{Col("a"), arrow::utf8(), true});
  EXPECT_EQ(Types(With(Select(Read(), {"a"}), "a", cast)), "a: string");
  EXPECT_EQ(Types(With(Select(Read(), {"a"}), "z", Fn("no_such_function", {Col("a")}))), "unknown");
}

TEST(InferSchemaTest, CaseNeedsOneType) {
  const auto same = MakeExpr(expr::Case{{{Gt(Col("a"), Lit(1)), Lit(1)}}, Lit(2)});
  const auto mixed = MakeExpr(expr::Case{{{Gt(Col("a"), Lit(1)), Lit(1)}}, Gt(Col("a"), Lit(2))});
  EXPECT_EQ(Types(Project(Read(), {false, {}, {}, {{"x", same}}})), "x: int64");
  EXPECT_EQ(Types(Project(Read(), {false, {}, {}, {{"x", mixed}}})), "unknown");
}

TEST(InferSchemaTest, OthersPassHideOrFixIt) {
  EXPECT_EQ(Types(Limit(Filter(Select(Read(), {"a"}), Gt(Col("a"), Lit(1))), 3)), "a: int64");
  EXPECT_EQ(Types(Map(Select(Read(), {"a"}), Function(FunctionKind::kFilterRows, "p"))),
            "a: int64");
  EXPECT_EQ(Types(MapRows(Read())), "unknown");
  EXPECT_EQ(Types(ReadText()), "unknown");
  EXPECT_EQ(Types(Input()), "a: int64");
  EXPECT_EQ(Types(Union({Select(Read(), {"a"}), Input()})), "a: int64");
  EXPECT_EQ(Types(Union({Select(Read(), {"b"}), Input()})), "unknown");
  EXPECT_EQ(Types(Mix({Select(Read(), {"a"}), Input()}, {1, 1})), "a: int64");
  EXPECT_EQ(Types(Write(MapRows(Read()))),
            "path: string\ntemporary_path: string\nnum_rows: int64\nnum_bytes: int64");
}

TEST(InferRowCountTest, FollowsOnlyFromExactParts) {
  EXPECT_EQ(InferRowCount(Read()), 400);
  EXPECT_EQ(InferRowCount(ReadText()), std::nullopt);
  EXPECT_EQ(InferRowCount(Input(3)), 30);
  EXPECT_EQ(InferRowCount(MapRows(Select(Read(), {"a"}))), 400);
  EXPECT_EQ(InferRowCount(MapBatches(Read())), std::nullopt);
  auto tolerant = Function(FunctionKind::kMapRows, "t");
  EXPECT_EQ(InferRowCount(Map(Read(), tolerant)), 400);
  tolerant->drops_rows = true;
  EXPECT_EQ(InferRowCount(Map(Read(), tolerant)), std::nullopt);
  EXPECT_EQ(InferRowCount(Filter(Read(), Gt(Col("a"), Lit(1)))), std::nullopt);
  EXPECT_EQ(InferRowCount(Limit(Read(), 7)), 7);
  EXPECT_EQ(InferRowCount(Limit(Read(), 700)), 400);
  EXPECT_EQ(InferRowCount(Limit(ReadText(), 7)), std::nullopt);
  EXPECT_EQ(InferRowCount(Limit(ReadText(), 0)), 0);
  EXPECT_EQ(InferRowCount(Union({Read(), Input()})), 420);
  EXPECT_EQ(InferRowCount(Union({Read(), ReadText()})), std::nullopt);
  EXPECT_EQ(InferRowCount(Mix({Read(), Input()}, {1, 2})), 420);
  EXPECT_EQ(InferRowCount(Mix({Read(), Input()}, {1, 2}, true)), std::nullopt);
}

TEST(ColumnsTest, ResolveFollowsRenameDropAndReplace) {
  const ProjectStep step{true, {"d"}, {{"a", "b"}, {"b", "a"}}, {{"x", Add(Col("a"), Col("c"))}}};
  EXPECT_EQ(ToString(ResolveColumn(step, "a")), "b");
  EXPECT_EQ(ToString(ResolveColumn(step, "b")), "a");
  EXPECT_EQ(ToString(ResolveColumn(step, "c")), "c");
  EXPECT_EQ(ToString(ResolveColumn(step, "x")), "a + c");
  EXPECT_EQ(ResolveColumn(step, "d"), nullptr);
  EXPECT_EQ(ResolveColumn({true, {}, {{"a", "z"}}, {}}, "a"), nullptr);
  EXPECT_EQ(ResolveColumn({false, {}, {}, {{"x", Col("a")}}}, "a"), nullptr);
}

TEST(ColumnsTest, UnionHasTheColumnsOfAll) {
  EXPECT_EQ(InferColumns(Union({Select(Read(), {"c"}), Input()})),
            (std::vector<std::string>{"c", "a"}));
  EXPECT_EQ(InferColumns(Union({Read(), ReadText()})), std::nullopt);
}

TEST(ExprFactsTest, MayFailAndVolatile) {
  EXPECT_FALSE(MayFail(And(Gt(Add(Col("a"), Lit(1)), Lit(2)), Fn("is_null", {Col("b")}))));
  EXPECT_TRUE(MayFail(Gt(Divide(Col("a"), Col("b")), Lit(2))));
  EXPECT_TRUE(MayFail(Fn("add_checked", {Col("a"), Lit(1)})));
  EXPECT_TRUE(MayFail(MakeExpr(expr::Cast{Col("a"), arrow::int8(), true})));
  EXPECT_FALSE(MayFail(MakeExpr(expr::Cast{Col("a"), arrow::int8(), false})));
  EXPECT_TRUE(IsVolatile(Gt(Fn("random", {}), Lit(0))));
  EXPECT_FALSE(IsVolatile(Gt(Col("random"), Lit(0))));
  EXPECT_TRUE(IsVolatile(Add(Fn("monotonically_increasing_id", {}), Lit(1))));
  EXPECT_FALSE(MayFail(Fn("monotonically_increasing_id", {})));
}

// ---- Validate: the message is the product.

TEST(ValidateTest, MisspeltColumnInEachVerb) {
  const auto read = Read({.columns = {"price", "size"}});
  const std::string there = ". Available columns: ['price', 'size']. Did you mean 'price'?";
  const auto missing = [&](const std::string& verb) {
    return verb + ": column(s) not found in dataset schema: ['prise']" + there;
  };
  const auto check = [](const LogicalPtr& plan, const std::string& message) {
    const Status status = Validate(plan);
    EXPECT_TRUE(status.IsKeyError()) << status;
    EXPECT_EQ(status.message(), message);
  };
  check(Select(read, {"size", "prise"}), missing("select_columns"));
  check(Drop(read, {"prise"}), missing("drop_columns"));
  check(Rename(read, "prise", "x"), missing("rename_columns"));
  check(With(read, "x", Add(Col("prise"), Lit(1))), missing("with_column"));
  check(Filter(read, Gt(Col("prise"), Lit(1))), missing("filter"));
  auto columns = *read->As<logical::Read>();
  columns.columns = {{"prise"}};
  check(LogicalOperator::Make(columns), missing("ReadParquet"));
  auto filter = *read->As<logical::Read>();
  filter.filter = Gt(Col("prise"), Lit(1));
  check(LogicalOperator::Make(filter), missing("ReadParquet"));
}

TEST(ValidateTest, SuggestsOnlyWhatIsClose) {
  const auto message = [](const std::string& name) {
    return Validate(Select(Read({.columns = {"Price", "size"}}), {name})).message();
  };
  EXPECT_NE(message("price").find("Did you mean 'Price'?"), std::string::npos);
  EXPECT_NE(message("sizes").find("Did you mean 'size'?"), std::string::npos);
  EXPECT_EQ(message("label").find("Did you mean"), std::string::npos);
}

TEST(ValidateTest, SeesColumnsThroughOtherOperators) {
  EXPECT_TRUE(Validate(Filter(Rename(Read(), "a", "x"), Gt(Col("x"), Lit(1)))).ok());
  EXPECT_FALSE(Validate(Filter(Rename(Read(), "a", "x"), Gt(Col("a"), Lit(1)))).ok());
  EXPECT_FALSE(Validate(Select(Limit(Drop(Read(), {"a"}), 3), {"a"})).ok());
  EXPECT_TRUE(Validate(Select(With(Read(), "x", Lit(1)), {"x", "a"})).ok());
  EXPECT_TRUE(Validate(Select(Union({Select(Read(), {"c"}), Input()}), {"c", "a"})).ok());
}

TEST(ValidateTest, AMixNeedsAWeightForEachInput) {
  EXPECT_TRUE(Validate(Mix({Read(), Read()}, {0.5, 3})).ok());
  EXPECT_FALSE(Validate(Mix({Read(), Read()}, {1})).ok());
  EXPECT_FALSE(Validate(Mix({Read(), Read()}, {1, 0})).ok());
  EXPECT_FALSE(Validate(Mix({Read(), Read()}, {1, -2})).ok());
  EXPECT_FALSE(Validate(Mix({Read(), Read()}, {1, std::nan("")})).ok());
}

TEST(ValidateTest, UnknownSchemasAreNotGuessed) {
  EXPECT_TRUE(Validate(Select(ReadText(), {"anything"})).ok());
  EXPECT_TRUE(Validate(Filter(MapRows(Read()), Gt(Col("new"), Lit(1)))).ok());
  // But what a selection yields is known whatever its input.
  EXPECT_FALSE(Validate(Select(Select(ReadText(), {"x"}), {"y"})).ok());
}

TEST(ValidateTest, ColumnsAppearOnce) {
  EXPECT_TRUE(Validate(Select(Read(), {"a", "a"})).IsInvalid());
  EXPECT_TRUE(Validate(Rename(Read(), "a", "b")).IsInvalid());
  EXPECT_TRUE(Validate(Project(Read(), {true, {}, {{"a", "b"}, {"b", "a"}}, {}})).ok());
}

TEST(ValidateTest, NumbersAndPlacement) {
  EXPECT_TRUE(Validate(Limit(Read(), -1)).IsInvalid());
  EXPECT_TRUE(Validate(Limit(Read(), 0)).ok());
  auto none = *Read()->As<logical::Read>();
  none.parallelism = 0;
  EXPECT_TRUE(Validate(LogicalOperator::Make(none)).IsInvalid());
  const auto with = [](Compute compute) {
    return Validate(MapClass(Read(), "C", {std::nullopt, compute}));
  };
  EXPECT_TRUE(with(ActorPool{1, 4, 1, 2}).ok());
  EXPECT_TRUE(with(ActorPool{2, 1, 1, 2}).IsInvalid());
  EXPECT_TRUE(with(ActorPool{1, 4, 5, 2}).IsInvalid());
  EXPECT_TRUE(with(ActorPool{1, 4, 1, 0}).IsInvalid());
  EXPECT_TRUE(with(TaskPool{}).IsInvalid());
  EXPECT_TRUE(Validate(MapBatches(Read(), "f", 0, {std::nullopt, TaskPool{0}})).IsInvalid());
  EXPECT_TRUE(Validate(MapBatches(Read(), "f", 0, {Resources{-1}, std::nullopt})).IsInvalid());
}

}  // namespace
}  // namespace headrace
