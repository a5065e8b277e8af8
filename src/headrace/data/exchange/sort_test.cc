#include <cmath>
#include <set>

#include "headrace/data/exchange/sort_key.h"
#include "headrace/data/exchange/sort_rows.h"
#include "headrace/data/exchange/testing.h"

namespace headrace {
namespace {

using testing::ColumnPtr;
using testing::OrderByArrow;
using testing::Pull;
using testing::PullTable;
using testing::RandomTable;
using testing::RowsOf;
using testing::SortableTypes;
using testing::StreamOf;
using testing::TablePtr;

std::vector<std::int64_t> SortedRows(const TablePtr& table, const std::vector<SortKey>& keys) {
  const auto rows = SortRows(*table, keys, nullptr).ValueOrDie();
  return {rows.begin(), rows.end()};
}

std::string KeyOf(const TablePtr& table, const std::vector<SortKey>& keys, std::int64_t row,
                  bool any_type = false) {
  std::string key;
  SortKeyEncoder::Make(*table, keys, nullptr, any_type).ValueOrDie().Append(row, &key);
  return key;
}

TEST(SortKey, NumbersOfAnyTypeAgree) {
  const auto key = [](const ColumnPtr& column, bool descending) {
    const auto table =
        arrow::Table::Make(arrow::schema({arrow::field("k", column->type())}), {column});
    return KeyOf(table, {{"k", descending}}, 0, /*any_type=*/true);
  };
  const auto whole = [&](std::int64_t value, bool down) {
    return key(arrow::MakeArrayFromScalar(arrow::Int64Scalar(value), 1).ValueOrDie(), down);
  };
  const auto real = [&](double value, bool down) {
    return key(arrow::MakeArrayFromScalar(arrow::DoubleScalar(value), 1).ValueOrDie(), down);
  };
  const auto decimal = [&](const char* digits, std::int32_t scale, bool down) {
    const auto value = arrow::Decimal256::FromString(digits).ValueOrDie();
    const arrow::Decimal256Scalar scalar(value, arrow::decimal256(60, scale));
    return key(arrow::MakeArrayFromScalar(scalar, 1).ValueOrDie(), down);
  };
  constexpr std::int64_t kLarge = (std::int64_t{1} << 53) + 1;
  for (const bool down : {false, true}) {
    const std::vector<std::string> floats = {
        real(-INFINITY, down),  real(-1e300, down), real(-1e30, down),       real(-1e19, down),
        whole(INT64_MIN, down), real(-1.5, down),   whole(-1, down),         real(-0.5, down),
        real(-1e-300, down),    whole(0, down),     real(1e-300, down),      real(0.5, down),
        real(1.5, down),        whole(2, down),     whole(kLarge - 1, down), whole(kLarge, down),
        whole(INT64_MAX, down), real(0x1p63, down), real(1e30, down),        real(1e300, down)};
    const std::vector<std::string> decimals = {decimal("-1000000000000000000000000000000", 2, down),
                                               decimal("-150", 2, down),
                                               whole(-1, down),
                                               decimal("-1", 3, down),
                                               whole(0, down),
                                               decimal("1", 9, down),
                                               decimal("1", 3, down),
                                               decimal("150", 2, down),
                                               whole(2, down),
                                               decimal("2000001", 6, down),
                                               whole(INT64_MAX, down),
                                               decimal("1000000000000000000000000000000", 2, down)};
    for (const auto& keys : {floats, decimals}) {
      for (std::size_t i = 1; i < keys.size(); ++i) {
        EXPECT_EQ(keys[i - 1] < keys[i], !down) << i;
        EXPECT_NE(keys[i - 1], keys[i]) << i;
      }
    }
    EXPECT_EQ(whole(7, down), real(7, down));
    EXPECT_EQ(whole(7, down), decimal("700", 2, down));
    EXPECT_EQ(decimal("725", 2, down), decimal("72500", 4, down));
    EXPECT_EQ(whole(INT64_MIN, down), real(-0x1p63, down));
    EXPECT_EQ(real(1e20, down), decimal("100000000000000000000", 0, down));
    EXPECT_EQ(real(-1e20, down), decimal("-1000000000000000000000", 1, down));
    EXPECT_EQ(whole(0, down), real(-0.0, down));
  }
}

// The encoded keys of rows in sorted order do not descend, and are equal just where all key columns
// are: then the rows come in their order.
void ExpectKeysAgree(const TablePtr& table, const std::vector<SortKey>& keys,
                     const std::vector<std::int64_t>& order) {
  const auto encoder = SortKeyEncoder::Make(*table, keys, nullptr).ValueOrDie();
  const EncodedKeys encoded = encoder.EncodeAll();
  std::string last;
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::string key;
    encoder.Append(order[i], &key);
    EXPECT_EQ(key, encoded[static_cast<std::size_t>(order[i])]);
    if (i > 0) {
      EXPECT_LE(last, key);
      EXPECT_TRUE(last != key || order[i - 1] < order[i]);
    }
    last = std::move(key);
  }
}

TEST(SortRows, AgreesWithArrowForEveryType) {
  Rng rng(1);
  for (const auto& type : SortableTypes()) {
    for (const std::int64_t rows : {0, 1, 2, 30, 3000}) {
      for (const int null_of : {0, 4, 1}) {
        const auto table = RandomTable({type}, rows, null_of, &rng);
        for (const int way : {0, 1, 2, 3}) {
          const std::vector<SortKey> keys{{"k0", (way & 1) != 0, (way & 2) != 0}};
          const auto order = OrderByArrow(table, keys);
          ASSERT_EQ(SortedRows(table, keys), order) << type->ToString() << " way " << way;
          ExpectKeysAgree(table, keys, order);
        }
      }
    }
  }
}

TEST(SortRows, TypesThatArrowDoesNotSort) {
  Rng rng(2);
  for (const auto& [type, like] :
       std::vector<std::pair<std::shared_ptr<arrow::DataType>, std::shared_ptr<arrow::DataType>>>{
           {arrow::utf8_view(), arrow::utf8()},
           {arrow::dictionary(arrow::int32(), arrow::binary()), arrow::binary()},
           {arrow::float16(), arrow::float32()}}) {
    const auto table = RandomTable({type}, 2000, 5, &rng);
    auto column = table->column(0)->chunk(0);
    column = testing::Cast(column, like);
    const auto plain =
        arrow::Table::Make(arrow::schema({arrow::field("k0", like), table->schema()->field(1)}),
                           {std::make_shared<arrow::ChunkedArray>(column), table->column(1)});
    for (const bool descending : {false, true}) {
      const std::vector<SortKey> keys{{"k0", descending, false}};
      EXPECT_EQ(SortedRows(table, keys), OrderByArrow(plain, keys)) << type->ToString();
    }
  }
}

TEST(SortRows, AgreesWithArrowForSeveralKeys) {
  Rng rng(3);
  const auto types = SortableTypes();
  for (int round = 0; round < 200; ++round) {
    std::vector<std::shared_ptr<arrow::DataType>> some;
    std::vector<SortKey> keys;
    for (auto count = 1 + rng.Below(3); count > 0; --count) {
      keys.push_back({"k" + std::to_string(some.size()), rng.Chance(0.5), rng.Chance(0.5)});
      some.push_back(types[rng.Below(types.size())]);
    }
    const auto table = RandomTable(some, static_cast<std::int64_t>(rng.Below(400)), 5, &rng);
    const auto order = OrderByArrow(table, keys);
    ASSERT_EQ(SortedRows(table, keys), order) << table->schema()->ToString();
    ExpectKeysAgree(table, keys, order);
  }
}

TEST(SortRows, ManyRows) {
  Rng rng(4);
  const std::int64_t rows = 200000;
  arrow::DoubleBuilder uniform;
  arrow::Int64Builder skewed;
  arrow::StringBuilder text;
  arrow::Int64Builder row;
  for (std::int64_t i = 0; i < rows; ++i) {
    EXPECT_TRUE(uniform.Append(rng.Uniform()).ok());
    const auto few = static_cast<std::int64_t>(rng.Below(1000));
    EXPECT_TRUE(skewed.Append(rng.Chance(0.9) ? 7 : few << rng.Below(50)).ok());
    EXPECT_TRUE(text.Append("user-" + std::to_string(rng.Below(50000)) + "@example.com").ok());
    EXPECT_TRUE(row.Append(i).ok());
  }
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("uniform", arrow::float64()),
                     arrow::field("skewed", arrow::int64()), arrow::field("text", arrow::utf8()),
                     arrow::field("row", arrow::int64())}),
      {*uniform.Finish(), *skewed.Finish(), *text.Finish(), *row.Finish()});
  for (const char* name : {"uniform", "skewed", "text", "row"}) {
    for (const bool descending : {false, true}) {
      const std::vector<SortKey> keys{{name, descending, false}};
      EXPECT_EQ(SortedRows(table, keys), OrderByArrow(table, keys)) << name << descending;
    }
  }
}

