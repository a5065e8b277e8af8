#include "headrace/block/block_builder.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "headrace/base/rng.h"

namespace headrace {
namespace {

// A table of column "x": numbers from `first`, `rows` of them; 8 bytes a row.
std::shared_ptr<arrow::Table> Numbers(std::int64_t first, std::int64_t rows) {
  arrow::Int64Builder builder;
  for (std::int64_t i = 0; i < rows; ++i) EXPECT_TRUE(builder.Append(first + i).ok());
  return arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}),
                            {*builder.Finish()});
}

std::vector<ShapedBlock> Drain(BlockBuilder* builder) {
  std::vector<ShapedBlock> blocks;
  while (builder->has_next()) blocks.push_back(builder->Next());
  return blocks;
}

std::int64_t ValueAt(const arrow::Table& table, std::int64_t row) {
  return std::static_pointer_cast<arrow::Int64Scalar>(*table.column(0)->GetScalar(row))->value;
}

TEST(BlockBuilder, JoinsSmallPiecesUntilTheMinimum) {
  BlockBuilder builder(/*target_min_bytes=*/80, /*target_max_bytes=*/1000);
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 4))).ok());
  EXPECT_FALSE(builder.has_next());
  ASSERT_TRUE(builder.Add(Block(Numbers(4, 6))).ok());
  ASSERT_TRUE(builder.has_next());
  ShapedBlock block = builder.Next();
  EXPECT_EQ(block.block.num_rows(), 10);
  EXPECT_EQ(block.block.num_bytes(), 80);
  EXPECT_EQ(block.block.table()->column(0)->num_chunks(), 2);
}

TEST(BlockBuilder, SplitsOnlyOverOneAndAHalfTimesTheMaximum) {
  BlockBuilder builder(1, 80);
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 15))).ok());  // 120 bytes: exactly 1.5 times.
  ASSERT_EQ(Drain(&builder).size(), 1u);
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 16))).ok());
  auto blocks = Drain(&builder);
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].block.num_rows(), 10);
  EXPECT_EQ(blocks[1].block.num_rows(), 6);
}

TEST(BlockBuilder, NeverSplitsARow) {
  arrow::StringBuilder strings;
  for (int size : {1000, 1, 1, 1000}) ASSERT_TRUE(strings.Append(std::string(size, 'a')).ok());
  auto table =
      arrow::Table::Make(arrow::schema({arrow::field("s", arrow::utf8())}), {*strings.Finish()});
  BlockBuilder builder(1, 50);
  ASSERT_TRUE(builder.Add(Block(table)).ok());
  auto blocks = Drain(&builder);
  std::int64_t rows = 0;
  for (const auto& block : blocks) rows += block.block.num_rows();
  EXPECT_EQ(rows, 4);
  for (const auto& block : blocks) {
    EXPECT_TRUE(block.block.num_rows() == 1 || block.block.num_bytes() <= 75);
  }
}

TEST(BlockBuilder, KeepsTheSchemaOfNoRows) {
  BlockBuilder builder(1, 50);
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 0))).ok());
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 0))).ok());
  ASSERT_TRUE(builder.Finish().ok());
  auto blocks = Drain(&builder);
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(blocks[0].block.table()->schema()->field(0)->name(), "x");
  EXPECT_EQ(blocks[0].block.num_rows(), 0);
}

TEST(BlockBuilder, CountsRowsWithoutColumns) {
  BlockBuilder builder(1 << 20, 1 << 27);
  auto empty = arrow::schema(arrow::FieldVector{});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        builder.Add(Block(arrow::Table::Make(empty, arrow::ChunkedArrayVector{}, 7), -1)).ok());
  }
  ASSERT_TRUE(builder.Finish().ok());
  ASSERT_TRUE(builder.has_next());
  EXPECT_EQ(builder.Next().block.num_rows(), 21);
}

TEST(BlockBuilder, CompactsManyTinyPieces) {
  BlockBuilder builder(1 << 20, 1 << 27);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(builder.Add(Block(Numbers(i, 1))).ok());
  ASSERT_TRUE(builder.Finish().ok());
  ShapedBlock block = builder.Next();
  EXPECT_EQ(block.block.table()->column(0)->num_chunks(), 1);
  EXPECT_EQ(ValueAt(*block.block.table(), 99), 99);
}

