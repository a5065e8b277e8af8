#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/program.h"

// What the user asked for: an immutable tree of plain values.
//
// Plans share subtrees. A rewrite makes new operators and keeps the untouched ones, so "nothing
// changed" is pointer equality. One struct per operator: a new operator is a new struct here,
// and the compiler then lists every std::visit that has to learn it.

namespace headrace {

class LogicalOperator;
using LogicalPtr = std::shared_ptr<const LogicalOperator>;

namespace logical {

/// Resources and workers for the tasks of one operator, as the user asked.
struct Placement {
  std::optional<Resources> cost;   // Unset: 1 cpu.
  std::optional<Compute> compute;  // Unset: tasks, or one actor for a class.
  std::string where{};             // As in TaskProgram. "": any worker.
  bool operator==(const Placement&) const = default;
};

struct Read {
  std::shared_ptr<const ReadSource> source;
  std::optional<std::vector<std::string>> columns;  // As in ReadStep.
  ExprPtr filter;
  std::int64_t row_limit = -1;
  std::int64_t parallelism = -1;  // Number of blocks asked for (override_num_blocks). -1: auto.
  Placement placement;
};

/// Blocks that exist: from_items, from_arrow, materialize. `keep_alive` holds them.
struct InputData {
  std::vector<BlockHandle> blocks;
  std::shared_ptr<const void> keep_alive;
  std::string name = "InputData";
};

/// map, map_batches, flat_map, filter(fn): the function's kind tells which.
struct Map {
  FunctionPtr function;
  Placement placement;
  std::int64_t min_bundle_rows = 0;  // Default: the function's batch_rows.
};

struct Filter {
  ExprPtr predicate;
  Placement placement;
};

/// select, drop, rename, with_column; see ProjectStep.
struct Project {
  ProjectStep projection;
  std::string label;  // As shown: "Project" or e.g. "WithColumn(x)".
  Placement placement;
};

struct Limit {
  std::int64_t rows = 0;
};

struct Union {};

/// Blocks of the inputs by turns, so that their rows are in the ratio of `weights`: one for each
/// input, positive. An input that has ended drops out, or, by `stop_on_shortest`, ends the whole.
struct Mix {
  std::vector<double> weights;
  bool stop_on_shortest = false;
};

struct Write {
  std::shared_ptr<const WriteTarget> target;
  Placement placement;
  std::int64_t min_bundle_rows = 0;  // min_rows_per_file.
};

// ---- Operators that need all of their input; see protocol/exchange.h.

/// Other block boundaries. Exactly one of the first two is set, or `keys` with or without `blocks`.
struct Repartition {
  std::int64_t blocks = -1;          // So many blocks, also if some have no rows.
  std::int64_t rows_per_block = -1;  // Blocks of exactly so many rows; the last may have fewer.
  std::vector<std::string> keys;     // Rows with equal keys in one block.
  bool shuffle = false;              // By `blocks`: at random, by the seed, instead of in order.
  std::uint64_t seed = 0;
  bool sort = false;  // By `keys`: each block sorted by them.
};

/// All rows in random order.
struct RandomShuffle {
  std::uint64_t seed = 0;
  std::int64_t blocks = -1;  // Of the output. -1: from the sizes.
  Placement placement;
};

/// The blocks as they are, in random order.
struct RandomizeBlocks {
  std::uint64_t seed = 0;
};

/// Stable. `boundaries`: encoded keys between which each output block lies; empty: from the data.
struct Sort {
  std::vector<SortKey> keys;
  std::vector<std::string> boundaries;
  std::int64_t limit = -1;  // Rows after the first so many are not asked for.
};

/// One row for each group, in no order that is promised; the keys, then the aggregates.
struct Aggregate {
  std::vector<std::string> keys;
  std::vector<AggregateSpec> aggregates;
  std::int64_t partitions = -1;
};

/// Blocks of whole groups, sorted by the keys within each: for functions that take groups.
struct Group {
  std::vector<std::string> keys;
  std::int64_t partitions = -1;
};

/// Two inputs: left and right.
struct Join {
  JoinStep join;
  std::int64_t partitions = -1;
};

/// Two or more inputs, which must have as many rows.
struct Zip {};

}  // namespace logical

using LogicalKind =
    std::variant<logical::Read, logical::InputData, logical::Map, logical::Filter, logical::Project,
                 logical::Limit, logical::Union, logical::Mix, logical::Write, logical::Repartition,
                 logical::RandomShuffle, logical::RandomizeBlocks, logical::Sort,
                 logical::Aggregate, logical::Group, logical::Join, logical::Zip>;

/// What follows from a plan alone: see InferSchema(), InferColumns() and Validate().
struct PlanFacts {
  std::shared_ptr<arrow::Schema> schema;
  std::optional<std::vector<std::string>> columns;
  Status fault;
};

/// One node of a logical plan: what it does and where its input comes from.
class LogicalOperator {
 public:
  /// Makes a node. Requires: the number of inputs that the kind takes (Read and InputData none,
  /// Union and Mix one or more, Join two, Zip two or more, all others one).
  static LogicalPtr Make(LogicalKind kind, std::vector<LogicalPtr> inputs = {});

  const LogicalKind& kind() const { return kind_; }
  const std::vector<LogicalPtr>& inputs() const { return inputs_; }
  /// The first input. Requires: there is one.
  const LogicalPtr& input() const { return inputs_.front(); }

  /// Returns the payload if this operator is a `T`, else null.
  template <class T>
  const T* As() const {
    return std::get_if<T>(&kind_);
  }

  const PlanFacts& facts() const { return facts_; }

  /// Returns the operator's name as ray.data users know it: "ReadParquet", "MapBatches(f)",
  /// "Filter(f)", "limit=5", "Union", "Mix", "Write", "Repartition", "RandomShuffle", "Sort",
  /// "Aggregate", "Join", "Zip".
  std::string name() const;

  /// Returns this operator over other inputs, or itself when they are the same pointers.
  static LogicalPtr WithInputs(const LogicalPtr& op, std::vector<LogicalPtr> inputs);

 private:
  LogicalOperator(LogicalKind kind, std::vector<LogicalPtr> inputs)
      : kind_(std::move(kind)), inputs_(std::move(inputs)) {}

  LogicalKind kind_;
  std::vector<LogicalPtr> inputs_;
  PlanFacts facts_;
};

/// Returns the schema that `plan` yields if it follows from the plan alone, else null: a user
/// function hides it, and so does a source without schema.
std::shared_ptr<arrow::Schema> InferSchema(const LogicalPtr& plan);

/// Returns the number of rows that `plan` yields if it follows from the plan alone, else unset.
std::optional<std::int64_t> InferRowCount(const LogicalPtr& plan);

/// Checks what can be known before running: with a known schema, that each verb's columns exist;
/// the error names the verb, the missing column and those there are.
Status Validate(const LogicalPtr& plan);

}  // namespace headrace
