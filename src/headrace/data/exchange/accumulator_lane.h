#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "headrace/base/status.h"

// Columns of numbers as one of five C++ types, so that what folds them is written once.

namespace headrace::accumulator {

enum class Lane : std::uint8_t {
  kNone,
  kInt64,   // Signed integers, dates, times; the null type.
  kUInt64,  // Unsigned integers, booleans.
  kDouble,
  kDecimal128,  // And narrower ones.
  kDecimal256,
};
Lane LaneOf(const arrow::DataType& type);

/// Returns the array's values as T: std::int64_t, std::uint64_t, arrow::Decimal128 or Decimal256
/// for their lane, double for any. Without a copy where they lie so, else in `scratch`. Places of
/// nulls have some value.
template <class T>
const T* ReadLane(const arrow::Array& array, std::vector<T>* scratch);
template <>
const std::int64_t* ReadLane(const arrow::Array& array, std::vector<std::int64_t>* scratch);
template <>
const std::uint64_t* ReadLane(const arrow::Array& array, std::vector<std::uint64_t>* scratch);
template <>
const arrow::Decimal128* ReadLane(const arrow::Array& array,
                                  std::vector<arrow::Decimal128>* scratch);
template <>
const arrow::Decimal256* ReadLane(const arrow::Array& array,
                                  std::vector<arrow::Decimal256>* scratch);
template <>
const double* ReadLane(const arrow::Array& array, std::vector<double>* scratch);

/// Returns an array of `type` with these values, which fit. T is of the type's lane. `validity`:
/// null if all are valid.
template <class T>
Result<std::shared_ptr<arrow::Array>> MakeLaneArray(const std::shared_ptr<arrow::DataType>& type,
                                                    const std::vector<T>& values,
                                                    std::shared_ptr<arrow::Buffer> validity,
                                                    arrow::MemoryPool* pool);

}  // namespace headrace::accumulator
