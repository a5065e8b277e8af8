#include <arrow/array.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>

#include <cmath>
#include <limits>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/data/exchange/accumulator_lane.h"

// Sums and extremes of numbers.

namespace headrace::accumulator {

namespace {

// An operation on one lane: Add(&state, value) returns false if the state cannot hold the result.

template <class T>
struct SumOf {
  using Value = T;
  static constexpr const char* kWhat = "sum";
  static T Zero() { return T(); }
  static bool Add(T& sum, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      return !__builtin_add_overflow(sum, value, &sum);
    } else if constexpr (std::is_same_v<T, arrow::Decimal128>) {
      // Here, for Arrow's operator is a call for each row, and wraps around.
      const std::uint64_t low = sum.low_bits() + value.low_bits();
      const std::int64_t carry = low < value.low_bits() ? 1 : 0;
      std::int64_t high = 0;
      const bool wraps = __builtin_add_overflow(sum.high_bits(), value.high_bits(), &high) ||
                         __builtin_add_overflow(high, carry, &high);
      sum = T(high, low);
      return !wraps;
    } else {
      sum += value;
      return true;
    }
  }
};

template <class T, bool kMax>
struct ExtremeOf {
  using Value = T;
  static constexpr const char* kWhat = kMax ? "max" : "min";
  // Nan gives way to every number, so it is left only where there is nothing else.
  static T Zero() {
    if constexpr (std::is_same_v<T, double>) {
      return std::numeric_limits<double>::quiet_NaN();
    } else if constexpr (std::is_integral_v<T>) {
      return kMax ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
    } else {
      return kMax ? T(T::GetMinSentinel()) : T(T::GetMaxSentinel());
    }
  }
  static bool Add(T& extreme, const T& value) {
    if constexpr (std::is_same_v<T, double>) {
      if ((kMax ? value > extreme : value < extreme) || extreme != extreme) extreme = value;
    } else if (kMax ? value > extreme : value < extreme) {
      extreme = value;
    }
    return true;
  }
};

template <class T>
struct AbsMaxOf {
  using Value = T;
  static constexpr const char* kWhat = "abs_max";
  static T Zero() {
    if constexpr (std::is_same_v<T, double>) return std::numeric_limits<double>::quiet_NaN();
    return T();
  }
  static bool Add(T& extreme, const T& value) {
    if constexpr (std::is_same_v<T, double>) {
      const double magnitude = std::fabs(value);
      if (magnitude > extreme || extreme != extreme) extreme = magnitude;
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      if (value == std::numeric_limits<T>::min()) return false;
      const T magnitude = value < 0 ? -value : value;
      if (magnitude > extreme) extreme = magnitude;
    } else {
      const T magnitude = value < T() ? T(-value) : value;
      if (magnitude > extreme) extreme = magnitude;
    }
    return true;
  }
};

template <class Op>
class NumberAccumulator : public Accumulator {
 public:
  using T = typename Op::Value;

  explicit NumberAccumulator(Setting setting) : setting_(std::move(setting)) {}

  void Resize(std::int64_t groups) override {
    states_.resize(static_cast<std::size_t>(groups), Op::Zero());
    seen_.Resize(groups);
  }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    HEADRACE_CHECK(column);
    const T* values = ReadLane<T>(*column, &scratch_);
    const bool has_nulls = column->null_count() > 0;
    if (has_nulls) seen_.Track();
    bool fits = true;
    if (!seen_.tracks()) {
      ApplyRows(states_, ids, [&](T& state, std::int64_t i) { fits &= Op::Add(state, values[i]); });
    } else {
      for (std::int64_t i = 0; i < ids.rows; ++i) {
        const std::uint32_t group = GroupOf(ids, i);
        if (has_nulls && column->IsNull(i)) {
          seen_.NoteNull(group);
        } else {
          fits &= Op::Add(states_[group], values[i]);
          seen_.NoteValue(group);
        }
      }
    }
    seen_.EndRows();
    return fits ? Status::OK() : DoesNotFit();
  }

  // A state is null as a value is: see accumulator.h.
  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    return AddRows(states.front().get(), ids);
  }

  arrow::DataTypeVector state_types() const override { return {setting_.result}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(auto column, Results(begin, end));
    return arrow::ArrayVector{std::move(column)};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    const bool ignore_nulls = setting_.aggregate.ignore_nulls;
    ARROW_ASSIGN_OR_RAISE(auto validity,
                          MakeValidity(end - begin, setting_.pool, [&](std::int64_t i) {
                            return seen_.IsValid(begin + i, ignore_nulls);
                          }));
    std::vector<T> values(states_.begin() + begin, states_.begin() + end);
    for (std::int64_t i = 0; i < end - begin; ++i) {
      if (!seen_.IsValid(begin + i, ignore_nulls)) {
        values[i] = T();
      } else if (!Fits(values[i])) {
        return DoesNotFit();
      }
    }
    return MakeLaneArray(setting_.result, values, std::move(validity), setting_.pool);
  }

 private:
  bool Fits(const T& value) const {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      // Only a magnitude can leave the type of the values.
      const int bits = setting_.result->bit_width();
      return bits < 8 || bits == 64 || value <= (std::int64_t{1} << (bits - 1)) - 1;
    } else if constexpr (!std::is_arithmetic_v<T>) {
      const auto& type = static_cast<const arrow::DecimalType&>(*setting_.result);
      return value.FitsInPrecision(type.precision());
    }
    return true;
  }

  Status DoesNotFit() const {
    return Status::Invalid(ToString(setting_.aggregate), " does not fit into ",
                           setting_.result->ToString(), "; cast the column to float64 first");
  }

  const Setting setting_;
  Growing<T> states_;
  Seen seen_;
  std::vector<T> scratch_;
};

template <class T>
Ptr MakeOnLane(Setting setting) {
  switch (setting.aggregate.kind) {
    case AggregateKind::kSum:
      return std::make_unique<NumberAccumulator<SumOf<T>>>(std::move(setting));
    case AggregateKind::kMin:
      return std::make_unique<NumberAccumulator<ExtremeOf<T, false>>>(std::move(setting));
    case AggregateKind::kMax:
      return std::make_unique<NumberAccumulator<ExtremeOf<T, true>>>(std::move(setting));
    default:
      return std::make_unique<NumberAccumulator<AbsMaxOf<T>>>(std::move(setting));
  }
}

}  // namespace

Result<Ptr> MakeNumber(Setting setting) {
  switch (LaneOf(*setting.result)) {
    case Lane::kInt64:
      return MakeOnLane<std::int64_t>(std::move(setting));
    case Lane::kUInt64:
      return MakeOnLane<std::uint64_t>(std::move(setting));
    case Lane::kDouble:
      return MakeOnLane<double>(std::move(setting));
    case Lane::kDecimal128:
      return MakeOnLane<arrow::Decimal128>(std::move(setting));
    case Lane::kDecimal256:
      return MakeOnLane<arrow::Decimal256>(std::move(setting));
    case Lane::kNone:
      break;
  }
  return Status::TypeError(ToString(setting.aggregate), " cannot be computed of ",
                           setting.column->ToString());
}

}  // namespace headrace::accumulator
