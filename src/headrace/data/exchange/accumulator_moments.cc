#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>

#include <cmath>
#include <limits>
#include <utility>

#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/data/exchange/accumulator_lane.h"

// Mean and standard deviation.

namespace headrace::accumulator {

namespace {

struct MeanState {
  double sum = 0;
  std::int64_t count = 0;

  static arrow::DataTypeVector types() { return {arrow::float64(), arrow::int64()}; }
  void Add(double value) {
    sum += value;
    ++count;
  }
  void Merge(const MeanState& other) {
    sum += other.sum;
    count += other.count;
  }
  double Result(double) const { return sum / static_cast<double>(count); }
};

// Squared distances from a mean that follows the values (Welford), merged as by Chan et al.: sums
// of squares would cancel out where the mean is large.
struct StdState {
  std::int64_t count = 0;
  double mean = 0;
  double m2 = 0;

  static arrow::DataTypeVector types() {
    return {arrow::int64(), arrow::float64(), arrow::float64()};
  }
  void Add(double value) {
    ++count;
    const double distance = value - mean;
    mean += distance / static_cast<double>(count);
    m2 += distance * (value - mean);
  }
  void Merge(const StdState& other) {
    if (other.count == 0) return;
    if (count == 0) {  // Also because the square below may be too large.
      *this = other;
      return;
    }
    const double all = static_cast<double>(count + other.count);
    const double distance = other.mean - mean;
    const double share = static_cast<double>(other.count) / all;
    m2 += other.m2 + distance * distance * static_cast<double>(count) * share;
    mean += distance * share;
    count += other.count;
  }
  // Nan where there are no more values than `ddof`.
  double Result(double ddof) const {
    const double freedom = static_cast<double>(count) - ddof;
    return freedom > 0 ? std::sqrt(m2 / freedom) : std::numeric_limits<double>::quiet_NaN();
  }
};

MeanState ReadState(const arrow::ArrayVector& columns, std::int64_t i, const MeanState*) {
  return {columns[0]->data()->GetValues<double>(1)[i],
          columns[1]->data()->GetValues<std::int64_t>(1)[i]};
}

StdState ReadState(const arrow::ArrayVector& columns, std::int64_t i, const StdState*) {
  return {columns[0]->data()->GetValues<std::int64_t>(1)[i],
          columns[1]->data()->GetValues<double>(1)[i], columns[2]->data()->GetValues<double>(1)[i]};
}

template <class State>
class MomentAccumulator : public Accumulator {
 public:
  explicit MomentAccumulator(Setting setting) : setting_(std::move(setting)) {}

  void Resize(std::int64_t groups) override {
    states_.resize(static_cast<std::size_t>(groups));
    seen_.Resize(groups);
  }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    const double* values = ReadLane(*column, &scratch_);
    if (column->null_count() == 0) {
      ApplyRows(states_, ids, [&](State& state, std::int64_t i) { state.Add(values[i]); });
      return Status::OK();
    }
    NoteNulls(*column, ids);
    ApplyRows(states_, ids, [&](State& state, std::int64_t i) {
      if (column->IsValid(i)) state.Add(values[i]);
    });
    return Status::OK();
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    const arrow::Array& first = *states.front();
    if (first.null_count() > 0) NoteNulls(first, ids);
    ApplyRows(states_, ids, [&](State& state, std::int64_t i) {
      if (first.IsValid(i)) state.Merge(ReadState(states, i, static_cast<State*>(nullptr)));
    });
    return Status::OK();
  }

  arrow::DataTypeVector state_types() const override { return State::types(); }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(
        auto validity, MakeValidity(end - begin, setting_.pool,
                                    [&](std::int64_t i) { return !IsBoundToBeNull(begin + i); }));
    std::vector<std::int64_t> counts;
    std::vector<double> first;
    std::vector<double> second;
    for (std::int64_t i = begin; i < end; ++i) {
      const State& state = states_[i];
      counts.push_back(state.count);
      if constexpr (std::is_same_v<State, MeanState>) {
        first.push_back(state.sum);
      } else {
        first.push_back(state.mean);
        second.push_back(state.m2);
      }
    }
    const auto column = [&](const auto& type, const auto& values) {
      return MakeLaneArray(type, values, validity, setting_.pool);
    };
    ARROW_ASSIGN_OR_RAISE(auto count, column(arrow::int64(), counts));
    ARROW_ASSIGN_OR_RAISE(auto a, column(arrow::float64(), first));
    if constexpr (std::is_same_v<State, MeanState>) return arrow::ArrayVector{a, count};
    ARROW_ASSIGN_OR_RAISE(auto b, column(arrow::float64(), second));
    return arrow::ArrayVector{count, a, b};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(auto validity,
                          MakeValidity(end - begin, setting_.pool, [&](std::int64_t i) {
                            return states_[begin + i].count > 0 && !IsBoundToBeNull(begin + i);
                          }));
    std::vector<double> results;
    for (std::int64_t i = begin; i < end; ++i) {
      const State& state = states_[i];
      results.push_back(state.count == 0 ? 0 : state.Result(setting_.aggregate.parameter));
    }
    return MakeLaneArray(arrow::float64(), results, std::move(validity), setting_.pool);
  }

 private:
  bool IsBoundToBeNull(std::int64_t group) const {
    return !setting_.aggregate.ignore_nulls && seen_.HasNull(group);
  }

  void NoteNulls(const arrow::Array& column, const GroupIds& ids) {
    seen_.Track();
    for (std::int64_t i = 0; i < ids.rows; ++i) {
      if (column.IsNull(i)) seen_.NoteNull(GroupOf(ids, i));
    }
  }

  const Setting setting_;
  Growing<State> states_;
  Seen seen_;  // Nulls only.
  std::vector<double> scratch_;
};

}  // namespace

Ptr MakeMoments(Setting setting) {
  if (setting.aggregate.kind == AggregateKind::kMean) {
    return std::make_unique<MomentAccumulator<MeanState>>(std::move(setting));
  }
  return std::make_unique<MomentAccumulator<StdState>>(std::move(setting));
}

}  // namespace headrace::accumulator
