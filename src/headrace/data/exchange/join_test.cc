#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>

#include "headrace/base/rng.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/transform/arrow_init.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

using TablePtr = std::shared_ptr<arrow::Table>;
using TypePtr = std::shared_ptr<arrow::DataType>;
using Row = std::vector<std::string>;

class TablesStream : public BatchStream {
 public:
  explicit TablesStream(std::vector<TablePtr> tables) : tables_(tables.begin(), tables.end()) {}
  Result<std::optional<Batch>> Next() override {
    if (tables_.empty()) return std::nullopt;
    Batch batch;
    batch.block = Block(tables_.front(), -1);
    tables_.pop_front();
    return batch;
  }

 private:
  std::deque<TablePtr> tables_;
};

Result<std::vector<TablePtr>> JoinAll(std::vector<TablePtr> left, std::vector<TablePtr> right,
                                      const JoinStep& step) {
  auto stream =
      MakeJoinTablesStream(std::make_unique<TablesStream>(std::move(left)),
                           std::make_unique<TablesStream>(std::move(right)), step, TaskContext());
  std::vector<TablePtr> outputs;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, stream->Next());
    if (!batch) return outputs;
    outputs.push_back(batch->block.table());
    ARROW_RETURN_NOT_OK(outputs.back()->ValidateFull());
  }
}

std::vector<TablePtr> Cut(const TablePtr& table, Rng* rng) {
  const auto at =
      static_cast<std::int64_t>(rng->Below(static_cast<std::uint64_t>(table->num_rows()) + 1));
  return {table->Slice(0, at), table->Slice(at)};
}

std::string Text(const arrow::ChunkedArray& column, std::int64_t row) {
  auto scalar = *column.GetScalar(row);
  if (!scalar->is_valid) return "null";
  if (scalar->type->id() == arrow::Type::DICTIONARY) {
    scalar = *static_cast<const arrow::DictionaryScalar&>(*scalar).GetEncodedValue();
  }
  return scalar->ToString();
}

std::vector<Row> CellsOf(const arrow::Table& table) {
  std::vector<Row> rows;
  for (std::int64_t i = 0; i < table.num_rows(); ++i) {
    Row row;
    for (const auto& column : table.columns()) row.push_back(Text(*column, i));
    rows.push_back(std::move(row));
  }
  return rows;
}

Row Keys(const arrow::Table& table, const std::vector<std::string>& names, std::int64_t i) {
  Row keys;
  for (const auto& name : names) keys.push_back(Text(*table.GetColumnByName(name), i));
  return keys;
}

// Rows as they must come: by left row, then right row; lone right rows last. `i` or `j` -1: none.
std::vector<Row> Expect(const arrow::Table& left, const arrow::Table& right, const JoinStep& step) {
  const JoinKind kind = step.kind;
  std::vector<Row> rows;
  const auto add = [&](std::int64_t i, std::int64_t j) {
    const bool semi = kind != JoinKind::kInner && kind != JoinKind::kLeftOuter &&
                      kind != JoinKind::kRightOuter && kind != JoinKind::kFullOuter;
    const bool left_only = kind == JoinKind::kLeftSemi || kind == JoinKind::kLeftAnti;
    Row row;
    for (int c = 0; c < left.num_columns() && (!semi || left_only); ++c) {
      const auto& name = left.field(c)->name();
      const auto key = std::find(step.left_keys.begin(), step.left_keys.end(), name);
      const bool is_key = key != step.left_keys.end();
      if (is_key && kind == JoinKind::kRightOuter) continue;
      if (i < 0 && is_key) {
        const auto& other = step.right_keys[static_cast<std::size_t>(key - step.left_keys.begin())];
        row.push_back(Text(*right.GetColumnByName(other), j));
      } else {
        row.push_back(i < 0 ? "null" : Text(*left.column(c), i));
      }
    }
    for (int c = 0; c < right.num_columns() && !left_only; ++c) {
      const auto& name = right.field(c)->name();
      const bool is_key = std::count(step.right_keys.begin(), step.right_keys.end(), name) > 0;
      if (is_key && kind != JoinKind::kRightOuter && !semi) continue;
      row.push_back(j < 0 ? "null" : Text(*right.column(c), j));
    }
    rows.push_back(std::move(row));
  };
  const auto equal = [&](std::int64_t i, std::int64_t j) {
    const Row a = Keys(left, step.left_keys, i);
    return a == Keys(right, step.right_keys, j) && std::count(a.begin(), a.end(), "null") == 0;
  };
  std::vector<bool> met(static_cast<std::size_t>(right.num_rows()));
  for (std::int64_t i = 0; i < left.num_rows(); ++i) {
    bool found = false;
    for (std::int64_t j = 0; j < right.num_rows(); ++j) {
      if (!equal(i, j)) continue;
      found = true;
      met[static_cast<std::size_t>(j)] = true;
      if (kind <= JoinKind::kFullOuter) add(i, j);
    }
    const bool lone =
        kind == JoinKind::kLeftOuter || kind == JoinKind::kFullOuter || kind == JoinKind::kLeftAnti;
    if (found ? kind == JoinKind::kLeftSemi : lone) add(i, -1);
  }
  for (std::int64_t j = 0; j < right.num_rows(); ++j) {
    const bool lone = kind == JoinKind::kRightOuter || kind == JoinKind::kFullOuter ||
                      kind == JoinKind::kRightAnti;
    if (met[static_cast<std::size_t>(j)] ? kind == JoinKind::kRightSemi : lone) add(-1, j);
  }
  return rows;
}

