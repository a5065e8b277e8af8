#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "headrace/base/rng.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/transform/arrow_init.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

using TablePtr = std::shared_ptr<arrow::Table>;
using Value = std::optional<double>;
using Values = std::vector<Value>;
using Phase = AggregateStep::Phase;

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

Result<std::vector<TablePtr>> Fold(std::vector<TablePtr> tables, AggregateStep step, Phase phase) {
  step.phase = phase;
  auto stream =
      MakeAggregateStream(std::make_unique<TablesStream>(std::move(tables)), step, TaskContext());
  std::vector<TablePtr> outputs;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, stream->Next());
    if (!batch) return outputs;
    outputs.push_back(batch->block.table());
    ARROW_RETURN_NOT_OK(outputs.back()->ValidateFull());
  }
}

Result<TablePtr> FoldWhole(std::vector<TablePtr> tables, const AggregateStep& step) {
  ARROW_ASSIGN_OR_RAISE(auto outputs, Fold(std::move(tables), step, Phase::kWhole));
  return arrow::ConcatenateTables(outputs);
}

// Cuts a table into pieces of random sizes, some of them empty.
std::vector<TablePtr> Cut(const TablePtr& table, Rng* rng) {
  std::vector<TablePtr> pieces;
  std::int64_t at = 0;
  do {
    const auto left = static_cast<std::uint64_t>(table->num_rows() - at);
    const auto rows = static_cast<std::int64_t>(rng->Below(left + 1));
    pieces.push_back(table->Slice(at, rows));
    at += rows;
  } while (at < table->num_rows() && pieces.size() < 6);
  pieces.push_back(table->Slice(at));
  return pieces;
}

// Folds each piece as a task of its own would, then their states.
Result<TablePtr> FoldInTwo(const std::vector<TablePtr>& pieces, const AggregateStep& step,
                           Rng* rng) {
  std::vector<TablePtr> states;
  for (const TablePtr& piece : pieces) {
    ARROW_ASSIGN_OR_RAISE(auto outputs, Fold(Cut(piece, rng), step, Phase::kPartial));
    states.insert(states.end(), outputs.begin(), outputs.end());
  }
  ARROW_ASSIGN_OR_RAISE(auto outputs, Fold(std::move(states), step, Phase::kFinal));
  return arrow::ConcatenateTables(outputs);
}

bool IsTime(const arrow::DataType& type) {
  return arrow::is_temporal(type.id()) || type.id() == arrow::Type::DURATION;
}

// Values as an array of a type; they are whole numbers from 0 to 99, or -100 to 99.
std::shared_ptr<arrow::Array> MakeColumn(const Values& values,
                                         const std::shared_ptr<arrow::DataType>& type) {
  arrow::DoubleBuilder numbers;
  arrow::StringBuilder texts;
  for (const Value& value : values) {
    EXPECT_TRUE((value ? numbers.Append(*value) : numbers.AppendNull()).ok());
    const auto text = value ? std::to_string(500 + static_cast<int>(*value)) : "";
    EXPECT_TRUE((value ? texts.Append(text) : texts.AppendNull()).ok());
  }
  if (type->id() == arrow::Type::NA) {
    return std::make_shared<arrow::NullArray>(static_cast<std::int64_t>(values.size()));
  }
  const auto cast = [](const std::shared_ptr<arrow::Array>& from,
                       const std::shared_ptr<arrow::DataType>& to) {
    return arrow::compute::Cast(*from, to, arrow::compute::CastOptions::Unsafe()).ValueOrDie();
  };
  if (arrow::is_base_binary_like(type->id())) return cast(*texts.Finish(), type);
  if (type->id() == arrow::Type::DICTIONARY) {
    return arrow::compute::DictionaryEncode(*texts.Finish())->make_array();
  }
  const auto doubles = *numbers.Finish();
  if (IsTime(*type)) {
    const auto whole = type->bit_width() == 32 ? arrow::int32() : arrow::int64();
    return cast(cast(doubles, whole), type);
  }
  return cast(doubles, type);
}

