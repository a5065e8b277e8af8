#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/data/exchange/accumulator_lane.h"

// Exact quantiles: all values are kept. Nan are none.

namespace headrace::accumulator {

namespace {

class QuantileAccumulator : public Accumulator {
 public:
  explicit QuantileAccumulator(Setting setting) : setting_(std::move(setting)) {}

  void Resize(std::int64_t groups) override {
    num_groups_ = groups;
    seen_.Resize(groups);
  }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    const double* values = ReadLane(*column, &scratch_);
    if (column->null_count() > 0) seen_.Track();
    for (std::int64_t i = 0; i < ids.rows; ++i) {
      if (column->IsNull(i)) {
        seen_.NoteNull(GroupOf(ids, i));
      } else if (!std::isnan(values[i])) {
        values_.push_back(values[i]);
        groups_.push_back(GroupOf(ids, i));
      }
    }
    return Status::OK();
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    const auto& lists = static_cast<const arrow::ListArray&>(*states.front());
    const double* values = lists.values()->data()->GetValues<double>(1);
    if (lists.null_count() > 0) seen_.Track();
    for (std::int64_t i = 0; i < ids.rows; ++i) {
      if (lists.IsNull(i)) {
        seen_.NoteNull(GroupOf(ids, i));
        continue;
      }
      values_.insert(values_.end(), values + lists.value_offset(i),
                     values + lists.value_offset(i + 1));
      groups_.resize(values_.size(), GroupOf(ids, i));
    }
    return Status::OK();
  }

  arrow::DataTypeVector state_types() const override { return {arrow::list(arrow::float64())}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    Order();
    const std::int64_t first = offsets_[begin];
    if (offsets_[end] - first > std::numeric_limits<std::int32_t>::max()) {
      return Status::CapacityError("a list column would have more than 2^31 - 1 values");
    }
    std::vector<std::int64_t> offsets;
    for (std::int64_t i = begin; i <= end; ++i) offsets.push_back(offsets_[i] - first);
    const std::vector<double> values(values_.begin() + first, values_.begin() + offsets_[end]);
    ARROW_ASSIGN_OR_RAISE(auto validity,
                          MakeValidity(end - begin, setting_.pool, [&](std::int64_t i) {
                            return setting_.aggregate.ignore_nulls || !seen_.HasNull(begin + i);
                          }));
    ARROW_ASSIGN_OR_RAISE(auto ends,
                          MakeLaneArray(arrow::int32(), offsets, nullptr, setting_.pool));
    ARROW_ASSIGN_OR_RAISE(auto items,
                          MakeLaneArray(arrow::float64(), values, nullptr, setting_.pool));
    return arrow::ArrayVector{
        std::make_shared<arrow::ListArray>(arrow::list(arrow::float64()), end - begin,
                                           ends->data()->buffers[1], items, std::move(validity))};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    Order();
    ARROW_ASSIGN_OR_RAISE(auto validity,
                          MakeValidity(end - begin, setting_.pool, [&](std::int64_t i) {
                            return offsets_[begin + i + 1] > offsets_[begin + i] &&
                                   (setting_.aggregate.ignore_nulls || !seen_.HasNull(begin + i));
                          }));
    std::vector<double> results;
    for (std::int64_t i = begin; i < end; ++i) {
      results.push_back(Quantile(values_.data() + offsets_[i], values_.data() + offsets_[i + 1]));
    }
    return MakeLaneArray(arrow::float64(), results, std::move(validity), setting_.pool);
  }

 private:
  // Puts the values in order of groups.
  void Order() {
    if (ordered_) return;
    ordered_ = true;
    Grouped grouped = GroupValues(groups_, num_groups_);
    offsets_ = std::move(grouped.offsets);
    if (num_groups_ <= 1) return;
    std::vector<double> values;
    values.reserve(values_.size());
    for (const std::uint32_t place : grouped.order) values.push_back(values_[place]);
    values_ = std::move(values);
  }

  double Quantile(double* begin, double* end) const {
    if (begin == end) return 0;
    const double place = setting_.aggregate.parameter * static_cast<double>(end - begin - 1);
    const auto low = static_cast<std::ptrdiff_t>(place);
    std::nth_element(begin, begin + low, end);
    const double share = place - static_cast<double>(low);
    if (share == 0) return begin[low];
    const double above = *std::min_element(begin + low + 1, end);
    return begin[low] + (above - begin[low]) * share;
  }

  const Setting setting_;
  std::int64_t num_groups_ = 0;
  std::vector<double> values_;
  std::vector<std::uint32_t> groups_;  // Of each value.
  std::vector<std::int64_t> offsets_;
  bool ordered_ = false;
  Seen seen_;  // Nulls only.
  std::vector<double> scratch_;
};

}  // namespace

Ptr MakeQuantile(Setting setting) {
  return std::make_unique<QuantileAccumulator>(std::move(setting));
}

}  // namespace headrace::accumulator