std::shared_ptr<arrow::Array> RandomColumn(const TypePtr& type, std::int64_t rows,
                                           std::uint64_t values, Rng* rng) {
  arrow::Int64Builder numbers;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto value = static_cast<std::int64_t>(rng->Below(values));
    EXPECT_TRUE((rng->Chance(0.1) ? numbers.AppendNull() : numbers.Append(value)).ok());
  }
  const auto cast = [](const std::shared_ptr<arrow::Array>& from, const TypePtr& to) {
    return arrow::compute::Cast(*from, to, arrow::compute::CastOptions::Unsafe()).ValueOrDie();
  };
  const auto array = *numbers.Finish();
  if (type->id() == arrow::Type::DICTIONARY) {
    return arrow::compute::DictionaryEncode(cast(array, arrow::utf8()))->make_array();
  }
  if (type->id() == arrow::Type::DATE32) return cast(cast(array, arrow::int32()), type);
  if (arrow::is_binary_like(type->id()) && !arrow::is_string(type->id())) {
    return cast(cast(array, arrow::utf8()), type);
  }
  return cast(array, type);
}

constexpr JoinKind kJoinKinds[] = {
    JoinKind::kInner,    JoinKind::kLeftOuter, JoinKind::kRightOuter, JoinKind::kFullOuter,
    JoinKind::kLeftSemi, JoinKind::kRightSemi, JoinKind::kLeftAnti,   JoinKind::kRightAnti};

class JoinTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(InitializeArrow().ok()); }
};

TEST_F(JoinTest, EveryKindMatchesTheOracle) {
  const std::vector<std::pair<TypePtr, TypePtr>> types = {
      {arrow::int64(), arrow::int64()},
      {arrow::int32(), arrow::int64()},
      {arrow::uint8(), arrow::int16()},
      {arrow::utf8(), arrow::utf8()},
      {arrow::utf8(), arrow::large_utf8()},
      {arrow::dictionary(arrow::int32(), arrow::utf8()), arrow::utf8()},
      {arrow::binary(), arrow::binary()},
      {arrow::float32(), arrow::float64()},
      {arrow::date32(), arrow::date32()},
      {arrow::boolean(), arrow::boolean()},
      {arrow::decimal128(22, 2), arrow::decimal128(25, 2)}};
  Rng rng(1);
  for (const auto& [left_type, right_type] : types) {
    for (int round = 0; round < 24; ++round) {
      const auto rows = [&] { return static_cast<std::int64_t>(round < 2 ? 0 : rng.Below(60)); };
      const std::int64_t left_rows = round == 1 ? 20 : rows();
      const std::int64_t right_rows = rows();
      const std::uint64_t keys = round % 2 == 0 ? 5 : 60;
      const auto left = arrow::Table::Make(
          arrow::schema({arrow::field("v", arrow::int64()), arrow::field("a", left_type),
                         arrow::field("c", arrow::utf8()), arrow::field("s", arrow::utf8())}),
          {RandomColumn(arrow::int64(), left_rows, 1000, &rng),
           RandomColumn(left_type, left_rows, keys, &rng),
           RandomColumn(arrow::utf8(), left_rows, 2, &rng),
           RandomColumn(arrow::utf8(), left_rows, 1000, &rng)});
      const auto right = arrow::Table::Make(
          arrow::schema({arrow::field("b", right_type), arrow::field("c", arrow::utf8()),
                         arrow::field("v", arrow::float64())}),
          {RandomColumn(right_type, right_rows, keys, &rng),
           RandomColumn(arrow::utf8(), right_rows, 2, &rng),
           RandomColumn(arrow::float64(), right_rows, 1000, &rng)});
      for (const JoinKind kind : kJoinKinds) {
        JoinStep step{kind, {"a"}, {"b"}, "_l", "_r"};
        if (round % 3 == 0) {
          step.left_keys.push_back("c");
          step.right_keys.push_back("c");
        }
        const auto schema = JoinSchema(step, *left->schema(), *right->schema());
        ASSERT_TRUE(schema.ok()) << schema.status();
        const auto outputs = JoinAll(Cut(left, &rng), Cut(right, &rng), step);
        ASSERT_TRUE(outputs.ok()) << outputs.status();
        ASSERT_FALSE(outputs->empty());
        const auto joined = *arrow::ConcatenateTables(*outputs);
        ASSERT_TRUE(joined->schema()->Equals(**schema)) << joined->schema()->ToString();
        ASSERT_EQ(CellsOf(*joined), Expect(*left, *right, step))
            << "kind " << static_cast<int>(kind) << ", keys " << left_type->ToString() << " and "
            << right_type->ToString() << ", round " << round;
      }
    }
  }
}

