#include "headrace/block/block.h"

#include <arrow/api.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/util/byte_size.h>
#include <gtest/gtest.h>

namespace headrace {
namespace {

std::shared_ptr<arrow::Table> OneColumn(const std::shared_ptr<arrow::Array>& array) {
  return arrow::Table::Make(arrow::schema({arrow::field("x", array->type())}), {array});
}

std::shared_ptr<arrow::Array> FromJson(const std::shared_ptr<arrow::DataType>& type,
                                       const std::vector<std::string>& texts) {
  auto builder = *arrow::MakeBuilder(type);
  for (const std::string& text : texts) {
    auto scalar = arrow::Scalar::Parse(type, text);
    EXPECT_TRUE((scalar.ok() ? builder->AppendScalar(**scalar) : builder->AppendNull()).ok());
  }
  return *builder->Finish();
}

// Arrow counts the bytes that the rows refer to, as we do but slowly.
void ExpectAsArrow(const std::shared_ptr<arrow::Array>& array) {
  const auto table = OneColumn(array);
  EXPECT_EQ(MeasureBytes(*table), *arrow::util::ReferencedBufferSize(*table))
      << array->type()->ToString() << " " << array->length();
}

TEST(MeasureBytes, AsArrowCounts) {
  for (const auto& type : {arrow::int8(), arrow::int64(), arrow::float64(), arrow::date32()}) {
    const auto numbers = FromJson(type, {"1", "2", "3", "4", "5", "6", "7", "8", "9"});
    ExpectAsArrow(numbers);
    ExpectAsArrow(numbers->Slice(8, 1));
    ExpectAsArrow(FromJson(type, {"1", "no number", "3"}));
  }
  for (const auto& type : {arrow::utf8(), arrow::large_utf8(), arrow::binary()}) {
    const auto words = FromJson(type, {"a", "bc", "", "defghi"});
    ExpectAsArrow(words);
    ExpectAsArrow(words->Slice(1, 2));
    ExpectAsArrow(words->Slice(4, 0));
  }
  ExpectAsArrow(FromJson(arrow::boolean(), {"true", "false", "true"}));
  ExpectAsArrow(FromJson(arrow::dictionary(arrow::int8(), arrow::utf8()), {"a", "b", "a"}));
  ExpectAsArrow(std::make_shared<arrow::NullArray>(5));
}

TEST(MeasureBytes, NestedRowsCountTheirOwn) {
  auto values = std::make_shared<arrow::Int64Builder>();
  arrow::ListBuilder lists(arrow::default_memory_pool(), values);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(lists.Append().ok());
    for (int j = 0; j < i; ++j) EXPECT_TRUE(values->Append(j).ok());
  }
  const auto array = *lists.Finish();
  ExpectAsArrow(array);
  ExpectAsArrow(array->Slice(3, 4));

  const auto numbers = FromJson(arrow::int64(), {"1", "2", "3", "4", "5", "6", "7", "8"});
  const auto pairs = *arrow::FixedSizeListArray::FromArrays(numbers, 2);
  EXPECT_EQ(MeasureBytes(*OneColumn(pairs)), 64);
  EXPECT_EQ(MeasureBytes(*OneColumn(pairs->Slice(1, 2))), 32);
  const auto structs = *arrow::StructArray::Make(arrow::ArrayVector{numbers, numbers},
                                                 std::vector<std::string>{"a", "b"});
  EXPECT_EQ(MeasureBytes(*OneColumn(structs)), 128);
  EXPECT_EQ(MeasureBytes(*OneColumn(structs->Slice(2, 3))), 48);

  const auto tensor = arrow::extension::fixed_shape_tensor(arrow::int64(), {2});
  EXPECT_EQ(MeasureBytes(*OneColumn(arrow::ExtensionType::WrapArray(tensor, pairs))), 64);
}

TEST(Block, ASliceCountsItsRows) {
  const Block block(OneColumn(FromJson(arrow::int64(), {"1", "2", "3", "4"})));
  EXPECT_EQ(block.num_bytes(), 32);
  EXPECT_EQ(block.Slice(1, 3).num_bytes(), 16);
  EXPECT_EQ(block.Slice(2, 2).num_bytes(), 0);
}

}  // namespace
}  // namespace headrace
