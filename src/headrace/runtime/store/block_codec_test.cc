#include "headrace/runtime/store/block_codec.h"

#include <arrow/api.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

namespace headrace {
namespace {

using arrow::field;

std::shared_ptr<Arena> MakeArena() { return Arena::Make({.size = 256 << 20}).ValueOrDie(); }

std::shared_ptr<arrow::Array> Json(const std::shared_ptr<arrow::DataType>& type,
                                   const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

/// One array of 9 rows of each kind of type.
std::vector<std::shared_ptr<arrow::Array>> Samples() {
  std::vector<std::shared_ptr<arrow::Array>> samples;
  auto add = [&](const std::shared_ptr<arrow::DataType>& type, const std::string& json) {
    samples.push_back(Json(type, json));
  };
  add(arrow::int64(), "[1,2,null,4,5,6,7,8,9]");
  add(arrow::boolean(), "[true,false,null,true,true,false,null,true,false]");
  add(arrow::null(), "[null,null,null,null,null,null,null,null,null]");
  const std::string strings = R"(["a","",null,"dd","eee","ffff","a long one, over 12","h","i"])";
  add(arrow::utf8(), strings);
  add(arrow::large_binary(), strings);
  add(arrow::utf8_view(), strings);
  const std::string lists = "[[1],[],null,[4,null],[5,6],[7],[],[8,9,10],[11]]";
  add(arrow::list(arrow::int32()), lists);
  add(arrow::large_list(arrow::int32()), lists);
  add(arrow::list_view(arrow::int32()), lists);
  add(arrow::list(arrow::utf8()), R"([["x"],[],null,["yy",null],["z"],["w"],[],["v","u"],["t"]])");
  add(arrow::fixed_size_list(arrow::int16(), 2),
      "[[1,2],[3,4],null,[5,6],[7,8],[9,10],[11,12],[13,14],[15,null]]");
  add(arrow::struct_({field("a", arrow::int8()), field("b", arrow::utf8())}),
      R"([[1,"p"],[2,null],null,[4,"s"],[5,"t"],[6,"u"],[7,"v"],[8,"w"],[9,"x"]])");
  add(arrow::map(arrow::utf8(), arrow::int32()),
      R"([[["a",1]],[],null,[["b",2],["c",3]],[],[],[["d",4]],[],[["e",5]]])");
  add(arrow::fixed_size_binary(3), R"(["abc","def",null,"ghi","jkl","mno","pqr","stu","vwx"])");
  add(arrow::decimal128(10, 2),
      R"(["1.00","2.00",null,"4.00","5.00","6.00","7.00","8.00","9.00"])");
  add(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), "[1,2,null,4,5,6,7,8,9]");
  samples.push_back(
      arrow::DictionaryArray::FromArrays(arrow::dictionary(arrow::int8(), arrow::utf8()),
                                         Json(arrow::int8(), "[0,1,null,1,0,2,2,1,0]"),
                                         Json(arrow::utf8(), R"(["red","green","blue"])"))
          .ValueOrDie());
  auto tensor = arrow::extension::fixed_shape_tensor(arrow::float32(), {2});
  auto storage = Json(arrow::fixed_size_list(arrow::float32(), 2),
                      "[[1,2],[3,4],[0,0],[5,6],[7,8],[9,10],[11,12],[13,14],[15,16]]");
  samples.push_back(arrow::ExtensionType::WrapArray(tensor, storage));
  add(arrow::sparse_union({field("i", arrow::int32()), field("s", arrow::utf8())}),
      R"([[0,1],[1,"b"],[0,null],[0,4],[1,"e"],[1,"f"],[0,7],[0,8],[1,"i"]])");
  return samples;
}

std::shared_ptr<arrow::Table> SampleTable() {
  arrow::FieldVector fields;
  std::vector<std::shared_ptr<arrow::ChunkedArray>> columns;
  for (const auto& array : Samples()) {
    fields.push_back(field("c" + std::to_string(fields.size()), array->type(), true,
                           arrow::key_value_metadata({"key"}, {"value"})));
    columns.push_back(
        std::make_shared<arrow::ChunkedArray>(arrow::ArrayVector{array, array->Slice(3, 5)}));
  }
  return arrow::Table::Make(arrow::schema(fields), columns, 14);
}

std::shared_ptr<arrow::Table> RoundTrip(const std::shared_ptr<arrow::Table>& table, Arena& arena,
                                        std::shared_ptr<const void> hold = nullptr) {
  EXPECT_TRUE(LiesIn(*table, arena));
  auto layout = EncodeLayout(*table, arena).ValueOrDie();
  auto schema = DecodeSchema(EncodeSchema(*table->schema()).ValueOrDie()).ValueOrDie();
  EXPECT_TRUE(schema->Equals(*table->schema(), true));
  auto view = ArenaView::Map(1, ::dup(arena.descriptor()), arena.size()).ValueOrDie();
  auto shared_layout = std::make_shared<const std::string>(layout);
  return DecodeLayout({view, shared_layout, schema, std::move(hold)}).ValueOrDie();
}

TEST(BlockCodecTest, EveryTypeCrossesWholeAndSliced) {
  auto arena = MakeArena();
  auto table = SampleTable();
  for (std::int64_t begin = 0; begin <= 14; ++begin) {
    for (std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{5}, 14 - begin}) {
      auto slice = table->Slice(begin, count);
      auto moved = MoveToArena(slice, *arena).ValueOrDie();
      auto back = RoundTrip(moved, *arena);
      ASSERT_TRUE(back->ValidateFull().ok()) << back->ValidateFull().ToString();
      ASSERT_TRUE(back->Equals(*slice, true)) << "rows from " << begin << " count " << count;
    }
  }
  EXPECT_EQ(arena->pool()->bytes_allocated(), 0);
}

TEST(BlockCodecTest, WhatLiesInTheArenaIsNotCopied) {
  auto arena = MakeArena();
  arrow::Int64Builder builder(arena->pool());
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(builder.Append(i).ok());
  auto array = builder.Finish().ValueOrDie();
  auto table = arrow::Table::Make(arrow::schema({field("x", arrow::int64())}), {array});
  const auto before = arena->pool()->total_bytes_allocated();
  EXPECT_EQ(MoveToArena(table, *arena).ValueOrDie(), table);
  auto back = RoundTrip(table->Slice(10, 50'000), *arena);
  EXPECT_EQ(arena->pool()->total_bytes_allocated(), before);
  EXPECT_TRUE(back->Equals(*table->Slice(10, 50'000)));
}

TEST(BlockCodecTest, OfASliceOnlyItsRowsAreCopied) {
  auto arena = MakeArena();
  arrow::StringBuilder builder;
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(builder.Append("some text of a row").ok());
  auto table = arrow::Table::Make(arrow::schema({field("x", arrow::utf8())}),
                                  {builder.Finish().ValueOrDie()});
  auto moved = MoveToArena(table->Slice(50'000, 100), *arena).ValueOrDie();
  EXPECT_LT(arena->pool()->bytes_allocated(), 4'000);
  EXPECT_TRUE(moved->Equals(*table->Slice(50'000, 100)));
}

TEST(BlockCodecTest, ALargeRowBeforeASliceIsNotCopied) {
  arrow::BinaryBuilder builder;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(builder.Append(i == 2 ? std::string(8 << 20, 'x') : "small").ok());
  }
  const auto values = builder.Finish().ValueOrDie();
  const auto rows = arrow::Table::Make(arrow::schema({field("v", values->type())}), {values});
  for (int begin = 3; begin < 10; ++begin) {
    auto arena = MakeArena();
    const auto slice = rows->Slice(begin, 1);
    const auto moved = MoveToArena(slice, *arena).ValueOrDie();
    EXPECT_TRUE(moved->Equals(*slice));
    EXPECT_TRUE(moved->ValidateFull().ok());
    EXPECT_LT(arena->used_bytes(), 1 << 20) << begin;
  }
}

TEST(BlockCodecTest, ATableWithoutColumnsKeepsItsRows) {
  auto arena = MakeArena();
  auto table = arrow::Table::Make(arrow::schema(arrow::FieldVector{}),
                                  std::vector<std::shared_ptr<arrow::ChunkedArray>>{}, 77);
  EXPECT_EQ(RoundTrip(table, *arena)->num_rows(), 77);
}

TEST(BlockCodecTest, TheLastBufferDropsTheHold) {
  auto arena = MakeArena();
  auto table = MoveToArena(SampleTable(), *arena).ValueOrDie();
  std::atomic<bool> dropped{false};
  std::shared_ptr<const void> hold(&dropped, [](std::atomic<bool>* flag) { *flag = true; });
  auto back = RoundTrip(table, *arena, std::move(hold));
  auto column = back->column(3)->chunk(0);
  back.reset();
  EXPECT_FALSE(dropped);
  column.reset();
  EXPECT_TRUE(dropped);
}

TEST(BlockCodecTest, ABrokenLayoutIsAnError) {
  auto arena = MakeArena();
  auto table = MoveToArena(SampleTable(), *arena).ValueOrDie();
  auto layout = EncodeLayout(*table, *arena).ValueOrDie();
  for (std::size_t size = 0; size < layout.size(); size += 7) {
    auto cut = std::make_shared<const std::string>(layout.substr(0, size));
    EXPECT_FALSE(DecodeLayout({arena, cut, table->schema(), nullptr}).ok());
  }
  EXPECT_FALSE(EncodeLayout(*SampleTable(), *arena).ok());
}

}  // namespace
}  // namespace headrace
