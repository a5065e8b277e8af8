#include "headrace/data/transform/step.h"

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <gtest/gtest.h>

#include "headrace/data/testing.h"
#include "headrace/data/transform/evaluate.h"

namespace headrace {
namespace {

using testing::Call;
using testing::Col;
using testing::Int;
using testing::Lit;
using testing::NumbersTable;
using testing::Text;

Result<std::shared_ptr<arrow::Table>> RunSteps(std::vector<Step> steps,
                                               std::vector<std::shared_ptr<arrow::Table>> tables) {
  TaskProgram program;
  program.name = "Test";
  program.steps = std::move(steps);
  TaskInput input;
  for (auto& table : tables) input.blocks.emplace_back(std::move(table));
  ARROW_ASSIGN_OR_RAISE(auto outputs, testing::Drain(program, std::move(input)));
  if (outputs.empty()) return Status::Invalid("no output");
  return testing::Concat(outputs);
}

// Columns i: int32 {1, null, 3, 4}, s: {"a", "b", null, "a"}.
std::shared_ptr<arrow::Table> WithNulls() {
  arrow::Int32Builder i;
  arrow::StringBuilder s;
  EXPECT_TRUE(i.AppendValues({1, 0, 3, 4}, {true, false, true, true}).ok());
  EXPECT_TRUE(s.Append("a").ok() && s.Append("b").ok() && s.AppendNull().ok() &&
              s.Append("a").ok());
  return arrow::Table::Make(
      arrow::schema({arrow::field("i", arrow::int32()), arrow::field("s", arrow::utf8())}),
      {*i.Finish(), *s.Finish()});
}

TEST(Filter, NullCountsAsFalse) {
  auto table =
      RunSteps({FilterStep{Call("greater", {Col("i"), Lit(1)})}}, {WithNulls()}).ValueOrDie();
  ASSERT_EQ(table->num_rows(), 2);
  EXPECT_EQ(Int(*table, "i", 0), 3);
}

// One batch; fails when it is asked again after its end.
class StrictStream : public BatchStream {
 public:
  Result<std::optional<Batch>> Next() override {
    if (calls_++ == 0) return Batch{Block(WithNulls()), {}, nullptr};
    if (calls_ == 2) return std::nullopt;
    return Status::Invalid("pulled after the end");
  }

 private:
  int calls_ = 0;
};

TEST(Filter, DoesNotPullAfterTheEnd) {
  auto none = Call("greater", {Col("i"), Lit(100)});
  auto stream = MakeFilterStream(std::make_unique<StrictStream>(), none, std::nullopt, {});
  auto empty = stream->Next();
  ASSERT_TRUE(empty.ok() && *empty);
  EXPECT_EQ((*empty)->block.num_rows(), 0);
  auto end = stream->Next();
  ASSERT_TRUE(end.ok()) << end.status().ToString();
  EXPECT_FALSE(*end);
}

TEST(Filter, NeedsABoolean) {
  const Status status = RunSteps({FilterStep{Col("i")}}, {WithNulls()}).status();
  EXPECT_EQ(status.code(), arrow::StatusCode::TypeError) << status.ToString();
}

TEST(Filter, ConstantPredicates) {
  auto yes = MakeExpr(expr::Literal{arrow::MakeScalar(true)});
  auto no = MakeExpr(expr::Literal{arrow::MakeScalar(false)});
  EXPECT_EQ(RunSteps({FilterStep{yes}}, {WithNulls()}).ValueOrDie()->num_rows(), 4);
  EXPECT_EQ(RunSteps({FilterStep{no}}, {WithNulls()}).ValueOrDie()->num_rows(), 0);
}

TEST(Filter, PassesOnlyWhatTheProjectionReads) {
  auto table = RunSteps({FilterStep{Call("equal", {Col("s"), Lit("a")})},
                         ProjectStep{false, {}, {}, {{"n", Col("i")}}}},
                        {WithNulls()})
                   .ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "n: int32");
  EXPECT_EQ(Int(*table, "n", 1), 4);
}

TEST(Filter, CountsRowsWithoutColumns) {
  auto outputs = [] {
    TaskProgram program;
    program.steps = {FilterStep{Call("equal", {Col("s"), Lit("a")})}, ProjectStep{}};
    TaskInput input;
    input.blocks.emplace_back(WithNulls());
    return testing::Drain(program, std::move(input)).ValueOrDie();
  }();
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].block.num_rows(), 2);
  EXPECT_EQ(outputs[0].block.table()->num_columns(), 0);
}

