#include "headrace/block/unify.h"

#include <arrow/api.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <gtest/gtest.h>

#include "headrace/block/block_builder.h"

namespace headrace {
namespace {

using TypePtr = std::shared_ptr<arrow::DataType>;
using arrow::extension::fixed_shape_tensor;
using arrow::extension::variable_shape_tensor;

std::string Both(const TypePtr& a, const TypePtr& b) {
  const TypePtr both = UnifyTypes(a, b);
  const TypePtr other = UnifyTypes(b, a);
  EXPECT_EQ(both == nullptr, other == nullptr);
  if (!both) return "none";
  EXPECT_TRUE(both->Equals(*other)) << both->ToString() << " and " << other->ToString();
  return both->ToString();
}

std::shared_ptr<arrow::Array> Text(const std::vector<std::optional<std::string>>& values,
                                   const TypePtr& type = arrow::utf8()) {
  arrow::StringBuilder builder;
  for (const auto& value : values) {
    EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
  }
  return PromoteArray(builder.Finish().ValueOrDie(), type, nullptr).ValueOrDie();
}

template <class Builder, class Value>
std::shared_ptr<arrow::Array> Numbers(const std::vector<Value>& values) {
  Builder builder;
  for (const auto value : values) EXPECT_TRUE(builder.Append(value).ok());
  return builder.Finish().ValueOrDie();
}

std::shared_ptr<arrow::Array> Coded(const std::vector<std::optional<int>>& codes,
                                    const std::vector<std::optional<std::string>>& values) {
  arrow::Int8Builder builder;
  for (const auto& code : codes) {
    const auto added =
        code ? builder.Append(static_cast<std::int8_t>(*code)) : builder.AppendNull();
    EXPECT_TRUE(added.ok());
  }
  return arrow::DictionaryArray::FromArrays(builder.Finish().ValueOrDie(), Text(values))
      .ValueOrDie();
}

std::shared_ptr<arrow::Table> Column(const std::shared_ptr<arrow::Array>& values) {
  return arrow::Table::Make(arrow::schema({arrow::field("k", values->type())}), {values});
}

std::vector<std::optional<std::string>> Values(const arrow::Table& table) {
  std::vector<std::optional<std::string>> all;
  for (const auto& chunk : table.column(0)->chunks()) {
    for (std::int64_t i = 0; i < chunk->length(); ++i) {
      auto value = chunk->GetScalar(i).ValueOrDie();
      if (value->type->id() == arrow::Type::DICTIONARY) {
        value = static_cast<const arrow::DictionaryScalar&>(*value).GetEncodedValue().ValueOrDie();
      }
      all.push_back(value->is_valid ? std::optional(value->ToString()) : std::nullopt);
    }
  }
  return all;
}

Result<Block> Join(const std::vector<std::shared_ptr<arrow::Array>>& columns,
                   const std::vector<FileList>& files = {}) {
  std::vector<Block> blocks;
  for (const auto& column : columns) blocks.emplace_back(Column(column));
  return JoinBlocks(blocks, nullptr, files);
}

TEST(UnifyTest, Types) {
  EXPECT_EQ(Both(arrow::int32(), arrow::float64()), "double");
  EXPECT_EQ(Both(arrow::null(), arrow::date32()), "date32[day]");
  EXPECT_EQ(Both(arrow::utf8(), arrow::int8()), "none");
  EXPECT_EQ(Both(arrow::utf8_view(), arrow::utf8()), "large_string");
  EXPECT_EQ(Both(arrow::utf8_view(), arrow::binary()), "large_binary");
  EXPECT_EQ(
      Both(arrow::timestamp(arrow::TimeUnit::SECOND), arrow::timestamp(arrow::TimeUnit::NANO)),
      "timestamp[ns]");
  EXPECT_EQ(Both(arrow::decimal128(10, 2), arrow::decimal128(12, 3)), "decimal128(12, 3)");
  EXPECT_EQ(Both(arrow::decimal128(9, 2), arrow::int32()), "decimal128(12, 2)");
  EXPECT_EQ(Both(arrow::list(arrow::int8()), arrow::large_list(arrow::float32())),
            "large_list<item: float>");
  EXPECT_EQ(
      Both(arrow::fixed_size_list(arrow::int8(), 2), arrow::fixed_size_list(arrow::int8(), 3)),
      "list<item: int8>");
  EXPECT_EQ(Both(arrow::struct_({arrow::field("a", arrow::int8())}),
                 arrow::struct_({arrow::field("a", arrow::utf8())})),
            "none");
  EXPECT_EQ(UnifyTypes(arrow::struct_({arrow::field("a", arrow::int8())}),
                       arrow::struct_(
                           {arrow::field("b", arrow::int8()), arrow::field("a", arrow::int16())}))
                ->ToString(),
            "struct<a: int16, b: int8>");
  EXPECT_EQ(
      Both(arrow::map(arrow::utf8(), arrow::int8()), arrow::map(arrow::utf8(), arrow::int32())),
      "map<string, int32>");
}

TEST(UnifyTest, DictionariesAndTheirValues) {
  const auto narrow = arrow::dictionary(arrow::int8(), arrow::utf8());
  EXPECT_EQ(Both(narrow, narrow), narrow->ToString());
  EXPECT_EQ(Both(narrow, arrow::dictionary(arrow::int32(), arrow::utf8())),
            arrow::dictionary(arrow::int32(), arrow::utf8())->ToString());
  EXPECT_EQ(Both(narrow, arrow::utf8()), "string");
  EXPECT_EQ(Both(narrow, arrow::large_utf8()), "large_string");
  EXPECT_EQ(Both(narrow, arrow::int64()), "none");
}

TEST(UnifyTest, Tensors) {
  const auto flat = fixed_shape_tensor(arrow::int16(), {4});
  const auto square = fixed_shape_tensor(arrow::int16(), {2, 2});
  const auto wide = fixed_shape_tensor(arrow::float32(), {2, 3});
  EXPECT_EQ(Both(square, wide), variable_shape_tensor(arrow::float32(), 2)->ToString());
  EXPECT_EQ(Both(square, fixed_shape_tensor(arrow::int32(), {2, 2})),
            fixed_shape_tensor(arrow::int32(), {2, 2})->ToString());
  EXPECT_EQ(Both(flat, square), variable_shape_tensor(arrow::int16(), 2)->ToString());
  EXPECT_EQ(Both(variable_shape_tensor(arrow::int16(), 2), wide),
            variable_shape_tensor(arrow::float32(), 2)->ToString());
  EXPECT_EQ(Both(fixed_shape_tensor(arrow::int16(), {2, 2}, {1, 0}), wide), "none");
  EXPECT_EQ(Both(square, arrow::list(arrow::int16())), "none");
}

TEST(UnifyTest, CodesThatOutgrowTheirType) {
  std::vector<std::shared_ptr<arrow::Array>> columns;
  std::vector<std::optional<std::string>> expected;
  for (int block = 0; block < 3; ++block) {
    std::vector<std::optional<int>> codes;
    std::vector<std::optional<std::string>> values;
    for (int i = 0; i < 100; ++i) {
      codes.push_back(i);
      values.push_back(std::to_string(block * 50 + i));
      expected.push_back(values.back());
    }
    columns.push_back(Coded(codes, values));
  }
  const auto joined = Join(columns);
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_EQ(joined->table()->field(0)->type()->ToString(),
            arrow::dictionary(arrow::int32(), arrow::utf8())->ToString());
  EXPECT_EQ(Values(*joined->table()), expected);
  const auto one = JoinArrays(columns, nullptr);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(Values(*Column(*one)), expected);
}

TEST(UnifyTest, NullsWithinDictionaries) {
  const auto joined =
      Join({Coded({0, 1, std::nullopt}, {"a", std::nullopt}), Coded({1, 0}, {"b", "a"})});
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_EQ(joined->table()->field(0)->type()->ToString(),
            arrow::dictionary(arrow::int8(), arrow::utf8())->ToString());
  EXPECT_EQ(Values(*joined->table()),
            (std::vector<std::optional<std::string>>{"a", std::nullopt, std::nullopt, "a", "b"}));
  const auto plain =
      Join({Coded({0, 1}, {"a", std::nullopt}), Text({"b"}), Text({"c"}, arrow::utf8_view())});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(Values(*plain->table()),
            (std::vector<std::optional<std::string>>{"a", std::nullopt, "b", "c"}));
}

TEST(UnifyTest, DictionariesWithinStructs) {
  const auto wrap = [](const std::shared_ptr<arrow::Array>& values) {
    return arrow::StructArray::Make({values}, {"s"}).ValueOrDie();
  };
  const auto one =
      JoinArrays({wrap(Coded({0, 1}, {"a", std::nullopt})), wrap(Coded({0}, {"b"}))}, nullptr);
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_TRUE((*one)->ValidateFull().ok());
  EXPECT_EQ((*one)->length(), 3);
}

TEST(UnifyTest, TensorsOfTwoShapes) {
  const auto tensors = [](const TypePtr& type, int rows, int size) {
    std::vector<std::int16_t> values(static_cast<std::size_t>(rows * size));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int16_t>(i);
    const auto storage =
        arrow::FixedSizeListArray::FromArrays(Numbers<arrow::Int16Builder>(values), size);
    return arrow::ExtensionType::WrapArray(type, storage.ValueOrDie());
  };
  const auto joined = Join({tensors(fixed_shape_tensor(arrow::int16(), {2}), 3, 2)->Slice(1),
                            tensors(fixed_shape_tensor(arrow::int16(), {2, 2}), 1, 4)});
  ASSERT_TRUE(joined.ok()) << joined.status();
  const auto whole = joined->table()->CombineChunks().ValueOrDie();
  ASSERT_TRUE(whole->ValidateFull().ok());
  EXPECT_EQ(whole->field(0)->type()->ToString(),
            variable_shape_tensor(arrow::int16(), 2)->ToString());
  const auto& column = static_cast<const arrow::ExtensionArray&>(*whole->column(0)->chunk(0));
  const auto& storage = static_cast<const arrow::StructArray&>(*column.storage());
  const auto& shapes = static_cast<const arrow::FixedSizeListArray&>(*storage.field(1));
  EXPECT_EQ(shapes.values()->ToString(),
            Numbers<arrow::Int32Builder>(std::vector<int>{1, 2, 1, 2, 2, 2})->ToString());
  const auto& data = static_cast<const arrow::ListArray&>(*storage.field(0));
  EXPECT_EQ(data.value_slice(0)->ToString(),
            Numbers<arrow::Int16Builder>(std::vector<std::int16_t>{2, 3})->ToString());
  EXPECT_EQ(data.value_slice(2)->length(), 4);
}

TEST(UnifyTest, ErrorsNameColumnTypesAndFiles) {
  const auto file = [](const char* name) {
    return std::make_shared<const std::vector<std::string>>(1, name);
  };
  const auto numbers = Numbers<arrow::Int64Builder>(std::vector<std::int64_t>{1});
  const auto joined =
      Join({numbers, numbers, Text({"x"})}, {file("a.csv"), file("b.csv"), file("c.csv")});
  EXPECT_EQ(joined.status().ToString(),
            "Type error: column 'k' has type int64 in a.csv and type string in c.csv; cast it to "
            "one type");
  EXPECT_EQ(Join({numbers, Text({"x"})}).status().message(),
            "column 'k' has type int64 in some blocks and type string in others; cast it to one "
            "type");
  const auto huge = Numbers<arrow::Int64Builder>(std::vector<std::int64_t>{(1LL << 53) + 1});
  const auto real = Numbers<arrow::DoubleBuilder>(std::vector<double>{0.5});
  const std::string message = Join({huge, real}).status().message();
  EXPECT_EQ(message.find("column 'k' has type int64 in some blocks"), 0u) << message;
}

TEST(UnifyTest, ABlockWithoutRowsAdapts) {
  const auto joined = Join({Text({}), Numbers<arrow::Int64Builder>(std::vector<std::int64_t>{1})});
  ASSERT_TRUE(joined.ok()) << joined.status();
  EXPECT_EQ(joined->table()->field(0)->type()->ToString(), "int64");
}

TEST(UnifyTest, EqualSchemasStayTheSameObject) {
  const auto schema = arrow::schema({arrow::field("k", arrow::int64())});
  const auto equal = arrow::schema({arrow::field("k", arrow::int64())});
  EXPECT_EQ(UnifySchemas({schema, equal, schema})->get(), schema.get());
}

}  // namespace
}  // namespace headrace