TEST(BlockBuilder, JoinsWhatUnifies) {
  auto named = [](const char* name) { return *Numbers(0, 2)->RenameColumns({name}); };
  BlockBuilder builder(1 << 20, 1 << 27);
  ASSERT_TRUE(builder.Add(Block(named("a"))).ok());
  ASSERT_TRUE(builder.Add(Block(named("b"))).ok());
  ASSERT_TRUE(builder.Finish().ok());
  auto blocks = Drain(&builder);
  ASSERT_EQ(blocks.size(), 1u);
  const auto& table = blocks[0].block.table();
  EXPECT_EQ(table->num_rows(), 4);
  EXPECT_EQ(table->GetColumnByName("a")->null_count(), 2);
  EXPECT_EQ(table->GetColumnByName("b")->null_count(), 2);
}

TEST(BlockBuilder, DoesNotJoinTypesThatDoNotUnify) {
  auto flags = arrow::Table::Make(arrow::schema({arrow::field("x", arrow::boolean())}),
                                  {*arrow::MakeArrayOfNull(arrow::boolean(), 3)});
  BlockBuilder builder(1 << 20, 1 << 27);
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 2))).ok());
  ASSERT_TRUE(builder.Add(Block(flags)).ok());
  ASSERT_TRUE(builder.Finish().ok());
  EXPECT_EQ(Drain(&builder).size(), 2u);
}

TEST(BlockBuilder, JoinsNullColumnsWithTyped) {
  auto nulls = arrow::Table::Make(arrow::schema({arrow::field("x", arrow::null())}),
                                  {std::make_shared<arrow::NullArray>(3)});
  BlockBuilder builder(1 << 20, 1 << 27);
  ASSERT_TRUE(builder.Add(Block(nulls)).ok());
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 2))).ok());
  ASSERT_TRUE(builder.Finish().ok());
  auto blocks = Drain(&builder);
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(blocks[0].block.num_rows(), 5);
  EXPECT_TRUE(blocks[0].block.table()->schema()->field(0)->type()->Equals(*arrow::int64()));
}

TEST(BlockBuilder, MergesFiles) {
  auto a = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"a"});
  auto ab = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"a", "b"});
  BlockBuilder builder(1 << 20, 1 << 27);
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 1)), a).ok());
  ASSERT_TRUE(builder.Add(Block(Numbers(0, 1)), ab).ok());
  ASSERT_TRUE(builder.Finish().ok());
  EXPECT_EQ(*builder.Next().files, (std::vector<std::string>{"a", "b"}));
}

// Random pieces: every row once and in order, no block over 1.5 times the maximum unless it is
// one row, none below the minimum except where the next would not have fitted or at the end.
TEST(BlockBuilder, HoldsItsInvariantsOnRandomPieces) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    const auto min_bytes = static_cast<std::int64_t>(rng.Below(400));
    const auto max_bytes = min_bytes + 1 + static_cast<std::int64_t>(rng.Below(2000));
    const std::int64_t limit = max_bytes + max_bytes / 2;
    BlockBuilder builder(min_bytes, max_bytes);
    std::vector<ShapedBlock> blocks;
    std::int64_t total = 0;
    for (std::uint64_t pieces = rng.Below(40); pieces > 0; --pieces) {
      const auto rows =
          static_cast<std::int64_t>(rng.Chance(0.1) ? rng.Below(2000) : rng.Below(20));
      ASSERT_TRUE(builder.Add(Block(Numbers(total, rows))).ok());
      total += rows;
      for (auto& block : Drain(&builder)) blocks.push_back(block);
    }
    ASSERT_TRUE(builder.Finish().ok());
    for (auto& block : Drain(&builder)) blocks.push_back(block);
    std::int64_t row = 0;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Block& block = blocks[i].block;
      EXPECT_EQ(block.num_bytes(), MeasureBytes(*block.table())) << "seed " << seed;
      EXPECT_TRUE(block.num_rows() == 1 || block.num_bytes() <= limit) << "seed " << seed;
      if (i + 1 < blocks.size() && block.num_bytes() < min_bytes) {
        EXPECT_GT(block.num_bytes() + 16000, limit) << "seed " << seed;
      }
      for (std::int64_t r = 0; r < block.num_rows(); ++r) {
        ASSERT_EQ(ValueAt(*block.table(), r), row++) << "seed " << seed;
      }
    }
    EXPECT_EQ(row, total) << "seed " << seed;
  }
}

}  // namespace
}  // namespace headrace
