#pragma once

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/data/exchange/exchange.h"

// Folds tables, and says what must come out: each aggregate the plain way, value by value.

namespace headrace::aggregate_testing {

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

inline Result<std::vector<TablePtr>> Fold(std::vector<TablePtr> tables, AggregateStep step,
                                          Phase phase) {
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

inline Result<TablePtr> FoldWhole(std::vector<TablePtr> tables, const AggregateStep& step) {
  ARROW_ASSIGN_OR_RAISE(auto outputs, Fold(std::move(tables), step, Phase::kWhole));
  return arrow::ConcatenateTables(outputs);
}

// Cuts a table into pieces of random sizes, some of them empty.
inline std::vector<TablePtr> Cut(const TablePtr& table, Rng* rng) {
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
inline Result<TablePtr> FoldInTwo(const std::vector<TablePtr>& pieces, const AggregateStep& step,
                                  Rng* rng) {
  std::vector<TablePtr> states;
  for (const TablePtr& piece : pieces) {
    ARROW_ASSIGN_OR_RAISE(auto outputs, Fold(Cut(piece, rng), step, Phase::kPartial));
    states.insert(states.end(), outputs.begin(), outputs.end());
  }
  ARROW_ASSIGN_OR_RAISE(auto outputs, Fold(std::move(states), step, Phase::kFinal));
  return arrow::ConcatenateTables(outputs);
}

inline bool IsTime(const arrow::DataType& type) {
  return arrow::is_temporal(type.id()) || type.id() == arrow::Type::DURATION;
}

// Values as an array of a type; they are whole numbers from 0 to 99, or -100 to 99.
inline std::shared_ptr<arrow::Array> MakeColumn(const Values& values,
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

inline Value ReadScalar(const arrow::Scalar& scalar) {
  if (!scalar.is_valid) return std::nullopt;
  if (arrow::is_base_binary_like(scalar.type->id())) {
    return std::stod(scalar.ToString()) - 500;
  }
  if (scalar.type->id() == arrow::Type::DICTIONARY) {
    return ReadScalar(
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

inline Values ReadColumn(const arrow::ChunkedArray& column) {
  Values values;
  for (std::int64_t i = 0; i < column.length(); ++i) {
    values.push_back(ReadScalar(**column.GetScalar(i)));
  }
  return values;
}

inline bool Same(const Value& a, const Value& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  if (std::isnan(*a) || std::isnan(*b)) return std::isnan(*a) && std::isnan(*b);
  return std::fabs(*a - *b) <= 1e-9 * std::max(1.0, std::fabs(*a));
}

// ---- The oracle: each aggregate of the values of one group, the plain way.

inline Values DropNulls(const Values& values) {
  Values kept;
  std::copy_if(values.begin(), values.end(), std::back_inserter(kept),
               [](const Value& value) { return value.has_value(); });
  return kept;
}

inline Values Distinct(const Values& values) {
  Values once;
  for (const Value& value : values) {
    if (std::none_of(once.begin(), once.end(), [&](const Value& v) { return Same(v, value); })) {
      once.push_back(value);
    }
  }
  return once;
}

inline Value Std(const Values& values, double ddof) {
  double mean = 0;
  for (const Value& value : values) mean += *value / static_cast<double>(values.size());
  double squares = 0;
  for (const Value& value : values) squares += (*value - mean) * (*value - mean);
  const double freedom = static_cast<double>(values.size()) - ddof;
  return freedom > 0 ? std::sqrt(squares / freedom) : std::nan("");
}

inline Value Extreme(const Values& values, AggregateKind kind) {
  Value best;
  for (Value value : values) {
    if (kind == AggregateKind::kAbsMax) value = std::fabs(*value);
    const bool better = !best || std::isnan(*best) ||
                        (kind == AggregateKind::kMin ? *value < *best : *value > *best);
    if (better) best = value;
  }
  return best;
}

inline Value Quantile(const Values& values, double q) {
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

inline bool MakesList(AggregateKind kind) {
  return kind == AggregateKind::kUnique || kind == AggregateKind::kList;
}

// Returns the result; of a list, its values.
inline Values Expect(const AggregateSpec& spec, const Values& rows) {
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
inline void Check(const arrow::Table& table, const AggregateStep& step,
                  const arrow::Table& result) {
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
        got = {ReadScalar(*scalar)};
      }
      const Values expected = Expect(spec, rows);
      const bool same = std::equal(got.begin(), got.end(), expected.begin(), expected.end(), Same);
      ASSERT_TRUE(same) << ToString(spec) << (spec.ignore_nulls ? "" : " with nulls") << " of "
                        << table.GetColumnByName(spec.column)->type()->ToString() << ", group " << g
                        << " of " << rows.size() << " rows: " << scalar->ToString();
    }
  }
}

inline Values RandomValues(std::int64_t rows, int low, int high, double nulls, bool nans,
                           Rng* rng) {
  Values values;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto range = static_cast<std::uint64_t>(high - low);
    values.push_back(low + static_cast<int>(rng->Below(range)));
    if (nans && rng->Chance(0.1)) values.back() = std::nan("");
    if (rng->Chance(nulls)) values.back() = std::nullopt;
  }
  return values;
}

}  // namespace headrace::aggregate_testing