TEST(SortKey, WidthsOfOneKindEncodeAlike) {
  const auto one = [](const std::shared_ptr<arrow::DataType>& type, const auto& value) {
    const auto array =
        arrow::MakeArrayFromScalar(**arrow::MakeScalar(value)->CastTo(type), 1).ValueOrDie();
    const auto table = arrow::Table::Make(arrow::schema({arrow::field("k", type)}), {array});
    return KeyOf(table, {{"k"}}, 0);
  };
  EXPECT_TRUE(InitializeArrow().ok());
  for (const auto& type : {arrow::int8(), arrow::int16(), arrow::int32(), arrow::uint8(),
                           arrow::uint16(), arrow::uint32(), arrow::uint64()}) {
    EXPECT_EQ(one(type, 5), one(arrow::int64(), 5)) << type->ToString();
  }
  EXPECT_EQ(one(arrow::float32(), 1.5), one(arrow::float64(), 1.5));
  EXPECT_EQ(one(arrow::float64(), -0.0), one(arrow::float64(), 0.0));
  EXPECT_EQ(one(arrow::utf8(), "x"), one(arrow::large_utf8(), "x"));
  EXPECT_LT(one(arrow::int64(), INT64_MAX), one(arrow::uint64(), ~std::uint64_t{0}));
}

