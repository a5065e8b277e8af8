#include <arrow/api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "headrace/engine/dataset.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/store/object_store.h"

namespace headrace {
namespace {

using Numbers = std::vector<std::int64_t>;

Numbers Column(const Result<std::shared_ptr<arrow::Table>>& table, const std::string& name) {
  EXPECT_TRUE(table.ok()) << table.status();
  Numbers values;
  if (!table.ok()) return values;
  for (const auto& chunk : (*table)->GetColumnByName(name)->chunks()) {
    const auto& array = static_cast<const arrow::Int64Array&>(*chunk);
    for (std::int64_t i = 0; i < array.length(); ++i) values.push_back(array.Value(i));
  }
  return values;
}

Numbers Ids(const Dataset& dataset, const std::string& name = "id") {
  return Column(dataset.ToTable(), name);
}

Numbers IotaOf(std::int64_t begin, std::int64_t end) {
  Numbers ids(static_cast<std::size_t>(end - begin));
  std::iota(ids.begin(), ids.end(), begin);
  return ids;
}

Numbers Sorted(Numbers values) {
  std::sort(values.begin(), values.end());
  return values;
}

class DatasetExchangeTest : public ::testing::Test {
 protected:
  // Columns id, and g: id modulo 7.
  Dataset Rows(std::int64_t n) const {
    auto range = Dataset::Range(n, 9);
    EXPECT_TRUE(range.ok()) << range.status();
    return range->WithColumn("g", Col("id") - Col("id") / 7 * 7);
  }
  void TearDown() override {
    EXPECT_EQ((*Session::Default())->runtime().store().stats().objects, 0);
  }
};

TEST_F(DatasetExchangeTest, Sorts) {
  const Dataset sorted = Rows(1000).Sort({{"g", true}, {"id"}});
  Numbers expected = IotaOf(0, 1000);
  std::stable_sort(expected.begin(), expected.end(),
                   [](std::int64_t a, std::int64_t b) { return a % 7 > b % 7; });
  EXPECT_EQ(Ids(sorted), expected);
  expected.resize(10);
  EXPECT_EQ(Ids(sorted.Limit(10)), expected);
}

TEST_F(DatasetExchangeTest, ShufflesBySeed) {
  const Dataset rows = Rows(1000);
  const Numbers one = Ids(rows.RandomShuffle(1));
  EXPECT_EQ(Sorted(one), IotaOf(0, 1000));
  EXPECT_EQ(Ids(rows.RandomShuffle(1)), one);
  EXPECT_NE(Ids(rows.RandomShuffle(2)), one);
  EXPECT_NE(one, IotaOf(0, 1000));
}

TEST_F(DatasetExchangeTest, EachRunOfAnUnseededShuffleDiffers) {
  const Dataset shuffled = Rows(1000).RandomShuffle();
  EXPECT_NE(Ids(shuffled), Ids(shuffled));
}

TEST_F(DatasetExchangeTest, Repartitions) {
  const auto parts = Rows(100).Repartition({.blocks = 7, .keys = {}}).Materialize();
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(parts->plan()->As<logical::InputData>()->blocks.size(), 7u);
  EXPECT_EQ(Ids(*parts), IotaOf(0, 100));
  const Dataset keyed = Rows(100).Repartition({.blocks = 3, .keys = {"g"}});
  EXPECT_EQ(Sorted(Ids(keyed)), IotaOf(0, 100));
}

TEST_F(DatasetExchangeTest, Aggregates) {
  const Dataset folded = Rows(700).Aggregate(
      {"g"}, {{AggregateKind::kCount, "", "rows"}, {AggregateKind::kSum, "id", "sum"}});
  const auto table = folded.Sort({{"g"}}).ToTable();
  EXPECT_EQ(Column(table, "g"), IotaOf(0, 7));
  EXPECT_EQ(Column(table, "rows"), Numbers(7, 100));
  EXPECT_EQ(Column(table, "sum").front(), 7 * (99 * 100 / 2));
  EXPECT_EQ(Sorted(Ids(Rows(700).Unique("g"), "g")), IotaOf(0, 7));
  const Dataset all = Rows(0).Aggregate({}, {{AggregateKind::kCount, "", "rows"}});
  EXPECT_EQ(Ids(all, "rows"), Numbers{0});
}

TEST_F(DatasetExchangeTest, GivesWholeGroupsToFunctions) {
  const Dataset counted = Rows(700).Group({"g"}).MapBatches(
      [](std::shared_ptr<arrow::RecordBatch> batch) -> Result<std::shared_ptr<arrow::RecordBatch>> {
        const auto& keys = static_cast<const arrow::Int64Array&>(*batch->GetColumnByName("g"));
        arrow::Int64Builder sizes;
        for (std::int64_t begin = 0, end = 0; begin < keys.length(); begin = end) {
          while (end < keys.length() && keys.Value(end) == keys.Value(begin)) ++end;
          ARROW_RETURN_NOT_OK(sizes.Append(end - begin));
        }
        ARROW_ASSIGN_OR_RAISE(auto made, sizes.Finish());
        const std::int64_t rows = made->length();
        auto schema = arrow::schema({arrow::field("size", arrow::int64())});
        return arrow::RecordBatch::Make(std::move(schema), rows, {std::move(made)});
      });
  EXPECT_EQ(Ids(counted, "size"), Numbers(7, 100));
}

TEST_F(DatasetExchangeTest, Joins) {
  const Dataset right = Rows(3).RenameColumns({{"id", "key"}, {"g", "other"}});
  JoinStep join;
  join.left_keys = {"g"};
  join.right_keys = {"key"};
  EXPECT_EQ(Ids(Rows(70).Join(right, join)).size(), 30u);
  EXPECT_EQ(Ids(Rows(70).Join(right, join, 3)).size(), 30u);
  join.kind = JoinKind::kLeftAnti;
  EXPECT_EQ(Ids(Rows(70).Join(right, join)).size(), 40u);
}

TEST_F(DatasetExchangeTest, Zips) {
  const Dataset other = *Dataset::Range(100, 3);
  const auto table = Rows(100).Zip({other}).ToTable();
  EXPECT_EQ(Column(table, "id"), IotaOf(0, 100));
  EXPECT_EQ(Column(table, "id_1"), IotaOf(0, 100));
  EXPECT_FALSE(Rows(99).Zip({other}).ToTable().ok());
}

TEST_F(DatasetExchangeTest, Splits) {
  const auto parts = Rows(100).SplitAtIndices({10, 10, 60, 300});
  ASSERT_TRUE(parts.ok()) << parts.status();
  ASSERT_EQ(parts->size(), 5u);
  EXPECT_EQ(Ids((*parts)[0]), IotaOf(0, 10));
  EXPECT_EQ(*(*parts)[1].Count(), 0);
  EXPECT_EQ(Ids((*parts)[2]), IotaOf(10, 60));
  EXPECT_EQ(Ids((*parts)[3]), IotaOf(60, 100));
  EXPECT_FALSE(Rows(9).SplitAtIndices({5, 3}).ok());
  const auto thirds = Rows(100).Split(3);
  ASSERT_TRUE(thirds.ok()) << thirds.status();
  EXPECT_EQ(Ids((*thirds)[1]), IotaOf(33, 66));
  EXPECT_FALSE(Rows(9).Split(0).ok());
}

TEST_F(DatasetExchangeTest, MovesBlocks) {
  const Dataset moved = Rows(90).RandomizeBlockOrder(5);
  EXPECT_EQ(Sorted(Ids(moved)), IotaOf(0, 90));
  EXPECT_EQ(Ids(moved), Ids(moved));
}

}  // namespace
}  // namespace headrace
