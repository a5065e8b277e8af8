#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>

#include <cmath>
#include <utility>

#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/data/exchange/accumulator_lane.h"

// Counts, and shares of counts.

namespace headrace::accumulator {

namespace {

const std::int64_t* Integers(const arrow::Array& array) {
  return array.data()->GetValues<std::int64_t>(1);
}

class CountAccumulator : public Accumulator {
 public:
  explicit CountAccumulator(Setting setting) : setting_(std::move(setting)) {}

  void Resize(std::int64_t groups) override { counts_.resize(static_cast<std::size_t>(groups)); }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    if (!column || !setting_.aggregate.ignore_nulls || column->null_count() == 0) {
      if (ids.ids) {
        ApplyRows(counts_, ids, [](std::int64_t& count, std::int64_t) { ++count; });
      } else {
        counts_[0] += ids.rows;
      }
    } else {
      ApplyRows(counts_, ids,
                [&](std::int64_t& count, std::int64_t i) { count += column->IsValid(i); });
    }
    return Status::OK();
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    const std::int64_t* more = Integers(*states.front());
    ApplyRows(counts_, ids, [&](std::int64_t& count, std::int64_t i) { count += more[i]; });
    return Status::OK();
  }

  arrow::DataTypeVector state_types() const override { return {arrow::int64()}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(auto column, Results(begin, end));
    return arrow::ArrayVector{std::move(column)};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    const std::vector<std::int64_t> counts(counts_.begin() + begin, counts_.begin() + end);
    return MakeLaneArray(arrow::int64(), counts, nullptr, setting_.pool);
  }

 private:
  const Setting setting_;
  Growing<std::int64_t> counts_;
};

// The rows (or values) of which something is so, in percent of all.
class ShareAccumulator : public Accumulator {
 public:
  explicit ShareAccumulator(Setting setting) : setting_(std::move(setting)) {}

  void Resize(std::int64_t groups) override { states_.resize(static_cast<std::size_t>(groups)); }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    if (setting_.aggregate.kind == AggregateKind::kMissingShare) {
      AddMissing(*column, ids);
    } else {
      AddZeros(*column, ids);
    }
    return Status::OK();
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    const std::int64_t* rows = Integers(*states[0]);
    const std::int64_t* hits = Integers(*states[1]);
    ApplyRows(states_, ids, [&](State& state, std::int64_t i) {
      state.rows += rows[i];
      state.hits += hits[i];
    });
    return Status::OK();
  }

  arrow::DataTypeVector state_types() const override { return {arrow::int64(), arrow::int64()}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> hits;
    for (std::int64_t i = begin; i < end; ++i) {
      rows.push_back(states_[i].rows);
      hits.push_back(states_[i].hits);
    }
    ARROW_ASSIGN_OR_RAISE(auto a, MakeLaneArray(arrow::int64(), rows, nullptr, setting_.pool));
    ARROW_ASSIGN_OR_RAISE(auto b, MakeLaneArray(arrow::int64(), hits, nullptr, setting_.pool));
    return arrow::ArrayVector{std::move(a), std::move(b)};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(
        auto validity, MakeValidity(end - begin, setting_.pool,
                                    [&](std::int64_t i) { return states_[begin + i].rows > 0; }));
    std::vector<double> shares;
    for (std::int64_t i = begin; i < end; ++i) {
      const State& state = states_[i];
      shares.push_back(state.rows == 0 ? 0
                                       : static_cast<double>(state.hits) /
                                             static_cast<double>(state.rows) * 100);
    }
    return MakeLaneArray(arrow::float64(), shares, std::move(validity), setting_.pool);
  }

 private:
  struct State {
    std::int64_t rows = 0;
    std::int64_t hits = 0;
  };

  void AddMissing(const arrow::Array& column, const GroupIds& ids) {
    const double* numbers =
        LaneOf(*column.type()) == Lane::kDouble ? ReadLane(column, &scratch_) : nullptr;
    ApplyRows(states_, ids, [&](State& state, std::int64_t i) {
      ++state.rows;
      state.hits += column.IsNull(i) || (numbers && std::isnan(numbers[i]));
    });
  }

  void AddZeros(const arrow::Array& column, const GroupIds& ids) {
    const double* numbers = ReadLane(column, &scratch_);
    const bool counts_nulls = !setting_.aggregate.ignore_nulls;
    ApplyRows(states_, ids, [&](State& state, std::int64_t i) {
      const bool valid = column.IsValid(i);
      state.rows += valid || counts_nulls;
      state.hits += valid && numbers[i] == 0;
    });
  }

  const Setting setting_;
  Growing<State> states_;
  std::vector<double> scratch_;
};

}  // namespace

Ptr MakeCount(Setting setting) { return std::make_unique<CountAccumulator>(std::move(setting)); }

Ptr MakeShare(Setting setting) { return std::make_unique<ShareAccumulator>(std::move(setting)); }

}  // namespace headrace::accumulator
