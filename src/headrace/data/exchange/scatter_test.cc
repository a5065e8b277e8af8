#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "headrace/block/unify.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/key_hash.h"
#include "headrace/data/exchange/place.h"
#include "headrace/data/exchange/testing.h"

namespace headrace {
namespace {

using testing::Cast;
using testing::Pull;
using testing::PullTable;
using testing::RandomColumn;
using testing::RandomTable;
using testing::RowsOf;
using testing::StreamOf;
using testing::TablePtr;

TablePtr OneColumn(const std::shared_ptr<arrow::Array>& column) {
  return arrow::Table::Make(arrow::schema({arrow::field("k", column->type())}), {column});
}

std::vector<std::uint64_t> Hashes(const TablePtr& table, const std::vector<std::string>& keys) {
  std::vector<std::uint64_t> hashes;
  EXPECT_TRUE(HashRows(*table, keys, nullptr, &hashes).ok());
  return hashes;
}

// ---- Hashes.

TEST(KeyHash, EqualValuesOfEveryWidthAgree) {
  Rng rng(1);
  const auto agree = [&](const std::shared_ptr<arrow::DataType>& from,
                         const std::vector<std::shared_ptr<arrow::DataType>>& types) {
    const auto column = RandomColumn(from, 500, 7, &rng);
    const auto hashes = Hashes(OneColumn(column), {"k"});
    EXPECT_GT(std::set<std::uint64_t>(hashes.begin(), hashes.end()).size(), 5u);
    for (const auto& type : types) {
      EXPECT_EQ(Hashes(OneColumn(Cast(column, type)), {"k"}), hashes) << type->ToString();
    }
  };
  agree(arrow::int8(), {arrow::int16(), arrow::int32(), arrow::int64()});
  agree(arrow::float32(), {arrow::float64()});
  agree(arrow::float16(), {arrow::float32(), arrow::float64()});
  agree(arrow::binary(), {arrow::large_binary(), arrow::binary_view(), arrow::utf8(),
                          arrow::large_utf8(), arrow::utf8_view()});
  agree(arrow::decimal128(25, 2), {arrow::decimal256(50, 2)});
  const auto coded = RandomColumn(arrow::dictionary(arrow::int32(), arrow::binary()), 500, 7, &rng);
  EXPECT_EQ(Hashes(OneColumn(coded), {"k"}),
            Hashes(OneColumn(Cast(coded, arrow::binary())), {"k"}));
}

TEST(KeyHash, EqualValuesOfUnifiedTypesAgree) {
  const auto agree = [&](const std::shared_ptr<arrow::Array>& column,
                         const std::vector<std::shared_ptr<arrow::DataType>>& types) {
    const auto hashes = Hashes(OneColumn(column), {"k"});
    EXPECT_GT(std::set<std::uint64_t>(hashes.begin(), hashes.end()).size(), 5u);
    for (const auto& type : types) {
      EXPECT_EQ(Hashes(OneColumn(PromoteArray(column, type, nullptr).ValueOrDie()), {"k"}), hashes)
          << type->ToString();
    }
  };
  Rng rng(2);
  const auto whole = RandomColumn(arrow::int8(), 500, 7, &rng);
  agree(whole, {arrow::float32(), arrow::float64(), arrow::decimal128(5, 2),
                arrow::decimal128(38, 20), arrow::decimal256(60, 3)});
  // Half of them quarters; of one scale few digits are enough, of others not.
  arrow::Int64Builder quarters;
  for (std::int64_t i = -50; i < 50; ++i) ASSERT_TRUE(quarters.Append(i * 25).ok());
  auto data =
      (*PromoteArray(*quarters.Finish(), arrow::decimal128(19, 0), nullptr))->data()->Copy();
  data->type = arrow::decimal128(19, 2);
  agree(arrow::MakeArray(data), {arrow::decimal128(22, 3), arrow::decimal128(38, 19),
                                 arrow::decimal256(70, 30), arrow::float64()});
  const auto days = RandomColumn(arrow::date32(), 500, 7, &rng);
  agree(days, {arrow::date64()});
  const auto seconds = RandomColumn(arrow::duration(arrow::TimeUnit::SECOND), 500, 7, &rng);
  agree(seconds, {arrow::duration(arrow::TimeUnit::MILLI)});
  const auto lists = [&](const std::shared_ptr<arrow::Array>& values) {
    return arrow::FixedSizeListArray::FromArrays(values, 2).ValueOrDie();
  };
  agree(lists(whole), {arrow::list(arrow::float64()), arrow::large_list(arrow::int16())});
  const auto pairs =
      arrow::StructArray::Make(arrow::ArrayVector{whole, days}, std::vector<std::string>{"a", "b"})
          .ValueOrDie();
  agree(pairs,
        {arrow::struct_({arrow::field("c", arrow::utf8()), arrow::field("b", arrow::date64()),
                         arrow::field("a", arrow::float64())})});
}

TEST(KeyHash, ZerosAndNansAreOneValue) {
  arrow::DoubleBuilder builder;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(builder.AppendValues({0.0, -0.0, nan, -nan, 1.0}).ok());
  const auto hashes = Hashes(OneColumn(*builder.Finish()), {"k"});
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(hashes[2], hashes[3]);
  EXPECT_NE(hashes[0], hashes[2]);
  EXPECT_NE(hashes[0], hashes[4]);
}

// Keys that follow each other, are multiples, or small floats spread over buckets and low bits.
TEST(KeyHash, SpreadsEvenly) {
  const std::int64_t rows = 64000;
  for (const int kind : {0, 1, 2, 3}) {
    arrow::Int64Builder whole;
    arrow::DoubleBuilder real;
    arrow::StringBuilder text;
    for (std::int64_t i = 0; i < rows; ++i) {
      EXPECT_TRUE(whole.Append(kind == 0 ? i : i << 32).ok());
      EXPECT_TRUE(real.Append(static_cast<double>(i)).ok());
      EXPECT_TRUE(text.Append("key-" + std::to_string(i)).ok());
    }
    const auto column = kind < 2 ? *whole.Finish() : kind == 2 ? *real.Finish() : *text.Finish();
    std::vector<int> high(64);
    std::vector<int> low(64);
    for (const std::uint64_t hash : Hashes(OneColumn(column), {"k"})) {
      ++high[BucketOfHash(hash, 64)];
      ++low[hash & 63];
    }
    for (int i = 0; i < 64; ++i) {
      EXPECT_NEAR(high[i], 1000, 200) << kind;
      EXPECT_NEAR(low[i], 1000, 200) << kind;
    }
  }
}

TEST(KeyHash, SeveralKeysAndUnknownOnes) {
  Rng rng(2);
  const auto table = RandomTable({arrow::int64(), arrow::utf8()}, 300, 5, &rng);
  EXPECT_NE(Hashes(table, {"k0", "k1"}), Hashes(table, {"k1", "k0"}));
  EXPECT_NE(Hashes(table, {"k0", "k1"}), Hashes(table, {"k0"}));
  std::vector<std::uint64_t> hashes;
  EXPECT_TRUE(HashRows(*table, {"z"}, nullptr, &hashes).IsKeyError());
}

// ---- Gathering and placing.

// Columns of every way that rows are moved.
TablePtr Everything(std::int64_t rows, int null_of, Rng* rng) {
  auto types = testing::SortableTypes();
  types.insert(types.end(), {arrow::large_binary(), arrow::utf8_view(), arrow::float16(),
                             arrow::dictionary(arrow::int32(), arrow::binary())});
  auto table = RandomTable(types, rows, null_of, rng);
  const auto add = [&](const std::string& name, const std::shared_ptr<arrow::Array>& column) {
    table = table
                ->AddColumn(0, arrow::field(name, column->type()),
                            std::make_shared<arrow::ChunkedArray>(column))
                .ValueOrDie();
  };
  auto values = RandomColumn(arrow::float32(), rows * 3, 0, rng);
  const auto tensors = arrow::FixedSizeListArray::FromArrays(values, 3).ValueOrDie();
  add("tensor", tensors);
  add("struct",
      arrow::StructArray::Make({RandomColumn(arrow::int64(), rows, null_of, rng), tensors},
                               std::vector<std::string>{"a", "b"})
          .ValueOrDie());
  arrow::Int32Builder offsets;
  for (std::int64_t i = 0; i <= rows; ++i) {
    EXPECT_TRUE(offsets.Append(static_cast<std::int32_t>(3 * i)).ok());
  }
  add("list", arrow::ListArray::FromArrays(**offsets.Finish(), *values).ValueOrDie());
  add("null", arrow::MakeArrayOfNull(arrow::null(), rows).ValueOrDie());
  return table;
}

// In several chunks, the first of which does not begin at its buffers' begin.
TablePtr Chunked(const TablePtr& table, Rng* rng) {
  return arrow::ConcatenateTables(testing::CutAtRandom(table, rng)).ValueOrDie();
}

bool Same(const arrow::ChunkedArray& a, const arrow::ChunkedArray& b) {
  return a.Equals(b, arrow::EqualOptions().nans_equal(true));
}

std::shared_ptr<arrow::Array> Combined(const arrow::ChunkedArray& column) {
  return arrow::Concatenate(column.chunks()).ValueOrDie();
}

TEST(GatherRows, AgreesWithTake) {
  Rng rng(3);
  for (int round = 0; round < 40; ++round) {
    const auto rows = 1 + static_cast<std::int64_t>(rng.Below(100));
    const auto table =
        Chunked(Everything(rows + 3, static_cast<int>(rng.Below(3)) * 3, &rng)->Slice(3), &rng);
    const bool may_miss = rng.Chance(0.5);
    std::vector<std::uint32_t> wanted;
    arrow::Int64Builder indices;
    for (auto count = rng.Below(200); count > 0; --count) {
      wanted.push_back(static_cast<std::uint32_t>(rng.Below(static_cast<std::uint64_t>(rows))));
      if (may_miss && rng.Chance(0.3)) wanted.back() = kNoRow;
      const Status status =
          wanted.back() == kNoRow ? indices.AppendNull() : indices.Append(wanted.back());
      EXPECT_TRUE(status.ok());
    }
    const auto gathered = GatherRows(table, wanted, nullptr, may_miss).ValueOrDie();
    ASSERT_TRUE(gathered->Validate().ok()) << gathered->Validate().ToString();
    const auto wanted_rows = *indices.Finish();
    for (int i = 0; i < table->num_columns(); ++i) {
      const auto type = table->column(i)->type();
      const bool is_view = type->id() == arrow::Type::STRING_VIEW;  // Arrow cannot take these.
      auto column = Combined(*table->column(i));
      if (is_view) column = Cast(column, arrow::utf8());
      auto expected = arrow::compute::Take(arrow::Datum(column), wanted_rows).ValueOrDie();
      if (is_view) expected = Cast(expected.make_array(), type);
      EXPECT_TRUE(Same(*gathered->column(i), arrow::ChunkedArray(expected.make_array())))
          << type->ToString() << gathered->column(i)->ToString() << expected.ToString();
    }
  }
}

TEST(PlaceRows, IsTheInverseOfGathering) {
  Rng rng(4);
  for (int round = 0; round < 40; ++round) {
    const auto rows = static_cast<std::int64_t>(rng.Below(100));
    const auto table =
        Chunked(Everything(rows + 2, static_cast<int>(rng.Below(3)) * 3, &rng)->Slice(2), &rng);
    std::vector<std::uint32_t> places(static_cast<std::size_t>(rows));
    std::iota(places.begin(), places.end(), 0);
    for (std::size_t i = places.size(); i > 1; --i) std::swap(places[i - 1], places[rng.Below(i)]);
    const auto placed = PlaceRows(table, places, nullptr).ValueOrDie();
    ASSERT_TRUE(placed->Validate().ok());
    const auto back = GatherRows(placed, places, nullptr).ValueOrDie();
    for (int i = 0; i < table->num_columns(); ++i) {
      EXPECT_TRUE(Same(*back->column(i), *table->column(i)))
          << table->schema()->field(i)->ToString();
    }
  }
}

// ---- The step.

TEST(ScatterStream, RowsOfABucketLieTogether) {
  Rng rng(5);
  for (const int buckets : {1, 2, 13, 500}) {
    const auto table = RandomTable({arrow::int64(), arrow::utf8()}, 1000, 5, &rng);
    const ScatterStep step{{"k0", "k1"}, buckets};
    const auto batches =
        Pull(MakeScatterStream(StreamOf(testing::CutAtRandom(table, &rng)), step, Rng(1), {}))
            .ValueOrDie();
    ASSERT_EQ(batches.size(), 1u);  // Small batches are joined.
    const BucketOffsets& offsets = batches[0].index->buckets;
    ASSERT_EQ(offsets.num_buckets(), static_cast<std::uint32_t>(buckets));
    EXPECT_EQ(offsets.at(0), 0);
    EXPECT_EQ(offsets.num_rows(), 1000);
    const auto scattered = batches[0].block.table();
    const auto hashes = Hashes(scattered, step.keys);
    const auto rows = RowsOf(*scattered);
    for (std::uint32_t b = 0; b < offsets.num_buckets(); ++b) {
      for (std::int64_t i = offsets.at(b); i < offsets.at(b + 1); ++i) {
        const auto at = static_cast<std::size_t>(i);
        EXPECT_EQ(BucketOfHash(hashes[at], static_cast<std::uint32_t>(buckets)), b);
        EXPECT_TRUE(i == offsets.at(b) || rows[at - 1] < rows[at]);  // In their order.
      }
    }
    auto expected = Hashes(table, step.keys);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(hashes[i], expected[static_cast<std::size_t>(rows[i])]);
    }
    EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 1000u);
  }
}

