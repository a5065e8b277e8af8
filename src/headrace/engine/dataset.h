#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/engine/expression.h"
#include "headrace/protocol/exchange.h"
#include "headrace/protocol/program.h"

// The C++ API: a lazy handle on a plan.
//
//   ARROW_ASSIGN_OR_RAISE(auto trips, headrace::Dataset::ReadParquet({"trips/"}));
//   auto far = trips.Filter(headrace::Col("distance") > 10.0)
//                  .WithColumn("km", headrace::Col("distance") * 1.609)
//                  .MapBatches(AddFeatures, {.name = "AddFeatures"});
//   ARROW_ASSIGN_OR_RAISE(auto report, far.WriteParquet("far/"));
//
// Making and changing a Dataset runs nothing; reading lists files and looks at footers. The verbs
// under "Consume" run the plan. A Dataset is a value: cheap to copy, safe to share.

namespace arrow {
class RecordBatch;
class Schema;
class Table;
}  // namespace arrow

namespace headrace {

class Execution;
class Session;

/// How to read files. Defaults read every file below the paths, all columns.
struct ReadFilesOptions {
  std::vector<std::string> columns;          // Empty: all.
  std::vector<std::string> file_extensions;  // Empty: any.
  bool include_paths = false;                // Adds the column "path".
  bool ignore_missing_paths = false;
  bool hive_partitioning = false;  // Columns from "name=value" directories.
  std::int64_t parallelism = -1;   // Read tasks. -1: from the sizes.
  OptionMap format_options;        // Of the format, see data/read.
};

/// How to run a function over batches.
struct MapOptions {
  std::string name = "function";
  std::int64_t batch_rows = 0;              // Rows per call. 0: whole blocks.
  std::optional<std::int32_t> max_tasks{};  // At once. Unset: as cpus allow.
  Resources cost{.cpu_milli = 1000};
};

/// Into which blocks to cut rows. Exactly one of the first two is set; `keys` needs `blocks`.
struct RepartitionOptions {
  std::int64_t blocks = -1;
  std::int64_t rows_per_block = -1;
  std::vector<std::string> keys;        // Rows with equal keys come into one block.
  bool shuffle = false;                 // Rows come into the blocks at random.
  std::optional<std::uint64_t> seed{};  // Of `shuffle`. Unset: each run has another.
  bool sort = false;                    // Each block by `keys`.
};

/// What a write left behind.
struct WriteReport {
  std::vector<std::string> paths;
  std::int64_t num_rows = 0;
  std::int64_t num_bytes = 0;
};

/// Batches of a running plan; stops the run when destroyed.
class BatchIterator {
 public:
  BatchIterator(BatchIterator&&) noexcept;
  BatchIterator& operator=(BatchIterator&&) noexcept;
  ~BatchIterator();
  /// Returns the next batch of exactly the asked rows (the last may be smaller), null at the end.
  Result<std::shared_ptr<arrow::Table>> Next();