Value Read(const arrow::Scalar& scalar) {
  if (!scalar.is_valid) return std::nullopt;
  if (arrow::is_base_binary_like(scalar.type->id())) {
    return std::stod(scalar.ToString()) - 500;
  }
  if (scalar.type->id() == arrow::Type::DICTIONARY) {
    return Read(
        *static_cast<const arrow::DictionaryScalar&>(scalar).GetEncodedValue().ValueOrDie());
  }
  if (scalar.type->id() == arrow::Type::BOOL) {
    return static_cast<const arrow::BooleanScalar&>(scalar).value ? 1 : 0;
  }
  if (IsTime(*scalar.type)) {
    const auto to = scalar.type->bit_width() == 32 ? arrow::int32() : arrow::int64();
    const auto whole = scalar.CastTo(to).ValueOrDie();
    return std::stod(whole->ToString());
  }
  return std::stod(scalar.ToString());
}

Values ReadColumn(const arrow::ChunkedArray& column) {
  Values values;
  for (std::int64_t i = 0; i < column.length(); ++i) {
    values.push_back(Read(**column.GetScalar(i)));
  }
  return values;
}

bool Same(const Value& a, const Value& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  if (std::isnan(*a) || std::isnan(*b)) return std::isnan(*a) && std::isnan(*b);
  return std::fabs(*a - *b) <= 1e-9 * std::max(1.0, std::fabs(*a));
}

// ---- The oracle: each aggregate of the values of one group, the plain way.

Values DropNulls(const Values& values) {
  Values kept;
  std::copy_if(values.begin(), values.end(), std::back_inserter(kept),
               [](const Value& value) { return value.has_value(); });
  return kept;
}

Values Distinct(const Values& values) {
  Values once;
  for (const Value& value : values) {
    if (std::none_of(once.begin(), once.end(), [&](const Value& v) { return Same(v, value); })) {
      once.push_back(value);
    }
  }
  return once;
}

Value Std(const Values& values, double ddof) {
  double mean = 0;
  for (const Value& value : values) mean += *value / static_cast<double>(values.size());
  double squares = 0;
  for (const Value& value : values) squares += (*value - mean) * (*value - mean);
  const double freedom = static_cast<double>(values.size()) - ddof;
  return freedom > 0 ? std::sqrt(squares / freedom) : std::nan("");
}

Value Extreme(const Values& values, AggregateKind kind) {
  Value best;
  for (Value value : values) {
    if (kind == AggregateKind::kAbsMax) value = std::fabs(*value);
    const bool better = !best || std::isnan(*best) ||
                        (kind == AggregateKind::kMin ? *value < *best : *value > *best);
    if (better) best = value;
  }
  return best;
}

Value Quantile(const Values& values, double q) {
  std::vector<double> sorted;
  for (const Value& value : values) {
    if (!std::isnan(*value)) sorted.push_back(*value);
  }
  if (sorted.empty()) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const double above = sorted[std::min(low + 1, sorted.size() - 1)];
  return sorted[low] + (above - sorted[low]) * (place - static_cast<double>(low));
}

bool MakesList(AggregateKind kind) {
  return kind == AggregateKind::kUnique || kind == AggregateKind::kList;
}