TEST(Project, KeepsDropsRenamesAndReplaces) {
  ProjectStep step;
  step.keep_rest = true;
  step.drop = {"s"};
  step.rename = {{"i", "j"}};
  step.exprs = {{"twice", Call("multiply", {Col("i"), Lit(2)})}, {"j", Call("negate", {Col("i")})}};
  auto table = RunSteps({step}, {WithNulls()}).ValueOrDie();
  EXPECT_EQ(table->schema()->ToString(), "j: int32\ntwice: int64");
  EXPECT_EQ(Text(*table, "j", 0), "-1");
  EXPECT_EQ(Text(*table, "twice", 1), "null");
  EXPECT_EQ(Int(*table, "twice", 3), 8);
}

TEST(Project, UnknownNamesFailAndListTheColumns) {
  for (const ProjectStep& step :
       {ProjectStep{true, {"q"}, {}, {}}, ProjectStep{true, {}, {{"q", "r"}}, {}},
        ProjectStep{false, {}, {}, {{"r", Col("q")}}}}) {
    const Status status = RunSteps({step}, {WithNulls()}).status();
    EXPECT_EQ(status.code(), arrow::StatusCode::KeyError);
    EXPECT_NE(status.message().find("'i', 's'"), std::string::npos) << status.ToString();
  }
}

TEST(Project, TwiceTheSameNameFails) {
  const ProjectStep step{false, {}, {}, {{"a", Col("i")}, {"a", Col("s")}}};
  EXPECT_TRUE(RunSteps({step}, {WithNulls()}).status().IsInvalid());
}

TEST(Project, LiteralsFillTheRows) {
  auto table = RunSteps({ProjectStep{true, {}, {}, {{"c", Lit("k")}}}}, {WithNulls(), WithNulls()})
                   .ValueOrDie();
  ASSERT_EQ(table->num_rows(), 8);
  EXPECT_EQ(Text(*table, "c", 7), "k");
}

TEST(Evaluate, CaseIsInCastAndOptions) {
  auto evaluate = [](const ExprPtr& e) {
    auto column = Evaluate(e, *WithNulls()).ValueOrDie();
    std::string text;
    for (std::int64_t i = 0; i < column->length(); ++i) {
      auto scalar = column->GetScalar(i).ValueOrDie();
      text += (i > 0 ? " " : "") + (scalar->is_valid ? scalar->ToString() : "null");
    }
    return text;
  };
  EXPECT_EQ(evaluate(MakeExpr(expr::Case{{{Call("less", {Col("i"), Lit(2)}), Lit("low")},
                                          {Call("less", {Col("i"), Lit(4)}), Lit("mid")}},
                                         Lit("high")})),
            "low high mid high");
  EXPECT_EQ(
      evaluate(MakeExpr(expr::Case{{{Call("less", {Col("i"), Lit(2)}), Lit("low")}}, nullptr})),
      "low null null null");
  arrow::StringBuilder values;
  ASSERT_TRUE(values.Append("a").ok());
  EXPECT_EQ(evaluate(MakeExpr(expr::IsIn{Col("s"), *values.Finish()})), "true false false true");
  EXPECT_EQ(evaluate(MakeExpr(expr::Cast{Col("i"), arrow::utf8(), true})), "1 null 3 4");
  EXPECT_EQ(evaluate(Call("add", {Lit(1), Lit(2)})), "3 3 3 3");
  const arrow::compute::MatchSubstringOptions options("B", /*ignore_case=*/true);
  EXPECT_EQ(evaluate(MakeExpr(expr::Call{"match_substring",
                                         {Col("s")},
                                         options.type_name(),
                                         options.Serialize().ValueOrDie()->ToString()})),
            "false true null false");
}

ExprPtr Random(std::int64_t seed, bool reseed) {
  return Call("random", {MakeExpr(expr::Literal{arrow::MakeScalar(seed)}),
                         MakeExpr(expr::Literal{arrow::MakeScalar(reseed)})});
}

// Rows [0, 100) in blocks of `block_rows`, with the columns id and r.
Result<std::shared_ptr<arrow::Table>> Numbered(std::int64_t block_rows, std::uint64_t task_number,
                                               std::uint32_t unit, std::uint64_t run, bool reseed) {
  TaskProgram program;
  program.seed = run;
  program.steps = {ProjectStep{true,
                               {},
                               {},
                               {{"id", Call("monotonically_increasing_id", {})},
                                {"r", Random(7, reseed)},
                                {"twice", Call("multiply", {Random(7, reseed), Lit(2.0)})}}}};
  TaskInput input;
  for (std::int64_t row = 0; row < 100; row += block_rows) {
    input.blocks.emplace_back(NumbersTable(row, block_rows));
  }
  input.position.path = {unit};
  input.task_number = task_number;
  ARROW_ASSIGN_OR_RAISE(auto outputs, testing::Drain(program, std::move(input)));
  return testing::Concat(outputs);
}

