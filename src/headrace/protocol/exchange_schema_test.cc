#include "headrace/protocol/exchange_schema.h"

#include <arrow/type.h>
#include <gtest/gtest.h>

namespace headrace {

namespace {

using Fields = std::vector<std::pair<std::string, std::shared_ptr<arrow::DataType>>>;

std::shared_ptr<arrow::Schema> Schema(const Fields& columns) {
  arrow::FieldVector fields;
  for (const auto& [name, type] : columns) fields.push_back(arrow::field(name, type));
  return arrow::schema(fields);
}

// "name: type, …", or the error.
std::string Text(const Result<std::shared_ptr<arrow::Schema>>& schema) {
  if (!schema.ok()) return schema.status().ToString();
  std::string text;
  for (const auto& field : (*schema)->fields()) {
    text += (text.empty() ? "" : ", ") + field->name() + ": " + field->type()->ToString();
  }
  return text;
}

TEST(ExchangeSchemaTest, Aggregates) {
  const auto input = Schema({{"k", arrow::dictionary(arrow::int8(), arrow::utf8())},
                             {"i", arrow::int8()},
                             {"u", arrow::uint16()},
                             {"f", arrow::float32()},
                             {"b", arrow::boolean()},
                             {"d", arrow::decimal64(10, 3)},
                             {"t", arrow::date32()}});
  const auto one = [&](AggregateKind kind, const std::string& column, double parameter = 0) {
    AggregateStep step;
    step.aggregates = {{kind, column, "x", true, parameter}};
    return Text(AggregateSchema(step, *input));
  };
  EXPECT_EQ(one(AggregateKind::kCount, ""), "x: int64");
  EXPECT_EQ(one(AggregateKind::kSum, "i"), "x: int64");
  EXPECT_EQ(one(AggregateKind::kSum, "u"), "x: uint64");
  EXPECT_EQ(one(AggregateKind::kSum, "f"), "x: double");
  EXPECT_EQ(one(AggregateKind::kSum, "b"), "x: int64");
  EXPECT_EQ(one(AggregateKind::kSum, "d"), "x: decimal128(38, 3)");
  EXPECT_EQ(one(AggregateKind::kMin, "t"), "x: date32[day]");
  EXPECT_EQ(one(AggregateKind::kMax, "k"), "x: string");
  EXPECT_EQ(one(AggregateKind::kAbsMax, "f"), "x: float");
  EXPECT_EQ(one(AggregateKind::kMean, "d"), "x: double");
  EXPECT_EQ(one(AggregateKind::kUnique, "k"), "x: list<item: string>");
  EXPECT_EQ(one(AggregateKind::kCountDistinct, "t"), "x: int64");
  EXPECT_EQ(one(AggregateKind::kMissingShare, "k"), "x: double");
  EXPECT_EQ(one(AggregateKind::kMean, "t"),
            "Type error: mean(t) cannot be computed: column 't' has type date32[day]");
  EXPECT_EQ(one(AggregateKind::kMin, "none"),
            "Key error: no column named 'none'; there are 'k', 'i', 'u', 'f', 'b', 'd', 't'");
  EXPECT_EQ(one(AggregateKind::kQuantile, "i", 1.5),
            "Invalid: a quantile is between 0 and 1, not 1.500000");
  AggregateStep step;
  step.keys = {"k", "i"};
  step.aggregates = {{AggregateKind::kFirst, "f", "i"}};
  EXPECT_EQ(Text(AggregateSchema(step, *input)),
            "Invalid: the aggregation would have two columns named 'i'");
  step.aggregates[0].name = "first";
  EXPECT_EQ(Text(AggregateSchema(step, *input)),
            "k: dictionary<values=string, indices=int8, ordered=0>, i: int8, first: float");
}

TEST(ExchangeSchemaTest, Joins) {
  const auto left = Schema({{"v", arrow::int64()}, {"a", arrow::int32()}, {"z", arrow::utf8()}});
  const auto right = Schema({{"b", arrow::int64()}, {"v", arrow::float64()}, {"w", arrow::int8()}});
  const auto join = [&](JoinKind kind, const std::string& left_suffix = "_l",
                        const std::string& right_suffix = "_r") {
    return Text(JoinSchema({kind, {"a"}, {"b"}, left_suffix, right_suffix}, *left, *right));
  };
  const char* both = "v_l: int64, a: int64, z: string, v_r: double, w: int8";
  EXPECT_EQ(join(JoinKind::kInner), both);
  EXPECT_EQ(join(JoinKind::kLeftOuter), both);
  EXPECT_EQ(join(JoinKind::kFullOuter), both);
  EXPECT_EQ(join(JoinKind::kRightOuter), "v_l: int64, z: string, b: int64, v_r: double, w: int8");
  EXPECT_EQ(join(JoinKind::kLeftSemi, "", ""), "v: int64, a: int32, z: string");
  EXPECT_EQ(join(JoinKind::kRightAnti, "", ""), "b: int64, v: double, w: int8");
  EXPECT_EQ(join(JoinKind::kInner, "", "_r"),
            "v: int64, a: int64, z: string, v_r: double, w: int8");
  EXPECT_EQ(
      join(JoinKind::kInner, "", ""),
      "Invalid: both sides of the join have columns named 'v'; give a left or a right suffix");
  // A key keeps its name; a right column that is called like it makes way.
  EXPECT_EQ(Text(JoinSchema({JoinKind::kInner, {"a"}, {"b"}, "_l", "_r"},
                            *Schema({{"a", arrow::int8()}, {"b", arrow::int8()}}),
                            *Schema({{"b", arrow::int8()}, {"a", arrow::int8()}}))),
            "a: int8, b: int8, a_r: int8");
  EXPECT_EQ(Text(JoinSchema({JoinKind::kInner, {"a"}, {"q"}, "", ""}, *left, *right)),
            "Key error: no column named 'q' on the right; there are 'b', 'v', 'w'");
  EXPECT_EQ(Text(JoinSchema({JoinKind::kInner, {"z"}, {"v"}, "", ""}, *left, *right)),
            "Type error: keys of different types cannot be joined: left column 'z' is string, "
            "right column 'v' is double");
}

TEST(ExchangeSchemaTest, KeysAreComparedInTheWiderType) {
  const auto common = [](const auto& a, const auto& b) {
    const auto type = JoinKeyType(a, b);
    const auto other = JoinKeyType(b, a);
    EXPECT_EQ(type == nullptr, other == nullptr);
    EXPECT_TRUE(!type || type->Equals(*other));
    return type ? type->ToString() : "none";
  };
  EXPECT_EQ(common(arrow::int8(), arrow::int32()), "int32");
  EXPECT_EQ(common(arrow::uint8(), arrow::int8()), "int16");
  EXPECT_EQ(common(arrow::uint32(), arrow::int8()), "int64");
  EXPECT_EQ(common(arrow::uint64(), arrow::uint8()), "uint64");
  EXPECT_EQ(common(arrow::uint64(), arrow::int64()), "int64");
  EXPECT_EQ(common(arrow::float32(), arrow::float64()), "double");
  EXPECT_EQ(common(arrow::utf8(), arrow::large_utf8()), "large_string");
  EXPECT_EQ(common(arrow::utf8(), arrow::binary()), "binary");
  EXPECT_EQ(common(arrow::dictionary(arrow::int8(), arrow::utf8()), arrow::utf8()), "string");
  EXPECT_EQ(common(arrow::null(), arrow::date32()), "date32[day]");
  EXPECT_EQ(common(arrow::decimal128(10, 2), arrow::decimal256(5, 2)), "decimal256(10, 2)");
  EXPECT_EQ(common(arrow::decimal128(10, 2), arrow::decimal128(10, 3)), "decimal128(11, 3)");
  EXPECT_EQ(common(arrow::int32(), arrow::float64()), "double");
  EXPECT_EQ(common(arrow::utf8(), arrow::int8()), "none");
}

TEST(ExchangeSchemaTest, Zips) {
  EXPECT_EQ(Text(ZipSchema(*Schema({{"a", arrow::int8()}, {"a_1", arrow::int8()}}),
                           *Schema({{"a", arrow::utf8()}, {"b", arrow::utf8()}}))),
            "a: int8, a_1: int8, a_2: string, b: string");
}

}  // namespace

}  // namespace headrace