// Returns the result; of a list, its values.
Values Expect(const AggregateSpec& spec, const Values& rows) {
  const Values values = spec.ignore_nulls ? DropNulls(rows) : rows;
  const bool has_null = values.size() > DropNulls(values).size();
  const auto size = static_cast<double>(values.size());
  switch (spec.kind) {
    case AggregateKind::kCount:
      return {spec.column.empty() ? static_cast<double>(rows.size()) : size};
    case AggregateKind::kList:
      return values;
    case AggregateKind::kUnique:
      return Distinct(values);
    case AggregateKind::kCountDistinct:
      return {static_cast<double>(Distinct(values).size())};
    case AggregateKind::kFirst:
      return {values.empty() ? std::nullopt : values.front()};
    case AggregateKind::kMissingShare: {
      const auto missing = std::count_if(rows.begin(), rows.end(), [](const Value& value) {
        return !value || std::isnan(*value);
      });
      return {100.0 * static_cast<double>(missing) / static_cast<double>(rows.size())};
    }
    case AggregateKind::kZeroShare: {
      if (values.empty()) return {std::nullopt};
      const auto zeros = std::count(values.begin(), values.end(), Value(0.0));
      return {100.0 * static_cast<double>(zeros) / size};
    }
    default:
      break;
  }
  if (values.empty() || has_null) return {std::nullopt};
  double sum = 0;
  for (const Value& value : values) sum += *value;
  switch (spec.kind) {
    case AggregateKind::kSum:
      return {sum};
    case AggregateKind::kMean:
      return {sum / size};
    case AggregateKind::kStd:
      return {Std(values, spec.parameter)};
    case AggregateKind::kQuantile:
      return {Quantile(values, spec.parameter)};
    default:
      return {Extreme(values, spec.kind)};
  }
}

// Checks `result` against the rows of `table`. Groups must come in order of first appearance.
void Check(const arrow::Table& table, const AggregateStep& step, const arrow::Table& result) {
  std::vector<Values> keys;
  for (const auto& key : step.keys) keys.push_back(ReadColumn(*table.GetColumnByName(key)));
  std::map<std::vector<std::pair<int, double>>, std::size_t> numbers;
  std::vector<std::vector<std::size_t>> groups(step.keys.empty() ? 1 : 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(table.num_rows()); ++i) {
    std::vector<std::pair<int, double>> key;
    for (const Values& column : keys) {
      const Value value = column[i];
      const bool nan = value && std::isnan(*value);
      key.emplace_back(!value ? 0 : nan ? 1 : 2, !value || nan ? 0.0 : *value);
    }
    const auto number = numbers.emplace(key, step.keys.empty() ? 0 : groups.size());
    if (number.first->second == groups.size()) groups.emplace_back();
    groups[number.first->second].push_back(i);
  }
  ASSERT_EQ(result.num_rows(), static_cast<std::int64_t>(groups.size()));
  for (std::size_t k = 0; k < keys.size(); ++k) {
    const Values got = ReadColumn(*result.GetColumnByName(step.keys[k]));
    for (std::size_t g = 0; g < groups.size(); ++g) {
      ASSERT_TRUE(Same(got[g], keys[k][groups[g].front()])) << step.keys[k] << " of group " << g;
    }
  }
  for (const AggregateSpec& spec : step.aggregates) {
    const Values values = spec.column.empty() ? Values(table.num_rows())
                                              : ReadColumn(*table.GetColumnByName(spec.column));
    const auto column = result.GetColumnByName(spec.name);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      Values rows;
      for (const std::size_t i : groups[g]) rows.push_back(values[i]);
      const auto scalar = *column->GetScalar(static_cast<std::int64_t>(g));
      Values got;
      if (MakesList(spec.kind)) {
        ASSERT_TRUE(scalar->is_valid);
        const auto& list = static_cast<const arrow::ListScalar&>(*scalar);
        got = ReadColumn(arrow::ChunkedArray(list.value));
      } else {
        got = {Read(*scalar)};
      }
      const Values expected = Expect(spec, rows);
      const bool same = std::equal(got.begin(), got.end(), expected.begin(), expected.end(), Same);
      ASSERT_TRUE(same) << ToString(spec) << (spec.ignore_nulls ? "" : " with nulls") << " of "
                        << table.GetColumnByName(spec.column)->type()->ToString() << ", group " << g
                        << " of " << rows.size() << " rows: " << scalar->ToString();
    }
  }
}

Values RandomValues(std::int64_t rows, int low, int high, double nulls, bool nans, Rng* rng) {
  Values values;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto range = static_cast<std::uint64_t>(high - low);
    values.push_back(low + static_cast<int>(rng->Below(range)));
    if (nans && rng->Chance(0.1)) values.back() = std::nan("");
    if (rng->Chance(nulls)) values.back() = std::nullopt;
  }
  return values;
}

