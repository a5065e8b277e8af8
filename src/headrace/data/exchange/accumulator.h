#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/exchange.h"

namespace headrace {

/// Which group each of some rows belongs to.
struct GroupIds {
  const std::uint32_t* ids = nullptr;  // Null: all rows are of group 0.
  std::int64_t rows = 0;
};

/// Computes one aggregate of every group.
///
///   values ──AddRows──▶ ┌────────────┐ ──States──▶ state columns ─┐
///                       │ a state of │                            │
///   ┌───AddStates─────▶ │ each group │ ──Results─▶ result column  │
///   └──────────────────────────────────────────────────────────────┘
///
/// State columns are named "{name}#{what}". A state is null where the result is bound to be: one
/// null was seen and they are not ignored; or, of the kinds marked °, no value was seen.
///
///   count                   count int64
///   sum°, min°, max°        sum, min, max: the result's type
///   abs_max°                abs_max: the column's type
///   mean                    sum double, count int64
///   std                     count int64, mean double, m2 double
///   quantile                values list<double>
///   unique, count_distinct  values list<column's type>, each once
///   list                    values list<column's type>
///   missing, zero share     rows int64, hits int64
///   first°                  first: the column's type; also null where the first value is
///
/// Threads: one at a time.
class Accumulator {
 public:
  /// `column`: the type of the values; ignored for counts of rows.
  static Result<std::unique_ptr<Accumulator>> Make(const AggregateSpec& aggregate,
                                                   const std::shared_ptr<arrow::DataType>& column,
                                                   arrow::MemoryPool* pool);
  /// Returns the accumulator that these states came from, or one that gives the same results.
  static Result<std::unique_ptr<Accumulator>> MakeForStates(const AggregateSpec& aggregate,
                                                            const arrow::DataTypeVector& states,
                                                            arrow::MemoryPool* pool);
  /// Returns the names of the state columns.
  static std::vector<std::string> StateNames(const AggregateSpec& aggregate);

  virtual ~Accumulator() = default;

  /// Makes states of no rows up to this number of groups. Before the rows of new groups are added.
  virtual void Resize(std::int64_t groups) = 0;

  /// Adds the values of rows. `column`: null for counts of rows; of the type given to Make.
  virtual Status AddRows(const arrow::Array* column, const GroupIds& ids) = 0;

  /// Adds states, of the types of state_types().
  virtual Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) = 0;

  virtual arrow::DataTypeVector state_types() const = 0;
  const std::shared_ptr<arrow::DataType>& result_type() const { return result_type_; }

  /// Return the states, or the results, of groups [begin, end). No rows are added afterwards.
  virtual Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) = 0;
  virtual Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) = 0;

 private:
  std::shared_ptr<arrow::DataType> result_type_;
};

}  // namespace headrace