TEST(ScatterStream, AtRandom) {
  Rng rng(6);
  const auto table = RandomTable({arrow::int64()}, 20000, 0, &rng);
  const auto run = [&](std::uint64_t seed) {
    return Pull(MakeScatterStream(StreamOf({table}), {{}, 4}, Rng(seed), {})).ValueOrDie();
  };
  const auto batches = run(1);
  ASSERT_EQ(batches.size(), 1u);
  const auto rows = RowsOf(*batches[0].block.table());
  EXPECT_EQ(rows, RowsOf(*run(1)[0].block.table()));
  EXPECT_NE(rows, RowsOf(*run(2)[0].block.table()));
  EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 20000u);
  const BucketOffsets& offsets = batches[0].index->buckets;
  for (std::uint32_t b = 0; b < 4; ++b) EXPECT_NEAR(offsets.at(b + 1) - offsets.at(b), 5000, 500);
  int ascents = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) ascents += rows[i - 1] < rows[i];
  EXPECT_NEAR(ascents, 10000, 500);
}

TEST(ScatterStream, Empty) {
  EXPECT_TRUE(Pull(MakeScatterStream(StreamOf({}), {{"k0"}, 3}, Rng(1), {})).ValueOrDie().empty());
  Rng rng(7);
  const auto none = RandomTable({arrow::int64()}, 0, 0, &rng);
  for (const std::vector<std::string>& keys : {std::vector<std::string>{}, {"k0"}}) {
    const auto batches =
        Pull(MakeScatterStream(StreamOf({none, none}), {keys, 3}, Rng(1), {})).ValueOrDie();
    ASSERT_EQ(batches.size(), 1u);
    EXPECT_EQ(batches[0].index->buckets, BucketOffsets(3));
  }
}

TEST(ShuffleStream, KeepsEachRowOnce) {
  Rng rng(8);
  const auto table = RandomTable({arrow::utf8()}, 10000, 5, &rng);
  const auto run = [&](std::uint64_t seed) {
    return RowsOf(
        *PullTable(MakeShuffleStream(StreamOf(testing::CutAtRandom(table, &rng)), Rng(seed), {})));
  };
  const auto rows = run(1);
  EXPECT_EQ(rows, run(1));  // However the rows were cut.
  EXPECT_NE(rows, run(2));
  EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 10000u);
  int ascents = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) ascents += rows[i - 1] < rows[i];
  EXPECT_NEAR(ascents, 5000, 300);
}

}  // namespace
}  // namespace headrace