 private:
  friend class Dataset;
  class Impl;
  explicit BatchIterator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Dataset {
 public:
  using BatchFunction = std::function<Result<std::shared_ptr<arrow::RecordBatch>>(
      std::shared_ptr<arrow::RecordBatch>)>;

  // ---- Make. In the default session (Session::Default()).

  /// Rows 0 … n-1 in the column "id": int64.
  static Result<Dataset> Range(std::int64_t n, std::int64_t parallelism = -1);
  static Result<Dataset> FromTables(std::vector<std::shared_ptr<arrow::Table>> tables);
  static Result<Dataset> ReadParquet(std::vector<std::string> paths, ReadFilesOptions options = {});
  static Result<Dataset> ReadCsv(std::vector<std::string> paths, ReadFilesOptions options = {});
  static Result<Dataset> ReadJson(std::vector<std::string> paths, ReadFilesOptions options = {});
  static Result<Dataset> ReadText(std::vector<std::string> paths, ReadFilesOptions options = {});
  static Result<Dataset> ReadBinaryFiles(std::vector<std::string> paths,
                                         ReadFilesOptions options = {});
  static Result<Dataset> ReadNumpy(std::vector<std::string> paths, ReadFilesOptions options = {});

  // ---- Transform. Errors of these verbs appear when the plan is consumed.

  /// Calls `function`, from several threads at once, with batches of `options.batch_rows`.
  Dataset MapBatches(BatchFunction function, MapOptions options = {}) const;
  Dataset Filter(Expression predicate) const;
  Dataset WithColumn(std::string name, Expression value) const;
  Dataset SelectColumns(std::vector<std::string> names) const;
  Dataset DropColumns(std::vector<std::string> names) const;
  Dataset RenameColumns(std::vector<std::pair<std::string, std::string>> old_and_new) const;
  Dataset Limit(std::int64_t rows) const;
  Dataset Union(std::vector<Dataset> others) const;
  /// Blocks of this and the others by turns, their rows in the ratio of `weights`: one for each
  /// dataset, positive; none: equal. A dataset that has ended drops out, or ends the whole.
  Dataset Mix(std::vector<Dataset> others, std::vector<double> weights = {},
              bool stop_on_shortest = false) const;

  // ---- Transform with all rows at hand; see protocol/exchange.h. Seeds unset: each run differs.

  Dataset Repartition(RepartitionOptions options) const;
  Dataset RandomShuffle(std::optional<std::uint64_t> seed = {}) const;
  /// The blocks as they are, in random order.
  Dataset RandomizeBlockOrder(std::optional<std::uint64_t> seed = {}) const;
  /// Stable; null and nan come last unless a key says otherwise.
  Dataset Sort(std::vector<SortKey> keys) const;
  /// A row for each group of equal keys; without keys all rows are one group.
  Dataset Aggregate(std::vector<std::string> keys, std::vector<AggregateSpec> aggregates,
                    std::int64_t partitions = -1) const;
  /// The different values of a column, a row each.
  Dataset Unique(std::string column) const;
  /// The same rows in blocks of whole groups, sorted by the keys: for functions of groups.
  Dataset Group(std::vector<std::string> keys, std::int64_t partitions = -1) const;
  Dataset Join(const Dataset& right, JoinStep join, std::int64_t partitions = -1) const;
  /// The columns side by side. The data sets must have as many rows.
  Dataset Zip(const std::vector<Dataset>& others) const;

  // ---- Consume.

  Result<std::int64_t> Count() const;
  /// All rows, in order of position.
  Result<std::shared_ptr<arrow::Table>> ToTable() const;
  /// The first rows.
  Result<std::shared_ptr<arrow::Table>> Take(std::int64_t rows = 20) const;
  /// From the plan where it tells, else from the first block.
  Result<std::shared_ptr<arrow::Schema>> Schema() const;
  /// `batch_rows` 0: blocks as they come. `prefetch`: blocks made ready ahead.
  Result<BatchIterator> IterBatches(std::int64_t batch_rows = 0, std::int64_t prefetch = 2) const;
  /// Runs now and keeps the blocks in the object store.
  Result<Dataset> Materialize() const;
  /// Runs now and cuts before these rows, which ascend: one part more than indices.
  Result<std::vector<Dataset>> SplitAtIndices(const std::vector<std::int64_t>& indices) const;
  /// Runs now and cuts into `n` parts of about equal numbers of rows.
  Result<std::vector<Dataset>> Split(std::int64_t n) const;
  /// Writes files into `directory`; they appear under their names all at once, at the end.
  Result<WriteReport> WriteParquet(const std::string& directory, OptionMap options = {}) const;
  Result<WriteReport> WriteCsv(const std::string& directory, OptionMap options = {}) const;
  Result<WriteReport> WriteJson(const std::string& directory, OptionMap options = {}) const;

  /// The four stages of the plan as text.
  Result<std::string> Explain() const;

  // ---- Parts.

  Dataset(std::shared_ptr<Session> session, LogicalPtr plan, ExecutionOptions options = {});
  const LogicalPtr& plan() const { return plan_; }
  const ExecutionOptions& options() const { return options_; }
  /// The same data set, run with these options.
  Dataset WithOptions(ExecutionOptions options) const;

 private:
  static Result<Dataset> ReadFiles(std::string format, std::vector<std::string> paths,
                                   ReadFilesOptions options);
  Dataset With(LogicalKind kind) const;
  Result<WriteReport> Write(const std::string& format, const std::string& name,
                            const std::string& directory, OptionMap options) const;
  Result<std::unique_ptr<Execution>> Execute(const ExecutionOptions& options) const;

  std::shared_ptr<Session> session_;
  LogicalPtr plan_;
  ExecutionOptions options_;
};

}  // namespace headrace