// Keys of `base` and more by multiples of `step`, without repetition if `once`; some null unless
// `valid`.
template <class Type>
std::shared_ptr<arrow::Array> SpacedKeys(typename Type::c_type base, std::uint64_t step, bool once,
                                         bool valid, Rng* rng) {
  typename arrow::TypeTraits<Type>::BuilderType builder;
  const std::uint64_t first = rng->Below(5);
  for (std::uint64_t i = 0; i < 25; ++i) {
    const std::uint64_t at = once ? first + i : rng->Below(20);
    const auto key =
        static_cast<typename Type::c_type>(static_cast<std::uint64_t>(base) + at * step);
    EXPECT_TRUE((!valid && rng->Chance(0.1) ? builder.AppendNull() : builder.Append(key)).ok());
  }
  return *builder.Finish();
}

template <class Type>
void JoinSpacedKeys(std::vector<std::uint64_t> steps) {
  using Value = typename Type::c_type;
  using Limits = std::numeric_limits<Value>;
  Rng rng(6);
  for (const std::uint64_t step : steps) {
    const auto span = static_cast<Value>(29 * step);
    for (const Value base : {Limits::min(), static_cast<Value>(Limits::max() - span),
                             static_cast<Value>(0 - 10 * step)}) {
      for (int round = 0; round < 4; ++round) {
        const auto make = [&](const char* name, bool once) {
          const auto keys = SpacedKeys<Type>(base, step, once, round % 2 == 0, &rng);
          const std::int64_t rows = keys->length();
          return arrow::Table::Make(
              arrow::schema({arrow::field("k", keys->type()), arrow::field(name, arrow::int64())}),
              {keys, RandomColumn(arrow::int64(), rows, 1000, &rng)});
        };
        const auto left = make("x", false);
        const auto right = make("y", round < 2);
        for (const JoinKind kind : kJoinKinds) {
          const JoinStep join{kind, {"k"}, {"k"}, "", ""};
          const auto outputs = JoinAll(Cut(left, &rng), Cut(right, &rng), join);
          ASSERT_TRUE(outputs.ok()) << outputs.status();
          ASSERT_EQ(CellsOf(**arrow::ConcatenateTables(*outputs)), Expect(*left, *right, join))
              << "kind " << static_cast<int>(kind) << ", " << left->schema()->ToString()
              << ", step " << step << ", round " << round;
        }
      }
    }
  }
}

// Near each other, a list of the groups is made, a little farther apart a bit for each number, else
// a hash table; at both ends of what a type holds, and over 0.
TEST_F(JoinTest, NumbersNearAndFar) {
  constexpr std::uint64_t kFar = 1'000'003;
  JoinSpacedKeys<arrow::Int8Type>({1, 4});
  JoinSpacedKeys<arrow::UInt8Type>({1, 8});
  JoinSpacedKeys<arrow::Int16Type>({1, 700});
  JoinSpacedKeys<arrow::UInt16Type>({1, 700});
  constexpr std::uint64_t kMiddle = 3'001;
  JoinSpacedKeys<arrow::Int32Type>({1, kMiddle, kFar});
  JoinSpacedKeys<arrow::UInt32Type>({1, kMiddle, kFar});
  JoinSpacedKeys<arrow::Int64Type>({1, kMiddle, kFar, kFar * kFar});
  JoinSpacedKeys<arrow::UInt64Type>({1, kMiddle, kFar, kFar * kFar});
  JoinSpacedKeys<arrow::Date32Type>({1, kFar});
}

