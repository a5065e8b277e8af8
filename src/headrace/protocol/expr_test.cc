#include "headrace/protocol/expr.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <limits>

#include "headrace/base/wire.h"

namespace headrace {
namespace {

ExprPtr ColumnOf(std::string name) { return MakeExpr(expr::Column{std::move(name)}); }
template <class T>
ExprPtr Lit(T value) {
  return MakeExpr(expr::Literal{arrow::MakeScalar(value)});
}
ExprPtr Fn(std::string name, std::vector<ExprPtr> arguments) {
  return MakeExpr(expr::Call{std::move(name), std::move(arguments), "", ""});
}

std::shared_ptr<arrow::Array> Ints(const std::vector<std::int64_t>& values,
                                   bool with_null = false) {
  arrow::Int64Builder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  if (with_null) {
    EXPECT_TRUE(builder.AppendNull().ok());
  }
  return builder.Finish().ValueOrDie();
}

std::shared_ptr<arrow::Array> Strings(const std::vector<std::string>& values) {
  arrow::StringBuilder builder;
  EXPECT_TRUE(builder.AppendValues(values).ok());
  return builder.Finish().ValueOrDie();
}

// One expression of every kind and of the types whose encoding differs.
std::vector<ExprPtr> SampleExprs() {
  auto point =
      arrow::struct_({arrow::field("x", arrow::int32()), arrow::field("y", arrow::utf8())});
  auto list = std::make_shared<arrow::ListScalar>(Ints({1, 2}));
  auto dictionary =
      arrow::DictionaryArray::FromArrays(arrow::dictionary(arrow::int64(), arrow::utf8()),
                                         Ints({1, 0, 1}), Strings({"red", "blue"}))
          .ValueOrDie();
  return {
      ColumnOf("a"),
      ColumnOf(""),
      Lit<std::int64_t>(-7),
      Lit(2.5),
      Lit(std::numeric_limits<double>::quiet_NaN()),
      Lit(true),
      MakeExpr(expr::Literal{arrow::MakeScalar(std::string("text"))}),
      MakeExpr(expr::Literal{arrow::MakeNullScalar(arrow::int32())}),
      MakeExpr(expr::Literal{arrow::MakeNullScalar(point)}),
      MakeExpr(expr::Literal{std::make_shared<arrow::NullScalar>()}),
      MakeExpr(expr::Literal{list}),
      MakeExpr(expr::Literal{std::make_shared<arrow::TimestampScalar>(
          17, arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"))}),
      Fn("add", {ColumnOf("a"), Lit<std::int64_t>(1)}),
      MakeExpr(expr::Call{"round", {ColumnOf("a")}, "RoundOptions", std::string("\0\1\2", 3)}),
      Fn("random", {}),
      MakeExpr(expr::Cast{ColumnOf("a"), arrow::list(arrow::float16()), false}),
      MakeExpr(expr::IsIn{ColumnOf("a"), Ints({1, 2}, true)}),
      MakeExpr(expr::IsIn{ColumnOf("a"), Ints({})}),
      MakeExpr(expr::IsIn{ColumnOf("colour"), dictionary}),
      MakeExpr(
          expr::Case{{{ColumnOf("p"), ColumnOf("a")}, {ColumnOf("q"), Lit(1.0)}}, ColumnOf("b")}),
      MakeExpr(expr::Case{{{ColumnOf("p"), ColumnOf("a")}}, nullptr}),
  };
}

std::string Bytes(const ExprPtr& e) {
  WireWriter out;
  WriteExpr(e, &out);
  return out.Take();
}

TEST(ExprTest, EverySampleComesBackAndDiffersFromTheOthers) {
  const auto samples = SampleExprs();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::string bytes = Bytes(samples[i]);
    WireReader in(bytes);
    auto back = ReadExpr(&in);
    ASSERT_TRUE(back.ok()) << ToString(samples[i]) << ": " << back.status();
    EXPECT_TRUE(in.Finish().ok());
    for (std::size_t j = 0; j < samples.size(); ++j) {
      EXPECT_EQ(Equals(*back, samples[j]), i == j)
          << ToString(samples[i]) << " and " << ToString(samples[j]);
    }
  }
}

TEST(ExprTest, EveryPrefixIsAnError) {
  for (const ExprPtr& sample : SampleExprs()) {
    const std::string bytes = Bytes(sample);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      WireReader in(std::string_view(bytes).substr(0, size));
      EXPECT_FALSE(ReadExpr(&in).ok()) << ToString(sample) << " cut to " << size;
    }
  }
}

TEST(ExprTest, UnknownKindAndMissingPartAreErrors) {
  const std::string unknown = "\x2a";
  WireReader in(unknown);
  EXPECT_FALSE(ReadExpr(&in).ok());
  const std::string bytes = Bytes(Fn("add", {ColumnOf("a"), nullptr}));
  WireReader without(bytes);
  EXPECT_FALSE(ReadExpr(&without).ok());
}

TEST(ExprTest, NullIsAValue) {
  const std::string bytes = Bytes(nullptr);
  WireReader in(bytes);
  auto back = ReadExpr(&in);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, nullptr);
  EXPECT_TRUE(Equals(nullptr, nullptr));
  EXPECT_FALSE(Equals(nullptr, ColumnOf("a")));
}

TEST(ExprTest, EqualsSeesTypesOptionsAndOrder) {
  EXPECT_FALSE(Equals(Lit<std::int64_t>(1), Lit<std::int32_t>(1)));
  EXPECT_FALSE(
      Equals(Fn("add", {ColumnOf("a"), ColumnOf("b")}), Fn("add", {ColumnOf("b"), ColumnOf("a")})));
  EXPECT_FALSE(
      Equals(Fn("f", {ColumnOf("a")}), MakeExpr(expr::Call{"f", {ColumnOf("a")}, "O", "x"})));
  EXPECT_FALSE(Equals(MakeExpr(expr::Cast{ColumnOf("a"), arrow::int8(), true}),
                      MakeExpr(expr::Cast{ColumnOf("a"), arrow::int8(), false})));
  EXPECT_TRUE(
      Equals(Fn("add", {ColumnOf("a"), ColumnOf("b")}), Fn("add", {ColumnOf("a"), ColumnOf("b")})));
}

TEST(ExprTest, PrintsAsWritten) {
  auto sum =
      Fn("greater", {Fn("add", {ColumnOf("x"), Lit<std::int64_t>(1)}), Lit<std::int64_t>(2)});
  auto in = MakeExpr(expr::IsIn{ColumnOf("y"), Ints({1, 2})});
  EXPECT_EQ(ToString(Fn("and_kleene", {sum, in})), "((x + 1) > 2) & is_in(y, [1, 2])");
  EXPECT_EQ(ToString(Fn("invert", {Fn("is_null", {ColumnOf("x")})})), "~is_null(x)");
  EXPECT_EQ(
      ToString(Fn("equal", {ColumnOf("s"), MakeExpr(expr::Literal{arrow::MakeScalar("it")})})),
      "s == 'it'");
  EXPECT_EQ(ToString(MakeExpr(expr::Cast{ColumnOf("x"), arrow::int8(), true})), "cast(x, int8)");
  EXPECT_EQ(ToString(MakeExpr(expr::Case{{{ColumnOf("p"), ColumnOf("a")}}, nullptr})),
            "case(when(p, a), otherwise null)");
}

TEST(ExprTest, CollectsColumnsOnceInOrder) {
  std::vector<std::string> names = {"b"};
  CollectColumns(Fn("f", {ColumnOf("c"), Fn("g", {ColumnOf("b"), ColumnOf("a")}), ColumnOf("c")}),
                 &names);
  EXPECT_EQ(names, (std::vector<std::string>{"b", "c", "a"}));
}

TEST(ExprTest, ConjunctionsSplitAndJoin) {
  auto a = ColumnOf("a"), b = ColumnOf("b"), c = ColumnOf("c");
  auto terms = SplitConjunction(Fn("and_kleene", {Fn("and_kleene", {a, b}), c}));
  EXPECT_EQ(terms, (std::vector<ExprPtr>{a, b, c}));
  EXPECT_EQ(SplitConjunction(Fn("or_kleene", {a, b})).size(), 1u);
  EXPECT_EQ(Conjunction({}), nullptr);
  EXPECT_EQ(Conjunction({a}), a);
  EXPECT_EQ(SplitConjunction(Conjunction(terms)), terms);
}

TEST(ExprTest, SubstitutionReplacesAllColumnsOrGivesNull) {
  auto e =
      Fn("add", {ColumnOf("x"), MakeExpr(expr::Case{{{ColumnOf("y"), ColumnOf("x")}}, nullptr})});
  auto done = SubstituteColumns(e, {{"x", ColumnOf("z")}, {"y", Lit(true)}});
  EXPECT_EQ(ToString(done), "z + case(when(true, z), otherwise null)");
  EXPECT_EQ(SubstituteColumns(e, {{"x", ColumnOf("z")}}), nullptr);
  auto constant = Lit(1.0);
  EXPECT_EQ(SubstituteColumns(constant, {}), constant);
}

}  // namespace
}  // namespace headrace