constexpr AggregateKind kKinds[] = {
    AggregateKind::kCount,     AggregateKind::kSum,           AggregateKind::kMin,
    AggregateKind::kMax,       AggregateKind::kMean,          AggregateKind::kStd,
    AggregateKind::kAbsMax,    AggregateKind::kQuantile,      AggregateKind::kUnique,
    AggregateKind::kList,      AggregateKind::kCountDistinct, AggregateKind::kMissingShare,
    AggregateKind::kZeroShare, AggregateKind::kFirst};

// All aggregates that there are of a column.
std::vector<AggregateSpec> AllOf(const std::string& column,
                                 const std::shared_ptr<arrow::DataType>& type) {
  std::vector<AggregateSpec> specs;
  for (const AggregateKind kind : kKinds) {
    for (const bool ignore_nulls : {true, false}) {
      AggregateSpec spec;
      spec.kind = kind;
      spec.column = column;
      spec.name = std::to_string(specs.size());
      spec.ignore_nulls = ignore_nulls;
      spec.parameter = kind == AggregateKind::kStd ? 1 : 0.3;
      if (AggregateType(spec, type).ok()) specs.push_back(spec);
    }
  }
  return specs;
}

class AggregateTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(InitializeArrow().ok()); }
};

TEST_F(AggregateTest, EveryKindOfEveryTypeMatchesTheOracleInOneAndInTwoPhases) {
  const arrow::DataTypeVector types = {arrow::int8(),
                                       arrow::int16(),
                                       arrow::int32(),
                                       arrow::int64(),
                                       arrow::uint8(),
                                       arrow::uint16(),
                                       arrow::uint32(),
                                       arrow::uint64(),
                                       arrow::float16(),
                                       arrow::float32(),
                                       arrow::float64(),
                                       arrow::boolean(),
                                       arrow::utf8(),
                                       arrow::binary(),
                                       arrow::large_utf8(),
                                       arrow::date32(),
                                       arrow::null(),
                                       arrow::duration(arrow::TimeUnit::MILLI),
                                       arrow::decimal32(9, 2),
                                       arrow::decimal64(15, 2),
                                       arrow::decimal128(20, 2),
                                       arrow::decimal256(50, 2),
                                       arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
                                       arrow::dictionary(arrow::int32(), arrow::utf8())};
  Rng rng(1);
  for (const auto& type : types) {
    for (int round = 0; round < 12; ++round) {
      const auto rows = static_cast<std::int64_t>(round == 0 ? 1 : rng.Below(200));
      const double nulls = type->id() == arrow::Type::NA ? 1 : round % 3 == 0 ? 0 : 0.2;
      const bool nans = arrow::is_floating(type->id()) && round % 2 == 0;
      const bool is_unsigned = arrow::is_unsigned_integer(type->id());
      const bool boolean = type->id() == arrow::Type::BOOL;
      const int low = is_unsigned || boolean ? 0 : -9;
      const Values x = RandomValues(rows, low, boolean ? 2 : 30, nulls, nans, &rng);
      const Values k = RandomValues(rows, 0, round % 4 == 1 ? 2 : 12, nulls / 2, false, &rng);
      const auto table = arrow::Table::Make(
          arrow::schema({arrow::field("k", arrow::int32()), arrow::field("x", type)}),
          {MakeColumn(k, arrow::int32()), MakeColumn(x, type)});
      AggregateStep step;
      if (round % 4 != 3) step.keys = {"k"};
      step.aggregates = AllOf("x", type);
      step.aggregates.push_back({AggregateKind::kCount, "", "rows"});
      if (rows == 0 && step.keys.empty()) continue;  // Shares of nothing: below.
      const auto schema = AggregateSchema(step, *table->schema());
      ASSERT_TRUE(schema.ok()) << schema.status();
      const auto whole = FoldWhole(Cut(table, &rng), step);
      ASSERT_TRUE(whole.ok()) << type->ToString() << ": " << whole.status();
      ASSERT_TRUE((*whole)->schema()->Equals(**schema)) << (*whole)->schema()->ToString();
      AggregateStep checked = step;
      checked.aggregates.pop_back();
      Check(*table, checked, **whole);
      const auto in_two = FoldInTwo(Cut(table, &rng), step, &rng);
      ASSERT_TRUE(in_two.ok()) << type->ToString() << ": " << in_two.status();
      ASSERT_TRUE((*in_two)->schema()->Equals(**schema)) << (*in_two)->schema()->ToString();
      Check(*table, checked, **in_two);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(AggregateTest, GroupsByKeysOfEveryType) {
  const arrow::DataTypeVector types = {arrow::int8(),
                                       arrow::uint64(),
                                       arrow::float16(),
                                       arrow::float32(),
                                       arrow::float64(),
                                       arrow::boolean(),
                                       arrow::utf8(),
                                       arrow::large_binary(),
                                       arrow::date32(),
                                       arrow::null(),
                                       arrow::decimal64(15, 2),
                                       arrow::decimal128(20, 2),
                                       arrow::timestamp(arrow::TimeUnit::NANO),
                                       arrow::dictionary(arrow::int32(), arrow::utf8())};
  Rng rng(2);
  for (const auto& first : types) {
    for (std::size_t second = 0; second <= types.size(); ++second) {
      const std::int64_t rows = 60;
      const auto column = [&](const std::shared_ptr<arrow::DataType>& type) {
        const int high = type->id() == arrow::Type::BOOL ? 2 : 8;
        return MakeColumn(RandomValues(rows, 0, high, type->id() == arrow::Type::NA ? 1 : 0.1,
                                       arrow::is_floating(type->id()), &rng),
                          type);
      };
      arrow::FieldVector fields = {arrow::field("a", first)};
      arrow::ArrayVector columns = {column(first)};
      AggregateStep step;
      step.keys = {"a"};
      if (second < types.size()) {
        fields.push_back(arrow::field("b", types[second]));
        columns.push_back(column(types[second]));
        step.keys.push_back("b");
      }
      fields.push_back(arrow::field("x", arrow::int64()));
      columns.push_back(column(arrow::int64()));
      step.aggregates = {{AggregateKind::kSum, "x", "sum"}, {AggregateKind::kCount, "x", "count"}};
      const auto table = arrow::Table::Make(arrow::schema(fields), columns);
      const auto whole = FoldWhole(Cut(table, &rng), step);
      ASSERT_TRUE(whole.ok()) << whole.status();
      Check(*table, step, **whole);
      const auto in_two = FoldInTwo(Cut(table, &rng), step, &rng);
      ASSERT_TRUE(in_two.ok()) << in_two.status();
      Check(*table, step, **in_two);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(AggregateTest, ZerosOfBothSignsAreOneGroupAndNanAreOne) {
  arrow::DoubleBuilder keys;
  ASSERT_TRUE(keys.AppendValues({0.0, -0.0, std::nan(""), -std::nan("1"), 1.0}).ok());
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("k", arrow::float64())}), {*keys.Finish()});
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = {{AggregateKind::kCount, "", "n"}};
  const auto result = FoldWhole({table}, step);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(ReadColumn(*(*result)->GetColumnByName("n")), (Values{2, 2, 1}));
}

TEST_F(AggregateTest, WithoutKeysThereIsOneGroupEvenOfNoRows) {
  const auto table =
      arrow::Table::MakeEmpty(arrow::schema({arrow::field("x", arrow::int32())})).ValueOrDie();
  AggregateStep step;
  step.aggregates = AllOf("x", arrow::int32());
  Rng rng(3);
  const auto whole = FoldWhole({table}, step);
  const auto in_two = FoldInTwo({table, table}, step, &rng);
  ASSERT_TRUE(whole.ok() && in_two.ok()) << whole.status() << in_two.status();
  EXPECT_TRUE((*whole)->Equals(**in_two));
  ASSERT_EQ((*whole)->num_rows(), 1);
  for (const AggregateSpec& spec : step.aggregates) {
    const auto got = *(*whole)->GetColumnByName(spec.name)->GetScalar(0);
    if (MakesList(spec.kind)) {
      EXPECT_EQ(static_cast<const arrow::ListScalar&>(*got).value->length(), 0);
    } else if (spec.kind == AggregateKind::kCount || spec.kind == AggregateKind::kCountDistinct) {
      EXPECT_EQ(got->ToString(), "0");
    } else {
      EXPECT_FALSE(got->is_valid) << ToString(spec);
    }
  }
  const auto nothing = Fold({}, step, Phase::kFinal);
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  ASSERT_EQ(nothing->size(), 1U);
  EXPECT_EQ(nothing->front()->num_rows(), 1);
}

TEST_F(AggregateTest, WithKeysNoRowsGiveTheSchema) {
  const auto table = arrow::Table::MakeEmpty(arrow::schema({arrow::field("k", arrow::utf8()),
                                                            arrow::field("x", arrow::int32())}))
                         .ValueOrDie();
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = AllOf("x", arrow::int32());
  Rng rng(4);
  const auto result = FoldInTwo({table, table}, step, &rng);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ((*result)->num_rows(), 0);
  EXPECT_TRUE((*result)->schema()->Equals(**AggregateSchema(step, *table->schema())));
  EXPECT_TRUE(Fold({}, step, Phase::kFinal)->empty());
}

TEST_F(AggregateTest, PassesRowsOnWhereFoldingDoesNotHelp) {
  constexpr std::int64_t kRows = 400000;
  Rng rng(5);
  for (const bool helps : {false, true}) {
    arrow::Int64Builder keys;
    arrow::DoubleBuilder values;
    for (std::int64_t i = 0; i < kRows; ++i) {
      const auto key = static_cast<std::int64_t>(rng.Below(helps ? 50000 : 1U << 30));
      ASSERT_TRUE(keys.Append(key).ok());
      ASSERT_TRUE(values.Append(static_cast<double>(rng.Below(100))).ok());
    }
    const auto table = arrow::Table::Make(
        arrow::schema({arrow::field("k", arrow::int64()), arrow::field("x", arrow::float64())}),
        {*keys.Finish(), *values.Finish()});
    AggregateStep step;
    step.keys = {"k"};
    step.aggregates = AllOf("x", arrow::float64());
    const auto states = Fold({table}, step, Phase::kPartial);
    ASSERT_TRUE(states.ok()) << states.status();
    std::int64_t rows = 0;
    for (const auto& state : *states) rows += state->num_rows();
    if (helps) {
      EXPECT_LE(rows, 50000);
    } else {
      EXPECT_GT(rows, kRows - 100);
      EXPECT_GT(states->size(), 5U);
    }
    const auto whole = FoldWhole({table}, step);
    const auto in_two = Fold(*states, step, Phase::kFinal);
    ASSERT_TRUE(whole.ok() && in_two.ok());
    const auto joined = *(*arrow::ConcatenateTables(*in_two))->CombineChunksToBatch();
    EXPECT_TRUE((*(*whole)->CombineChunksToBatch())
                    ->ApproxEquals(*joined, arrow::EqualOptions().nans_equal(true)));
  }
}

TEST_F(AggregateTest, OneKeyWithMostOfTheRows) {
  Rng rng(6);
  Values keys = RandomValues(3000, 0, 50, 0, false, &rng);
  for (Value& key : keys) {
    if (rng.Chance(0.9)) key = 7;
  }
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::utf8()), arrow::field("x", arrow::float64())}),
      {MakeColumn(keys, arrow::utf8()),
       MakeColumn(RandomValues(3000, -50, 50, 0.1, false, &rng), arrow::float64())});
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = AllOf("x", arrow::float64());
  const auto in_two = FoldInTwo(Cut(table, &rng), step, &rng);
  ASSERT_TRUE(in_two.ok()) << in_two.status();
  Check(*table, step, **in_two);
}