TEST(RowFunction, GoesByTheRowsPlaceOnly) {
  const auto once = Numbered(100, 3, 5, 1, true).ValueOrDie();
  EXPECT_EQ(Int(*once, "id", 0), std::int64_t{3} << 33);
  EXPECT_EQ(Int(*once, "id", 99), (std::int64_t{3} << 33) + 99);
  EXPECT_TRUE(once->Equals(*Numbered(10, 3, 5, 1, true).ValueOrDie()));
  const auto column = [](const arrow::Table& table) { return table.GetColumnByName("r"); };
  EXPECT_TRUE(column(*once)->Equals(column(*Numbered(100, 4, 5, 1, true).ValueOrDie())));
  EXPECT_FALSE(column(*once)->Equals(column(*Numbered(100, 3, 6, 1, true).ValueOrDie())));
  EXPECT_FALSE(column(*once)->Equals(column(*Numbered(100, 3, 5, 2, true).ValueOrDie())));
  const auto fixed = Numbered(100, 3, 5, 1, false).ValueOrDie();
  EXPECT_TRUE(column(*fixed)->Equals(column(*Numbered(100, 3, 5, 2, false).ValueOrDie())));
  double sum = 0;
  for (std::int64_t i = 0; i < 100; ++i) sum += std::stod(Text(*once, "r", i));
  EXPECT_GT(sum, 35);
  EXPECT_LT(sum, 65);
  EXPECT_NEAR(std::stod(Text(*once, "twice", 9)), 2 * std::stod(Text(*once, "r", 9)), 1e-5);
}

TEST(RowFunction, AFilterCountsTheRowsThatCome) {
  const auto low = Call("less", {Call("monotonically_increasing_id", {}), Lit(7)});
  auto table = RunSteps({FilterStep{low}}, {NumbersTable(0, 5), NumbersTable(5, 5)}).ValueOrDie();
  EXPECT_EQ(table->num_rows(), 7);
}

TEST(RowFunction, RandomNeedsLiterals) {
  EXPECT_TRUE(Evaluate(Call("random", {Lit(1)}), *WithNulls()).status().IsInvalid());
  EXPECT_TRUE(Evaluate(Call("random", {Col("i"), Lit(1)}), *WithNulls()).status().IsInvalid());
}

TEST(Evaluate, RefusesWhatDoesNotWorkRowByRow) {
  EXPECT_TRUE(Evaluate(Call("cumulative_sum", {Col("i")}), *WithNulls()).status().IsInvalid());
  EXPECT_TRUE(Evaluate(Call("sum", {Col("i")}), *WithNulls()).status().IsInvalid());
  EXPECT_TRUE(Evaluate(Call("no_such_function", {Col("i")}), *WithNulls()).status().IsKeyError());
}

TEST(Evaluate, UnsafeCastTruncatesAndSafeFails) {
  auto half = Call("divide", {Col("i"), Lit(2.0)});
  EXPECT_FALSE(Evaluate(MakeExpr(expr::Cast{half, arrow::int32(), true}), *WithNulls()).ok());
  EXPECT_TRUE(Evaluate(MakeExpr(expr::Cast{half, arrow::int32(), false}), *WithNulls()).ok());
}

TEST(Rebatch, OriginsFollowTheRows) {
  const Origin whole{nullptr, 100, 110, true};
  const Origin slice = SliceOrigin(whole, 10, 3, 5);
  EXPECT_EQ(slice.first_row, 103);
  EXPECT_EQ(slice.end_row, 105);
  // Of a filtered batch only the range is known.
  EXPECT_EQ(SliceOrigin(whole, 4, 1, 2).first_row, 100);
  EXPECT_EQ(SliceOrigin(whole, 4, 1, 2).end_row, 110);
  const Origin merged = MergeOrigins({whole, Origin{nullptr, 110, 112, true}});
  EXPECT_EQ(merged.first_row, 100);
  EXPECT_EQ(merged.end_row, 112);
}

TEST(Limit, ZeroRowsKeepTheSchema) {
  auto table = RunSteps({LimitStep{0}}, {NumbersTable(0, 5)}).ValueOrDie();
  EXPECT_EQ(table->num_rows(), 0);
  EXPECT_EQ(table->num_columns(), 2);
}

}  // namespace
}  // namespace headrace
