#include <algorithm>
#include <map>

#include "headrace/data/exchange/testing.h"

namespace headrace {
namespace {

using testing::OrderByArrow;
using testing::Pull;
using testing::PullTable;
using testing::RandomTable;
using testing::RowsOf;
using testing::StreamOf;
using testing::TablePtr;

// Blocks of sorted runs, as a merge gets them.
struct Runs {
  std::vector<Block> blocks;
  std::vector<BlockIndex> indexes;
  std::vector<std::uint32_t> numbers;
};

// Sorts each piece, cuts each into blocks.
Runs MakeRuns(const std::vector<TablePtr>& pieces, const std::vector<SortKey>& keys, Rng* rng) {
  Runs runs;
  std::uint32_t number = 10;
  for (const TablePtr& piece : pieces) {
    number += 1 + static_cast<std::uint32_t>(rng->Below(3));
    const auto batches = Pull(MakeSortStream(StreamOf({piece}), {keys, -1}, {})).ValueOrDie();
    for (const Batch& batch : batches) {
      for (const TablePtr& part : testing::CutAtRandom(batch.block.table(), rng)) {
        runs.blocks.emplace_back(part);
        runs.numbers.push_back(number);
      }
      runs.indexes.push_back(*batch.index);
    }
  }
  return runs;
}

Runs MakeRuns(const TablePtr& table, const std::vector<SortKey>& keys, Rng* rng) {
  return MakeRuns(testing::CutAtRandom(table, rng), keys, rng);
}

std::vector<std::int64_t> Merge(const Runs& runs, std::optional<RunBound> low,
                                std::optional<RunBound> high, MergeStep step) {
  const KeyRange range{std::move(low), std::move(high), runs.numbers};
  return RowsOf(*PullTable(MakeMergeStream(runs.blocks, range, std::move(step), {})));
}

std::vector<std::shared_ptr<arrow::DataType>> SomeTypes(Rng* rng) {
  const auto all = testing::SortableTypes();
  std::vector<std::shared_ptr<arrow::DataType>> types;
  for (auto count = 1 + rng->Below(2); count > 0; --count)
    types.push_back(all[rng->Below(all.size())]);
  return types;
}

TEST(Merge, IsTheStableSortOfAllRows) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const auto types = SomeTypes(&rng);
    const auto table = RandomTable(types, static_cast<std::int64_t>(rng.Below(800)), 6, &rng);
    std::vector<SortKey> keys;
    for (std::size_t i = 0; i < types.size(); ++i) {
      keys.push_back({"k" + std::to_string(i), rng.Chance(0.5), rng.Chance(0.5)});
    }
    const Runs runs = MakeRuns(table, keys, &rng);
    const auto order = OrderByArrow(table, keys);
    ASSERT_EQ(Merge(runs, {}, {}, {keys, -1}), order) << table->schema()->ToString();
    const auto limit = static_cast<std::int64_t>(rng.Below(order.size() + 2));
    const auto kept = std::min<std::size_t>(order.size(), static_cast<std::size_t>(limit));
    ASSERT_EQ(Merge(runs, {}, {}, {keys, limit}),
              std::vector<std::int64_t>(order.begin(), order.begin() + static_cast<long>(kept)));
  }
}

TEST(Merge, IsTheStableSortAlsoOfVeryManyRuns) {
  Rng rng(3);
  for (int round = 0; round < 5; ++round) {
    const auto table = RandomTable(SomeTypes(&rng), 2000, 6, &rng);
    std::vector<TablePtr> pieces;
    for (std::int64_t row = 0; row < table->num_rows(); row += 2)
      pieces.push_back(table->Slice(row, 2));
    const std::vector<SortKey> keys{{"k0", rng.Chance(0.5), rng.Chance(0.5)}};
    ASSERT_EQ(Merge(MakeRuns(pieces, keys, &rng), {}, {}, {keys, -1}), OrderByArrow(table, keys));
  }
}

// Ranges between bounds from the indexes hold each row once, also where most keys are equal.
TEST(Merge, RangesPartitionTheRows) {
  Rng rng(2);
  for (int round = 0; round < 100; ++round) {
    const std::int64_t rows = 1 + static_cast<std::int64_t>(rng.Below(1000));
    auto table = RandomTable(SomeTypes(&rng), rows, 6, &rng);
    if (round % 2 == 0) {  // 90 % one key.
      const auto skewed = testing::MakeColumn<arrow::Int64Builder>(
          arrow::int64(), rows, 0, &rng, [&] { return rng.Chance(0.9) ? 5 : rng.Below(10); });
      table = arrow::Table::Make(
          arrow::schema({arrow::field("k0", arrow::int64()), arrow::field("row", arrow::int64())}),
          {std::make_shared<arrow::ChunkedArray>(skewed), table->GetColumnByName("row")});
    }
    const std::vector<SortKey> keys{{"k0", rng.Chance(0.5), rng.Chance(0.5)}};
    const Runs runs = MakeRuns(table, keys, &rng);
    std::vector<RunBound> bounds;
    for (const BlockIndex& index : runs.indexes) {
      if (index.keys.empty()) continue;
      bounds.push_back(
          {index.keys[rng.Below(index.keys.size())], runs.numbers[rng.Below(runs.numbers.size())] +
                                                         static_cast<std::uint32_t>(rng.Below(2))});
    }
    std::sort(bounds.begin(), bounds.end());
    std::vector<std::int64_t> all;
    for (std::size_t i = 0; i <= bounds.size(); ++i) {
      std::optional<RunBound> low;
      std::optional<RunBound> high;
      if (i > 0) low = bounds[i - 1];
      if (i < bounds.size()) high = bounds[i];
      const auto part = Merge(runs, low, high, {keys, -1});
      all.insert(all.end(), part.begin(), part.end());
    }
    ASSERT_EQ(all, OrderByArrow(table, keys)) << round;
  }
}

