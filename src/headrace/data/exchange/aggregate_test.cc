#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <gtest/gtest.h>

#include <cmath>

#include "headrace/base/rng.h"
#include "headrace/data/exchange/aggregate_testing.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/transform/arrow_init.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

using namespace aggregate_testing;

constexpr AggregateKind kAggregateKinds[] = {
    AggregateKind::kCount,     AggregateKind::kSum,           AggregateKind::kMin,
    AggregateKind::kMax,       AggregateKind::kMean,          AggregateKind::kStd,
    AggregateKind::kAbsMax,    AggregateKind::kQuantile,      AggregateKind::kUnique,
    AggregateKind::kList,      AggregateKind::kCountDistinct, AggregateKind::kMissingShare,
    AggregateKind::kZeroShare, AggregateKind::kFirst};

// All aggregates that there are of a column.
std::vector<AggregateSpec> AllOf(const std::string& column,
                                 const std::shared_ptr<arrow::DataType>& type) {
  std::vector<AggregateSpec> specs;
  for (const AggregateKind kind : kAggregateKinds) {
    for (const bool ignore_nulls : {true, false}) {
      AggregateSpec spec;
      spec.kind = kind;
      spec.column = column;
      spec.name = std::to_string(specs.size());
      spec.ignore_nulls = ignore_nulls;
      spec.parameter = kind == AggregateKind::kStd ? 1 : 0.3;
      if (AggregateType(spec, type).ok()) specs.push_back(spec);
    }
  }
  return specs;
}

class AggregateTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(InitializeArrow().ok()); }
};