TEST_F(AggregateTest, StdOfCloseValuesFarFromZero) {
  arrow::DoubleBuilder values;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(values.Append(1e9 + i % 2).ok());
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::float64())}), {*values.Finish()});
  AggregateStep step;
  step.aggregates = {{AggregateKind::kStd, "x", "std", true, 0}};
  Rng rng(7);
  const auto result = FoldInTwo(Cut(table, &rng), step, &rng);
  ASSERT_TRUE(result.ok());
  EXPECT_NEAR(*Read(**(*result)->column(0)->GetScalar(0)), 0.5, 1e-9);
}

TEST_F(AggregateTest, BlocksOfDifferentTypesAreUnified) {
  const auto block = [](const arrow::FieldVector& fields, const Values& values) {
    arrow::ArrayVector columns;
    for (const auto& field : fields) columns.push_back(MakeColumn(values, field->type()));
    return arrow::Table::Make(arrow::schema(fields), columns);
  };
  const std::vector<TablePtr> blocks = {
      block({arrow::field("k", arrow::int8())}, {1, 2}),
      block({arrow::field("k", arrow::int8()), arrow::field("x", arrow::null())},
            {1, std::nullopt}),
      block({arrow::field("k", arrow::int32()), arrow::field("x", arrow::int32())}, {1, 2, 3}),
      block({arrow::field("x", arrow::float64()), arrow::field("k", arrow::int64())}, {3, 4})};
  const auto all = arrow::ConcatenateTables(
                       blocks,
                       [] {
                         auto options = arrow::ConcatenateTablesOptions::Defaults();
                         options.unify_schemas = true;
                         options.field_merge_options = arrow::Field::MergeOptions::Permissive();
                         return options;
                       }())
                       .ValueOrDie();
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = AllOf("x", arrow::float64());
  const auto whole = FoldWhole(blocks, step);
  ASSERT_TRUE(whole.ok()) << whole.status();
  Check(*all, step, **whole);
  std::vector<TablePtr> states;
  for (const auto& task : {std::vector<TablePtr>{blocks[0], blocks[1]}, {blocks[2]}, {blocks[3]}}) {
    const auto outputs = Fold(task, step, Phase::kPartial);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    states.insert(states.end(), outputs->begin(), outputs->end());
  }
  const auto final = Fold(states, step, Phase::kFinal);
  ASSERT_TRUE(final.ok()) << final.status();
  Check(*all, step, **arrow::ConcatenateTables(*final));
  const auto bad = FoldWhole({blocks[2], block({arrow::field("k", arrow::utf8())}, {1})}, step);
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("column 'k' has type int32 in some blocks and type string"),
            std::string::npos)
      << bad.status();
}