TEST(SortKey, NestedValuesCanBeTold) {
  Rng rng(5);
  arrow::ListBuilder lists(arrow::default_memory_pool(), std::make_shared<arrow::Int64Builder>());
  auto& values = static_cast<arrow::Int64Builder&>(*lists.value_builder());
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    std::string text;
    EXPECT_TRUE(lists.Append().ok());
    for (auto length = rng.Below(3); length > 0; --length) {
      const auto value = static_cast<std::int64_t>(rng.Below(3));
      EXPECT_TRUE((value == 2 ? values.AppendNull() : values.Append(value)).ok());
      text += std::to_string(value) + ",";
    }
    texts.push_back(text);
  }
  const auto array = *lists.Finish();
  const auto table = arrow::Table::Make(arrow::schema({arrow::field("k", array->type())}), {array});
  const auto keys = SortKeyEncoder::Make(*table, {{"k"}}, nullptr).ValueOrDie().EncodeAll();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_EQ(texts[i] == texts[j], keys[i] == keys[j]);
  }
  EXPECT_TRUE(CheckSortKeys({{"k"}}, *table->schema()).IsTypeError());
  EXPECT_TRUE(CheckSortKeys({{"k"}}, *table->schema(), true).ok());
}

// ---- The step.

std::vector<Batch> Sort(std::vector<TablePtr> tables, SortStep step) {
  return Pull(MakeSortStream(StreamOf(std::move(tables)), std::move(step), {})).ValueOrDie();
}