TEST_F(AggregateTest, EveryKindOfEveryTypeMatchesTheOracleInOneAndInTwoPhases) {
  const arrow::DataTypeVector types = {arrow::int8(),
                                       arrow::int16(),
                                       arrow::int32(),
                                       arrow::int64(),
                                       arrow::uint8(),
                                       arrow::uint16(),
                                       arrow::uint32(),
                                       arrow::uint64(),
                                       arrow::float16(),
                                       arrow::float32(),
                                       arrow::float64(),
                                       arrow::boolean(),
                                       arrow::utf8(),
                                       arrow::binary(),
                                       arrow::large_utf8(),
                                       arrow::date32(),
                                       arrow::null(),
                                       arrow::duration(arrow::TimeUnit::MILLI),
                                       arrow::decimal32(9, 2),
                                       arrow::decimal64(15, 2),
                                       arrow::decimal128(20, 2),
                                       arrow::decimal256(50, 2),
                                       arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
                                       arrow::dictionary(arrow::int32(), arrow::utf8())};
  Rng rng(1);
  for (const auto& type : types) {
    for (int round = 0; round < 12; ++round) {
      const auto rows = static_cast<std::int64_t>(round == 0 ? 1 : rng.Below(200));
      const double nulls = type->id() == arrow::Type::NA ? 1 : round % 3 == 0 ? 0 : 0.2;
      const bool nans = arrow::is_floating(type->id()) && round % 2 == 0;
      const bool is_unsigned = arrow::is_unsigned_integer(type->id());
      const bool boolean = type->id() == arrow::Type::BOOL;
      const int low = is_unsigned || boolean ? 0 : -9;
      const Values x = RandomValues(rows, low, boolean ? 2 : 30, nulls, nans, &rng);
      const Values k = RandomValues(rows, 0, round % 4 == 1 ? 2 : 12, nulls / 2, false, &rng);
      const auto table = arrow::Table::Make(
          arrow::schema({arrow::field("k", arrow::int32()), arrow::field("x", type)}),
          {MakeColumn(k, arrow::int32()), MakeColumn(x, type)});
      AggregateStep step;
      if (round % 4 != 3) step.keys = {"k"};
      step.aggregates = AllOf("x", type);
      step.aggregates.push_back({AggregateKind::kCount, "", "rows"});
      if (rows == 0 && step.keys.empty()) continue;  // Shares of nothing: below.
      const auto schema = AggregateSchema(step, *table->schema());
      ASSERT_TRUE(schema.ok()) << schema.status();
      const auto whole = FoldWhole(Cut(table, &rng), step);
      ASSERT_TRUE(whole.ok()) << type->ToString() << ": " << whole.status();
      ASSERT_TRUE((*whole)->schema()->Equals(**schema)) << (*whole)->schema()->ToString();
      AggregateStep checked = step;
      checked.aggregates.pop_back();
      Check(*table, checked, **whole);
      const auto in_two = FoldInTwo(Cut(table, &rng), step, &rng);
      ASSERT_TRUE(in_two.ok()) << type->ToString() << ": " << in_two.status();
      ASSERT_TRUE((*in_two)->schema()->Equals(**schema)) << (*in_two)->schema()->ToString();
      Check(*table, checked, **in_two);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(AggregateTest, GroupsByKeysOfEveryType) {
  const arrow::DataTypeVector types = {arrow::int8(),
                                       arrow::uint64(),
                                       arrow::float16(),
                                       arrow::float32(),
                                       arrow::float64(),
                                       arrow::boolean(),
                                       arrow::utf8(),
                                       arrow::large_binary(),
                                       arrow::date32(),
                                       arrow::null(),
                                       arrow::decimal64(15, 2),
                                       arrow::decimal128(20, 2),
                                       arrow::timestamp(arrow::TimeUnit::NANO),
                                       arrow::dictionary(arrow::int32(), arrow::utf8())};
  Rng rng(2);
  for (const auto& first : types) {
    for (std::size_t second = 0; second <= types.size(); ++second) {
      const std::int64_t rows = 60;
      const auto column = [&](const std::shared_ptr<arrow::DataType>& type) {
        const int high = type->id() == arrow::Type::BOOL ? 2 : 8;
        return MakeColumn(RandomValues(rows, 0, high, type->id() == arrow::Type::NA ? 1 : 0.1,
                                       arrow::is_floating(type->id()), &rng),
                          type);
      };
      arrow::FieldVector fields = {arrow::field("a", first)};
      arrow::ArrayVector columns = {column(first)};
      AggregateStep step;
      step.keys = {"a"};
      if (second < types.size()) {
        fields.push_back(arrow::field("b", types[second]));
        columns.push_back(column(types[second]));
        step.keys.push_back("b");
      }
      fields.push_back(arrow::field("x", arrow::int64()));
      columns.push_back(column(arrow::int64()));
      step.aggregates = {{AggregateKind::kSum, "x", "sum"}, {AggregateKind::kCount, "x", "count"}};
      const auto table = arrow::Table::Make(arrow::schema(fields), columns);
      const auto whole = FoldWhole(Cut(table, &rng), step);
      ASSERT_TRUE(whole.ok()) << whole.status();
      Check(*table, step, **whole);
      const auto in_two = FoldInTwo(Cut(table, &rng), step, &rng);
      ASSERT_TRUE(in_two.ok()) << in_two.status();
      Check(*table, step, **in_two);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(AggregateTest, ZerosOfBothSignsAreOneGroupAndNanAreOne) {
  arrow::DoubleBuilder keys;
  ASSERT_TRUE(keys.AppendValues({0.0, -0.0, std::nan(""), -std::nan("1"), 1.0}).ok());
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("k", arrow::float64())}), {*keys.Finish()});
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = {{AggregateKind::kCount, "", "n"}};
  const auto result = FoldWhole({table}, step);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(ReadColumn(*(*result)->GetColumnByName("n")), (Values{2, 2, 1}));
}

TEST_F(AggregateTest, WithoutKeysThereIsOneGroupEvenOfNoRows) {
  const auto table =
      arrow::Table::MakeEmpty(arrow::schema({arrow::field("x", arrow::int32())})).ValueOrDie();
  AggregateStep step;
  step.aggregates = AllOf("x", arrow::int32());
  Rng rng(3);
  const auto whole = FoldWhole({table}, step);
  const auto in_two = FoldInTwo({table, table}, step, &rng);
  ASSERT_TRUE(whole.ok() && in_two.ok()) << whole.status() << in_two.status();
  EXPECT_TRUE((*whole)->Equals(**in_two));
  ASSERT_EQ((*whole)->num_rows(), 1);
  for (const AggregateSpec& spec : step.aggregates) {
    const auto got = *(*whole)->GetColumnByName(spec.name)->GetScalar(0);
    if (MakesList(spec.kind)) {
      EXPECT_EQ(static_cast<const arrow::ListScalar&>(*got).value->length(), 0);
    } else if (spec.kind == AggregateKind::kCount || spec.kind == AggregateKind::kCountDistinct) {
      EXPECT_EQ(got->ToString(), "0");
    } else {
      EXPECT_FALSE(got->is_valid) << ToString(spec);
    }
  }
  const auto nothing = Fold({}, step, Phase::kFinal);
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  ASSERT_EQ(nothing->size(), 1U);
  EXPECT_EQ(nothing->front()->num_rows(), 1);
}

TEST_F(AggregateTest, WithKeysNoRowsGiveTheSchema) {
  const auto table = arrow::Table::MakeEmpty(arrow::schema({arrow::field("k", arrow::utf8()),
                                                            arrow::field("x", arrow::int32())}))
                         .ValueOrDie();
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = AllOf("x", arrow::int32());
  Rng rng(4);
  const auto result = FoldInTwo({table, table}, step, &rng);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)->num_rows(), 0);
  EXPECT_TRUE((*result)->schema()->Equals(**AggregateSchema(step, *table->schema())));
  EXPECT_TRUE(Fold({}, step, Phase::kFinal)->empty());
}

TEST_F(AggregateTest, PassesRowsOnWhereFoldingDoesNotHelp) {
  constexpr std::int64_t kRows = 400000;
  Rng rng(5);
  for (const bool helps : {false, true}) {
    arrow::Int64Builder keys;
    arrow::DoubleBuilder values;
    for (std::int64_t i = 0; i < kRows; ++i) {
      const auto key = static_cast<std::int64_t>(rng.Below(helps ? 50000 : 1U << 30));
      ASSERT_TRUE(keys.Append(key).ok());
      ASSERT_TRUE(values.Append(static_cast<double>(rng.Below(100))).ok());
    }
    const auto table = arrow::Table::Make(
        arrow::schema({arrow::field("k", arrow::int64()), arrow::field("x", arrow::float64())}),
        {*keys.Finish(), *values.Finish()});
    AggregateStep step;
    step.keys = {"k"};
    step.aggregates = AllOf("x", arrow::float64());
    const auto states = Fold({table}, step, Phase::kPartial);
    ASSERT_TRUE(states.ok()) << states.status();
    std::int64_t rows = 0;
    for (const auto& state : *states) rows += state->num_rows();
    if (helps) {
      EXPECT_LE(rows, 50000);
    } else {
      EXPECT_GT(rows, kRows - 100);
      EXPECT_GT(states->size(), 5U);
    }
    const auto whole = FoldWhole({table}, step);
    const auto in_two = Fold(*states, step, Phase::kFinal);
    ASSERT_TRUE(whole.ok() && in_two.ok());
    const auto joined = *(*arrow::ConcatenateTables(*in_two))->CombineChunksToBatch();
    EXPECT_TRUE((*(*whole)->CombineChunksToBatch())
                    ->ApproxEquals(*joined, arrow::EqualOptions().nans_equal(true)));
  }
}

TEST_F(AggregateTest, OneKeyWithMostOfTheRows) {
  Rng rng(6);
  Values keys = RandomValues(3000, 0, 50, 0, false, &rng);
  for (Value& key : keys) {
    if (rng.Chance(0.9)) key = 7;
  }
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::utf8()), arrow::field("x", arrow::float64())}),
      {MakeColumn(keys, arrow::utf8()),
       MakeColumn(RandomValues(3000, -50, 50, 0.1, false, &rng), arrow::float64())});
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = AllOf("x", arrow::float64());
  const auto in_two = FoldInTwo(Cut(table, &rng), step, &rng);
  ASSERT_TRUE(in_two.ok()) << in_two.status();
  Check(*table, step, **in_two);
}

