#include "headrace/data/consume/batcher.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <set>

#include "headrace/data/testing.h"

namespace headrace {
namespace {

using testing::NumbersTable;

// Adds each block, taking what batches there are after each, and then the rest.
std::vector<Block> RunBatcher(BatcherOptions options, const std::vector<Block>& blocks) {
  auto batcher = Batcher::Make(options);
  std::vector<Block> batches;
  auto take = [&] {
    while (auto batch = batcher->Next().ValueOrDie()) batches.push_back(*batch);
  };
  for (const Block& block : blocks) {
    batcher->Add(block);
    take();
  }
  batcher->Finish();
  take();
  return batches;
}

std::vector<std::int64_t> ValuesOf(const std::vector<Block>& batches) {
  std::vector<std::int64_t> values;
  for (const Block& batch : batches) {
    for (std::int64_t row = 0; row < batch.num_rows(); ++row) {
      values.push_back(testing::Int(*batch.table(), "x", row));
    }
  }
  return values;
}

std::vector<std::int64_t> Upto(std::int64_t n) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(i);
  return values;
}

TEST(Batcher, SlicesAndJoinsToExactSizes) {
  auto batches =
      RunBatcher({.batch_rows = 4},
                 {Block(NumbersTable(0, 6)), Block(NumbersTable(6, 0)), Block(NumbersTable(6, 5))});
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[0].num_rows(), 4);
  EXPECT_EQ(batches[1].num_rows(), 4);
  EXPECT_EQ(batches[2].num_rows(), 3);
  EXPECT_EQ(batches[1].table()->column(0)->num_chunks(), 1);
  EXPECT_EQ(ValuesOf(batches), Upto(11));
}

TEST(Batcher, SliceOfOneBlockIsNoCopy) {
  auto table = NumbersTable(0, 8);
  auto batches = RunBatcher({.batch_rows = 4}, {Block(table)});
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[1].table()->column(0)->chunk(0)->data()->buffers[1],
            table->column(0)->chunk(0)->data()->buffers[1]);
}

TEST(Batcher, DropsTheLast) {
  auto batches = RunBatcher({.batch_rows = 4, .drop_last = true}, {Block(NumbersTable(0, 7))});
  ASSERT_EQ(batches.size(), 1u);
}

TEST(Batcher, WholeBlocksWithoutASize) {
  auto batches = RunBatcher({}, {Block(NumbersTable(0, 7)), Block(NumbersTable(7, 2))});
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].num_rows(), 7);
}

TEST(Batcher, NoRowsGiveOneBatchForTheSchema) {
  auto batches =
      RunBatcher({.batch_rows = 4}, {Block(NumbersTable(0, 0)), Block(NumbersTable(0, 0))});
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].num_rows(), 0);
  EXPECT_TRUE(RunBatcher({.batch_rows = 4}, {}).empty());
}

TEST(Batcher, ShuffleKeepsAllRowsAndDependsOnSeedOnly) {
  std::vector<Block> blocks;
  for (int i = 0; i < 20; ++i) blocks.emplace_back(NumbersTable(i * 10, 10));
  const BatcherOptions options{.batch_rows = 7, .shuffle_min_rows = 50, .shuffle_seed = 3};
  auto first = RunBatcher(options, blocks);
  for (std::size_t i = 0; i + 1 < first.size(); ++i) EXPECT_EQ(first[i].num_rows(), 7);
  auto values = ValuesOf(first);
  EXPECT_EQ(values, ValuesOf(RunBatcher(options, blocks)));
  BatcherOptions other = options;
  other.shuffle_seed = 4;
  EXPECT_NE(values, ValuesOf(RunBatcher(other, blocks)));
  EXPECT_NE(values, Upto(200));
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, Upto(200));
}

TEST(Batcher, ShuffleWaitsForItsMinimum) {
  auto batcher = Batcher::Make({.batch_rows = 5, .shuffle_min_rows = 100});
  batcher->Add(Block(NumbersTable(0, 104)));
  EXPECT_FALSE(batcher->Next().ValueOrDie().has_value());
  batcher->Add(Block(NumbersTable(104, 200)));
  EXPECT_TRUE(batcher->Next().ValueOrDie().has_value());
  EXPECT_EQ(batcher->buffered_rows(), 299);
}

}  // namespace
}  // namespace headrace
