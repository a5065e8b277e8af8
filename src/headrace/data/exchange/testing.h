#pragma once

// What the tests of the exchange share: streams over tables, and columns of every type.

#include <arrow/api.h>
#include <arrow/compute/api.h>
#include <arrow/util/float16.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/transform/arrow_init.h"

namespace headrace::testing {

using TablePtr = std::shared_ptr<arrow::Table>;
using ColumnPtr = std::shared_ptr<arrow::Array>;

/// Yields tables; fails when it is pulled after its end.
class TableStream : public BatchStream {
 public:
  explicit TableStream(std::vector<TablePtr> tables) : tables_(std::move(tables)) {}

  Result<std::optional<Batch>> Next() override {
    if (next_ > tables_.size()) return Status::Invalid("pulled after the end");
    if (next_++ == tables_.size()) return std::nullopt;
    Batch batch;
    batch.block = Block(tables_[next_ - 1]);
    return batch;
  }

 private:
  const std::vector<TablePtr> tables_;
  std::size_t next_ = 0;
};

inline StreamPtr StreamOf(std::vector<TablePtr> tables) {
  return std::make_unique<TableStream>(std::move(tables));
}

inline Result<std::vector<Batch>> Pull(StreamPtr stream) {
  ARROW_RETURN_NOT_OK(InitializeArrow());
  std::vector<Batch> batches;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, stream->Next());
    if (!batch) return batches;
    batches.push_back(*std::move(batch));
  }
}

inline TablePtr Joined(const std::vector<Batch>& batches) {
  std::vector<TablePtr> tables;
  for (const Batch& batch : batches) tables.push_back(batch.block.table());
  return arrow::ConcatenateTables(tables).ValueOrDie()->CombineChunks().ValueOrDie();
}

inline TablePtr PullTable(StreamPtr stream) { return Joined(Pull(std::move(stream)).ValueOrDie()); }

/// Cuts a table at random into 1 to 5 tables, perhaps empty ones.
inline std::vector<TablePtr> CutAtRandom(const TablePtr& table, Rng* rng) {
  std::vector<TablePtr> pieces;
  std::int64_t begin = 0;
  for (auto cuts = rng->Below(5); cuts > 0; --cuts) {
    const auto left = static_cast<std::uint64_t>(table->num_rows() - begin);
    const auto rows = static_cast<std::int64_t>(rng->Below(left + 1));
    pieces.push_back(table->Slice(begin, rows));
    begin += rows;
  }
  pieces.push_back(table->Slice(begin));
  return pieces;
}

/// Makes `rows` values of a builder: null one time in `null_of` (0: never).
template <class Builder, class Value>
ColumnPtr MakeColumn(std::shared_ptr<arrow::DataType> type, std::int64_t rows, int null_of,
                     Rng* rng, Value&& value) {
  Builder builder(std::move(type), arrow::default_memory_pool());
  for (std::int64_t i = 0; i < rows; ++i) {
    const bool is_null = null_of > 0 && rng->Below(static_cast<std::uint64_t>(null_of)) == 0;
    EXPECT_TRUE((is_null ? builder.AppendNull() : builder.Append(value())).ok());
  }
  return *builder.Finish();
}

inline double RandomFloat(Rng* rng) {
  switch (rng->Below(8)) {
    case 0:
      return std::numeric_limits<double>::quiet_NaN();
    case 1:
      return 0.0;
    case 2:
      return -0.0;
    case 3:
      return (rng->Chance(0.5) ? 1 : -1) * std::numeric_limits<double>::infinity();
    default:
      return static_cast<double>(rng->Below(40)) - 20.5;
  }
}

inline std::string RandomText(Rng* rng) {
  static const std::string kLetters("ab\0\xFF", 4);
  std::string text = rng->Chance(0.3) ? "a common beginning " : "";
  for (auto length = rng->Below(rng->Chance(0.2) ? 30 : 4); length > 0; --length) {
    text += kLetters[rng->Below(4)];
  }
  return text;
}

inline ColumnPtr Cast(const ColumnPtr& column, const std::shared_ptr<arrow::DataType>& type) {
  EXPECT_TRUE(InitializeArrow().ok());
  auto options = arrow::compute::CastOptions::Unsafe(type);
  return arrow::compute::Cast(arrow::Datum(column), options).ValueOrDie().make_array();
}

inline ColumnPtr WholeColumn(std::int64_t rows, std::int64_t range, int null_of, Rng* rng) {
  return MakeColumn<arrow::Int64Builder>(arrow::int64(), rows, null_of, rng, [&] {
    return static_cast<std::int64_t>(rng->Below(static_cast<std::uint64_t>(range))) - range / 2;
  });
}

inline ColumnPtr TextColumn(std::int64_t rows, int null_of, Rng* rng) {
  return MakeColumn<arrow::BinaryBuilder>(arrow::binary(), rows, null_of, rng,
                                          [&] { return RandomText(rng); });
}

inline ColumnPtr FloatColumn(std::int64_t rows, int null_of, Rng* rng) {
  return MakeColumn<arrow::DoubleBuilder>(arrow::float64(), rows, null_of, rng,
                                          [&] { return RandomFloat(rng); });
}