TEST_F(AggregateTest, StdOfCloseValuesFarFromZero) {
  arrow::DoubleBuilder values;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(values.Append(1e9 + i % 2).ok());
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::float64())}), {*values.Finish()});
  AggregateStep step;
  step.aggregates = {{AggregateKind::kStd, "x", "std", true, 0}};
  Rng rng(7);
  const auto result = FoldInTwo(Cut(table, &rng), step, &rng);
  ASSERT_TRUE(result.ok());
  EXPECT_NEAR(*ReadScalar(**(*result)->column(0)->GetScalar(0)), 0.5, 1e-9);
}

TEST_F(AggregateTest, BlocksOfDifferentTypesAreUnified) {
  const auto block = [](const arrow::FieldVector& fields, const Values& values) {
    arrow::ArrayVector columns;
    for (const auto& field : fields) columns.push_back(MakeColumn(values, field->type()));
    return arrow::Table::Make(arrow::schema(fields), columns);
  };
  const std::vector<TablePtr> blocks = {
      block({arrow::field("k", arrow::int8())}, {1, 2}),
      block({arrow::field("k", arrow::int8()), arrow::field("x", arrow::null())},
            {1, std::nullopt}),
      block({arrow::field("k", arrow::int32()), arrow::field("x", arrow::int32())}, {1, 2, 3}),
      block({arrow::field("x", arrow::float64()), arrow::field("k", arrow::int64())}, {3, 4})};
  const auto all = arrow::ConcatenateTables(
                       blocks,
                       [] {
                         auto options = arrow::ConcatenateTablesOptions::Defaults();
                         options.unify_schemas = true;
                         options.field_merge_options = arrow::Field::MergeOptions::Permissive();
                         return options;
                       }())
                       .ValueOrDie();
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = AllOf("x", arrow::float64());
  const auto whole = FoldWhole(blocks, step);
  ASSERT_TRUE(whole.ok()) << whole.status();
  Check(*all, step, **whole);
  std::vector<TablePtr> states;
  for (const auto& task : {std::vector<TablePtr>{blocks[0], blocks[1]}, {blocks[2]}, {blocks[3]}}) {
    const auto outputs = Fold(task, step, Phase::kPartial);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    states.insert(states.end(), outputs->begin(), outputs->end());
  }
  const auto final = Fold(states, step, Phase::kFinal);
  ASSERT_TRUE(final.ok()) << final.status();
  Check(*all, step, **arrow::ConcatenateTables(*final));
  const auto bad = FoldWhole({blocks[2], block({arrow::field("k", arrow::utf8())}, {1})}, step);
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("column 'k' has type int32 in some blocks and type string"),
            std::string::npos)
      << bad.status();
}