TEST_F(JoinTest, ManyToManyComesInBatches) {
  Rng rng(2);
  arrow::Int64Builder zeros;
  for (int i = 0; i < 700; ++i) ASSERT_TRUE(zeros.Append(0).ok());
  const auto keys = *zeros.Finish();
  const auto left = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::int64()), arrow::field("x", arrow::int64())}),
      {keys, RandomColumn(arrow::int64(), 700, 1 << 20, &rng)});
  const auto right = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::int64()), arrow::field("y", arrow::int64())}),
      {keys, RandomColumn(arrow::int64(), 700, 1 << 20, &rng)});
  const JoinStep step{JoinKind::kInner, {"k"}, {"k"}, "", ""};
  const auto outputs = JoinAll({left}, {right}, step);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_GT(outputs->size(), 5U);
  const auto joined = *arrow::ConcatenateTables(*outputs);
  ASSERT_EQ(joined->num_rows(), 700 * 700);
  for (std::int64_t i = 0; i < joined->num_rows(); i += 7919) {
    EXPECT_EQ(Text(*joined->column(1), i), Text(*left->column(1), i / 700));
    EXPECT_EQ(Text(*joined->column(2), i), Text(*right->column(1), i % 700));
  }
}

TEST_F(JoinTest, ASideWithoutBlocksIsOneWithoutRows) {
  Rng rng(3);
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::int64()), arrow::field("x", arrow::int64())}),
      {RandomColumn(arrow::int64(), 20, 5, &rng), RandomColumn(arrow::int64(), 20, 5, &rng)});
  for (const JoinKind kind : kJoinKinds) {
    const JoinStep step{kind, {"k"}, {"k"}, "_l", "_r"};
    const auto count = [&](std::vector<TablePtr> left, std::vector<TablePtr> right) {
      const auto outputs = JoinAll(std::move(left), std::move(right), step);
      EXPECT_TRUE(outputs.ok()) << outputs.status();
      std::int64_t rows = 0;
      for (const auto& output : *outputs) rows += output->num_rows();
      return rows;
    };
    const bool keeps_left =
        kind == JoinKind::kLeftOuter || kind == JoinKind::kFullOuter || kind == JoinKind::kLeftAnti;
    const bool keeps_right = kind == JoinKind::kRightOuter || kind == JoinKind::kFullOuter ||
                             kind == JoinKind::kRightAnti;
    EXPECT_EQ(count({table}, {}), keeps_left ? 20 : 0);
    EXPECT_EQ(count({}, {table}), keeps_right ? 20 : 0);
    EXPECT_EQ(count({}, {}), 0);
  }
}

TEST_F(JoinTest, LeftBlocksMayDifferInTheTypeOfTheKey) {
  Rng rng(4);
  const auto block = [&](const TypePtr& type) {
    return arrow::Table::Make(arrow::schema({arrow::field("k", type)}),
                              {RandomColumn(type, 30, 10, &rng)});
  };
  const std::vector<TablePtr> left = {block(arrow::int16()), block(arrow::int64())};
  const auto right = block(arrow::int32());
  const auto whole = arrow::Table::Make(
      left[1]->schema(),
      {*arrow::Concatenate(
          {(*arrow::compute::Cast(left[0]->column(0)->chunk(0), arrow::int64())).make_array(),
           left[1]->column(0)->chunk(0)})});
  for (const JoinKind kind : kJoinKinds) {
    const JoinStep step{kind, {"k"}, {"k"}, "", ""};
    const auto outputs = JoinAll(left, {right}, step);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    std::vector<Row> rows;
    for (const auto& output : *outputs) {
      for (Row& row : CellsOf(*output)) rows.push_back(std::move(row));
    }
    EXPECT_EQ(rows, Expect(*whole, *right, step)) << static_cast<int>(kind);
  }
}

TEST_F(JoinTest, KeysOfDifferentTypesAreAnError) {
  Rng rng(5);
  const auto left = arrow::Table::Make(arrow::schema({arrow::field("a", arrow::int64())}),
                                       {RandomColumn(arrow::int64(), 5, 5, &rng)});
  const auto right = arrow::Table::Make(arrow::schema({arrow::field("b", arrow::utf8())}),
                                        {RandomColumn(arrow::utf8(), 5, 5, &rng)});
  const auto outputs = JoinAll({left}, {right}, {JoinKind::kInner, {"a"}, {"b"}, "", ""});
  ASSERT_FALSE(outputs.ok());
  EXPECT_EQ(outputs.status().message(),
            "keys of different types cannot be joined: left column 'a' is int64, right column 'b' "
            "is string");
}

}  // namespace

}  // namespace headrace
