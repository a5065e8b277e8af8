#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/data/exchange/accumulator.h"
#include "headrace/data/exchange/group_table.h"
#include "headrace/protocol/exchange.h"

namespace headrace {

/// Groups rows, or states, and folds them. Holds the groups, never the rows (but for aggregates
/// that are lists). Without keys there is one group from the start.
///
/// Threads: one at a time.
class AggregateFolder {
 public:
  /// Returns the names of the columns that are folded: keys, then values or states. Each once.
  static std::vector<std::string> Columns(const AggregateStep& step, bool from_states);

  /// `input`: the schema of what is added, with exactly those columns. Where it has a key of text,
  /// batches may have codes for it (data/transform/codes.h).
  static Result<std::unique_ptr<AggregateFolder>> Make(const AggregateStep& step,
                                                       std::shared_ptr<arrow::Schema> input,
                                                       bool from_states, arrow::MemoryPool* pool);

  /// Adds rows of the input schema.
  Status Add(const arrow::RecordBatch& batch);

  /// Adds states, of the state schema.
  Status AddStates(const arrow::RecordBatch& states);

  /// Adds rows and makes each a group of its own, whatever its keys. Requires: nothing was added.
  Status AddApart(const arrow::RecordBatch& batch);

  std::int64_t num_groups() const { return num_groups_; }
  std::int64_t num_rows() const { return num_rows_; }
  const std::shared_ptr<arrow::Schema>& state_schema() const { return state_schema_; }
  const std::shared_ptr<arrow::Schema>& result_schema() const { return result_schema_; }

  /// Return groups [begin, end), in order of first appearance. Nothing is added afterwards.
  Result<std::shared_ptr<arrow::RecordBatch>> States(std::int64_t begin, std::int64_t end);
  Result<std::shared_ptr<arrow::RecordBatch>> Results(std::int64_t begin, std::int64_t end);

 private:
  // One aggregate, and where its columns are in the input.
  struct Aggregate {
    std::unique_ptr<Accumulator> accumulator;
    std::vector<int> columns;  // Empty: rows are counted.
  };

  AggregateFolder() = default;
  Status AddAggregates(const AggregateStep& step);
  Result<arrow::ArrayVector> Keys(std::int64_t begin, std::int64_t end);
  Result<GroupIds> FindGroups(const arrow::RecordBatch& batch);
  Status Accumulate(const arrow::RecordBatch& batch, const GroupIds& ids);

  std::shared_ptr<arrow::Schema> input_;
  std::shared_ptr<arrow::Schema> state_schema_;
  std::shared_ptr<arrow::Schema> result_schema_;
  bool from_states_ = false;
  int num_keys_ = 0;
  arrow::DataTypeVector key_types_;  // Of the table.
  arrow::MemoryPool* pool_ = nullptr;
  std::unique_ptr<GroupTable> table_;  // Null without keys.
  arrow::ArrayVector apart_keys_;      // After AddApart.
  std::vector<Aggregate> aggregates_;
  std::vector<std::uint32_t> ids_;  // Scratch.
  std::int64_t num_groups_ = 0;
  std::int64_t num_rows_ = 0;
};

}  // namespace headrace