TEST_F(AggregateTest, FailuresNameTheColumn) {
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::int64()), arrow::field("s", arrow::utf8())}),
      {MakeColumn({1, 2}, arrow::int64()), MakeColumn({1, 2}, arrow::utf8())});
  const auto message = [&](const AggregateStep& step) {
    return FoldWhole({table}, step).status().message();
  };
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = {{AggregateKind::kSum, "y", "sum"}};
  EXPECT_EQ(message(step), "no column named 'y'; there are 'k', 's'");
  step.aggregates = {{AggregateKind::kSum, "s", "sum"}};
  EXPECT_EQ(message(step), "sum(s) cannot be computed: column 's' has type string");
  step.aggregates = {{AggregateKind::kCount, "", "k"}};
  EXPECT_EQ(message(step), "the aggregation would have two columns named 'k'");
}

TEST_F(AggregateTest, ASumThatOverflowsIsAnError) {
  arrow::Int64Builder values;
  ASSERT_TRUE(values.AppendValues({INT64_MAX, 1}).ok());
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}), {*values.Finish()});
  AggregateStep step;
  step.aggregates = {{AggregateKind::kSum, "x", "sum"}};
  const auto result = FoldWhole({table}, step);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(),
            "sum(x) does not fit into int64; cast the column to float64 first");
}

}  // namespace

}  // namespace headrace