TEST(SortStream, SortsAllBatchesIntoOneRun) {
  Rng rng(6);
  for (int round = 0; round < 50; ++round) {
    const auto rows = static_cast<std::int64_t>(rng.Below(500));
    const auto table = RandomTable({arrow::float64(), arrow::binary()}, rows, 5, &rng);
    const std::vector<SortKey> keys{{"k0", rng.Chance(0.5), false}, {"k1", true, false}};
    const auto batches = Sort(testing::CutAtRandom(table, &rng), {keys, -1});
    ASSERT_EQ(batches.size(), 1u);
    const auto sorted = batches[0].block.table();
    ASSERT_TRUE(sorted->ValidateFull().ok());
    ASSERT_EQ(RowsOf(*sorted), OrderByArrow(table, keys));
    ASSERT_TRUE(batches[0].index);
    const BlockIndex& index = *batches[0].index;
    ASSERT_GT(index.stride, 0);
    if (rows == 0) {
      EXPECT_TRUE(index.keys.empty());
      continue;
    }
    const auto labels = static_cast<std::size_t>((rows - 1) / index.stride + 2);
    ASSERT_EQ(index.keys.size(), labels);
    for (std::size_t i = 0; i < labels; ++i) {
      const auto row =
          std::min<std::int64_t>(static_cast<std::int64_t>(i) * index.stride, rows - 1);
      EXPECT_EQ(index.keys[i], KeyOf(sorted, keys, i + 1 == labels ? rows - 1 : row, true));
    }
  }
}

TEST(SortStream, LongRunsLeaveInBatches) {
  Rng rng(7);
  const std::int64_t rows = 40000;
  arrow::Int64Builder k;
  arrow::FixedSizeBinaryBuilder payload(arrow::fixed_size_binary(2000));
  const std::string bytes(2000, 'x');
  for (std::int64_t i = 0; i < rows; ++i) {
    EXPECT_TRUE(k.Append(static_cast<std::int64_t>(rng.Below(1000))).ok());
    EXPECT_TRUE(payload.Append(bytes).ok());
  }
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("k", arrow::int64()),
                                        arrow::field("payload", arrow::fixed_size_binary(2000))}),
                         {*k.Finish(), *payload.Finish()});
  const auto batches = Sort({table}, {{{"k"}}, -1});
  ASSERT_GE(batches.size(), 2u);
  std::string last;
  for (const Batch& batch : batches) {
    EXPECT_LE(batch.block.num_rows() * 2000, 48 << 20);
    EXPECT_LE(last, batch.index->keys.front());
    const auto keys = static_cast<std::int64_t>(batch.index->keys.size());
    EXPECT_GE(keys, 64);
    EXPECT_LE(keys, std::max<std::int64_t>(256, batch.block.num_rows() * 2000 / (64 << 10) + 1));
    last = batch.index->keys.back();
  }
}

TEST(SortStream, ManyRowsAndLimits) {
  Rng rng(8);
  const std::int64_t rows = 700000;
  const auto table = RandomTable({arrow::int64()}, rows, 5, &rng);
  std::vector<TablePtr> pieces;
  for (std::int64_t begin = 0; begin < rows; begin += 7000) {
    pieces.push_back(table->Slice(begin, 7000));
  }
  const auto order = OrderByArrow(table, {{"k0"}});
  for (const std::int64_t limit : {-1, 0, 1, 100000, 1100000}) {
    for (const auto& input : {pieces, {table}}) {
      const auto batches = Sort(input, {{{"k0"}}, limit});
      const auto kept = limit < 0 ? rows : std::min(rows, limit);
      EXPECT_EQ(RowsOf(*testing::Joined(batches)),
                std::vector<std::int64_t>(order.begin(), order.begin() + kept));
    }
  }
}

TEST(SortStream, EmptyAndUnknown) {
  EXPECT_TRUE(Sort({}, {{{"k"}}, -1}).empty());
  Rng rng(9);
  const auto table = RandomTable({arrow::int64()}, 3, 0, &rng);
  const auto empty = Sort({table->Slice(0, 0), table->Slice(0, 0)}, {{{"k0"}}, -1});
  ASSERT_EQ(empty.size(), 1u);
  EXPECT_EQ(empty[0].block.num_rows(), 0);
  const auto failed = Pull(MakeSortStream(StreamOf({table}), {{{"z"}}, -1}, {}));
  EXPECT_TRUE(failed.status().IsKeyError()) << failed.status().ToString();
}

TEST(SortStream, RowsInOrderAreNotCopied) {
  Rng rng(10);
  const auto table = RandomTable({arrow::int64()}, 100, 0, &rng);
  const auto batches = Sort({table}, {{{"row"}}, -1});
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].block.table()->column(0)->chunk(0)->data()->buffers[1]->data(),
            table->column(0)->chunk(0)->data()->buffers[1]->data());
}

}  // namespace
}  // namespace headrace