/// Returns a column of the type, of few different values.
inline ColumnPtr RandomColumn(const std::shared_ptr<arrow::DataType>& type, std::int64_t rows,
                              int null_of, Rng* rng) {
  using arrow::Type;
  switch (type->id()) {
    case Type::BOOL:
      return MakeColumn<arrow::BooleanBuilder>(type, rows, null_of, rng,
                                               [&] { return rng->Chance(0.5); });
    case Type::HALF_FLOAT:
      return MakeColumn<arrow::HalfFloatBuilder>(type, rows, null_of, rng, [&] {
        return arrow::util::Float16::FromDouble(RandomFloat(rng)).bits();
      });
    case Type::FLOAT:
    case Type::DOUBLE:
      return Cast(FloatColumn(rows, null_of, rng), type);
    case Type::STRING:
    case Type::BINARY:
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
      return Cast(TextColumn(rows, null_of, rng), type);
    case Type::FIXED_SIZE_BINARY:
      return MakeColumn<arrow::FixedSizeBinaryBuilder>(
          type, rows, null_of, rng, [&] { return (RandomText(rng) + "xyz").substr(0, 3); });
    case Type::DICTIONARY:
      return arrow::compute::DictionaryEncode(TextColumn(rows, null_of, rng))
          .ValueOrDie()
          .make_array();
    case Type::UINT64:
      return MakeColumn<arrow::UInt64Builder>(type, rows, null_of, rng, [&] {
        return rng->Chance(0.5) ? ~std::uint64_t{0} - rng->Below(9) : rng->Below(9);
      });
    case Type::TIME32:
    case Type::TIME64:
    case Type::DATE32:
    case Type::DATE64:
    case Type::DURATION:
    case Type::TIMESTAMP: {
      const bool narrow = type->id() == Type::TIME32 || type->id() == Type::DATE32;
      auto whole =
          Cast(WholeColumn(rows, 60, null_of, rng), narrow ? arrow::int32() : arrow::int64());
      return whole->View(type).ValueOrDie();
    }
    default:
      return Cast(WholeColumn(rows, 60, null_of, rng), type);
  }
}

/// Returns columns k0, k1, … of `types`, and "row", which numbers the rows.
inline TablePtr RandomTable(const std::vector<std::shared_ptr<arrow::DataType>>& types,
                            std::int64_t rows, int null_of, Rng* rng) {
  EXPECT_TRUE(InitializeArrow().ok());
  arrow::FieldVector fields;
  arrow::ArrayVector columns;
  for (const auto& type : types) {
    fields.push_back(arrow::field("k" + std::to_string(columns.size()), type));
    columns.push_back(RandomColumn(type, rows, null_of, rng));
    EXPECT_TRUE(columns.back()->type()->Equals(type)) << columns.back()->type()->ToString();
  }
  std::int64_t row = 0;
  columns.push_back(
      MakeColumn<arrow::Int64Builder>(arrow::int64(), rows, 0, rng, [&] { return row++; }));
  fields.push_back(arrow::field("row", arrow::int64()));
  return arrow::Table::Make(arrow::schema(std::move(fields)), std::move(columns));
}

/// Types of keys that Arrow can sort, too.
inline std::vector<std::shared_ptr<arrow::DataType>> SortableTypes() {
  return {arrow::int8(),
          arrow::int16(),
          arrow::int32(),
          arrow::int64(),
          arrow::uint64(),
          arrow::float32(),
          arrow::float64(),
          arrow::boolean(),
          arrow::utf8(),
          arrow::binary(),
          arrow::large_utf8(),
          arrow::fixed_size_binary(3),
          arrow::date32(),
          arrow::date64(),
          arrow::time32(arrow::TimeUnit::MILLI),
          arrow::time64(arrow::TimeUnit::NANO),
          arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"),
          arrow::duration(arrow::TimeUnit::SECOND),
          arrow::decimal128(25, 2),
          arrow::decimal256(50, 3)};
}

inline std::vector<std::int64_t> RowsOf(const arrow::Table& table) {
  std::vector<std::int64_t> rows;
  for (const auto& chunk : table.GetColumnByName("row")->chunks()) {
    const auto& values = static_cast<const arrow::Int64Array&>(*chunk);
    rows.insert(rows.end(), values.raw_values(), values.raw_values() + values.length());
  }
  return rows;
}

/// Returns how Arrow would order the rows: by "row" last, since its sort need not be stable.
inline std::vector<std::int64_t> OrderByArrow(const TablePtr& table,
                                              const std::vector<SortKey>& keys) {
  std::vector<arrow::compute::SortKey> theirs;
  for (const SortKey& key : keys) {
    const auto order = key.descending ? arrow::compute::SortOrder::Descending
                                      : arrow::compute::SortOrder::Ascending;
    theirs.emplace_back(key.column, order,
                        key.nulls_first ? arrow::compute::NullPlacement::AtStart
                                        : arrow::compute::NullPlacement::AtEnd);
  }
  theirs.emplace_back("row", arrow::compute::SortOrder::Ascending);
  const arrow::compute::SortOptions options(theirs);
  auto sorted = arrow::compute::SortIndices(arrow::Datum(table), options).ValueOrDie();
  const auto& rows = static_cast<const arrow::UInt64Array&>(*sorted);
  return {rows.raw_values(), rows.raw_values() + rows.length()};
}

}  // namespace headrace::testing