// More rows than one window has, of runs that overlap, that follow each other, and that are equal.
TEST(Merge, ManyRows) {
  Rng rng(3);
  const std::int64_t rows = 400000;
  for (const int kind : {0, 1, 2, 3}) {
    std::int64_t row = 0;
    const auto key = testing::MakeColumn<arrow::Int64Builder>(
        arrow::int64(), rows, 0, &rng, [&]() -> std::int64_t {
          ++row;
          if (kind == 0) return static_cast<std::int64_t>(rng.Below(1 << 30));
          if (kind == 1) return row;
          if (kind == 2) return -(row / 1000);
          return 1;
        });
    row = 0;
    const auto numbers = testing::MakeColumn<arrow::Int64Builder>(arrow::int64(), rows, 0, &rng,
                                                                  [&] { return row++; });
    const auto table = arrow::Table::Make(
        arrow::schema({arrow::field("k0", arrow::int64()), arrow::field("row", arrow::int64())}),
        {key, numbers});
    for (const std::int64_t count : {2, 7, 100}) {
      Runs runs;
      const std::int64_t each = rows / count + 1;
      for (std::int64_t begin = 0; begin < rows; begin += each) {
        const auto sorted =
            PullTable(MakeSortStream(StreamOf({table->Slice(begin, each)}), {{{"k0"}}, -1}, {}));
        runs.blocks.emplace_back(sorted->Slice(0, each / 3));
        runs.blocks.emplace_back(sorted->Slice(each / 3));
        runs.numbers.insert(runs.numbers.end(), 2, static_cast<std::uint32_t>(begin / each));
      }
      EXPECT_EQ(Merge(runs, {}, {}, {{{"k0"}}, -1}), OrderByArrow(table, {{"k0"}})) << kind;
    }
  }
}

TEST(Merge, WidthsOfKeysMayDiffer) {
  Rng rng(4);
  const auto narrow = RandomTable({arrow::int32()}, 50, 5, &rng);
  const auto wide = RandomTable({arrow::int64()}, 50, 5, &rng);
  std::vector<Block> blocks;
  for (const auto& table : {narrow, wide}) {
    blocks.emplace_back(PullTable(MakeSortStream(StreamOf({table}), {{{"k0"}}, -1}, {})));
  }
  const auto merged = PullTable(MakeMergeStream(blocks, std::nullopt, {{{"k0"}}, -1}, {}));
  EXPECT_EQ(merged->num_rows(), 100);
  EXPECT_TRUE(merged->schema()->field(0)->type()->Equals(arrow::int64()));
  blocks.emplace_back(PullTable(MakeSortStream(
      StreamOf({RandomTable({arrow::float32()}, 50, 5, &rng)}), {{{"k0"}}, -1}, {})));
  const auto floats = PullTable(MakeMergeStream(blocks, std::nullopt, {{{"k0"}}, -1}, {}));
  EXPECT_EQ(floats->num_rows(), 150);
  EXPECT_TRUE(floats->schema()->field(0)->type()->Equals(arrow::float64()));
  EXPECT_EQ(RowsOf(*PullTable(MakeSortStream(StreamOf({floats}), {{{"k0"}}, -1}, {}))),
            RowsOf(*floats));
  blocks.emplace_back(RandomTable({arrow::decimal128(25, 2)}, 5, 0, &rng));
  const auto failed = Pull(MakeMergeStream(blocks, std::nullopt, {{{"k0"}}, -1}, {}));
  ASSERT_TRUE(failed.status().IsTypeError());
  EXPECT_NE(failed.status().message().find("float"), std::string::npos);
  EXPECT_NE(failed.status().message().find("decimal128(25, 2)"), std::string::npos);
}

TEST(Merge, Empty) {
  EXPECT_TRUE(Pull(MakeMergeStream({}, std::nullopt, {{{"k0"}}, -1}, {})).ValueOrDie().empty());
  Rng rng(5);
  const Block none(RandomTable({arrow::int32()}, 0, 0, &rng));
  const auto batches =
      Pull(MakeMergeStream({none, none}, std::nullopt, {{{"k0"}}, -1}, {})).ValueOrDie();
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].block.num_rows(), 0);
}

}  // namespace
}  // namespace headrace
