#include <arrow/array.h>
#include <arrow/array/concatenate.h>
#include <arrow/chunked_array.h>
#include <arrow/type.h>

#include <span>
#include <utility>

#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/group_table.h"

// The first value of each group, of any type.

namespace headrace::accumulator {

namespace {

class FirstAccumulator : public Accumulator {
 public:
  explicit FirstAccumulator(Setting setting)
      : setting_(std::move(setting)), values_(setting_.column, setting_.pool) {}

  void Resize(std::int64_t groups) override {
    places_.resize(static_cast<std::size_t>(groups), kNoRow);
  }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    const bool skip_nulls = setting_.aggregate.ignore_nulls && column->null_count() > 0;
    std::vector<std::uint32_t> rows;
    for (std::int64_t i = 0; i < ids.rows; ++i) {
      std::uint32_t& place = places_[GroupOf(ids, i)];
      if (place != kNoRow || (skip_nulls && column->IsNull(i))) continue;
      place = static_cast<std::uint32_t>(values_.length() + static_cast<std::int64_t>(rows.size()));
      rows.push_back(static_cast<std::uint32_t>(i));
    }
    if (rows.empty()) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(
        auto taken,
        GatherColumn(std::make_shared<arrow::ChunkedArray>(column->Slice(0)), rows, setting_.pool));
    return values_.Append(*taken);
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    return AddRows(states.front().get(), ids);
  }

  arrow::DataTypeVector state_types() const override { return {setting_.column}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(auto column, Results(begin, end));
    return arrow::ArrayVector{std::move(column)};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    if (!column_) {
      ARROW_ASSIGN_OR_RAISE(auto values, values_.Column());
      ARROW_ASSIGN_OR_RAISE(column_, CombineColumn(values, setting_.pool));
    }
    const std::span<const std::uint32_t> places(places_.data() + begin,
                                                static_cast<std::size_t>(end - begin));
    ARROW_ASSIGN_OR_RAISE(auto taken,
                          GatherColumn(column_, places, setting_.pool, /*may_miss=*/true));
    if (taken->num_chunks() == 1) return taken->chunk(0);
    return arrow::Concatenate(taken->chunks(), setting_.pool);
  }

 private:
  const Setting setting_;
  ArrayPile values_;
  std::vector<std::uint32_t> places_;  // Of each group's value in values_. kNoRow: there is none.
  std::shared_ptr<arrow::ChunkedArray> column_;
};

}  // namespace

Ptr MakeFirst(Setting setting) { return std::make_unique<FirstAccumulator>(std::move(setting)); }

}  // namespace headrace::accumulator