TEST_F(AggregateTest, FailuresNameTheColumn) {
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("k", arrow::int64()), arrow::field("s", arrow::utf8())}),
      {MakeColumn({1, 2}, arrow::int64()), MakeColumn({1, 2}, arrow::utf8())});
  const auto message = [&](const AggregateStep& step) {
    return FoldWhole({table}, step).status().message();
  };
  AggregateStep step;
  step.keys = {"k"};
  step.aggregates = {{AggregateKind::kSum, "y", "sum"}};
  EXPECT_EQ(message(step), "no column named 'y'; there are 'k', 's'");
  step.aggregates = {{AggregateKind::kSum, "s", "sum"}};
  EXPECT_EQ(message(step), "sum(s) cannot be computed: column 's' has type string");
  step.aggregates = {{AggregateKind::kCount, "", "k"}};
  EXPECT_EQ(message(step), "the aggregation would have two columns named 'k'");
}

TEST_F(AggregateTest, ASumThatOverflowsIsAnError) {
  arrow::Int64Builder values;
  ASSERT_TRUE(values.AppendValues({INT64_MAX, 1}).ok());
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}), {*values.Finish()});
  AggregateStep step;
  step.aggregates = {{AggregateKind::kSum, "x", "sum"}};
  const auto result = FoldWhole({table}, step);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(),
            "sum(x) does not fit into int64; cast the column to float64 first");
}

}  // namespace

}  // namespace headrace
