#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/exchange.h"
#include "headrace/protocol/expr.h"

// What one task does: a chain of steps from read or input blocks to output blocks.
//
// Plain immutable values, shared by all tasks of an operator. A program goes to a worker process
// once (WriteProgram); each task's order then carries its own inputs, units and position.

namespace arrow {
class Schema;
namespace fs {
class FileSystem;
}
}  // namespace arrow

namespace headrace {

/// A small typed option of a reader or writer.
using OptionValue =
    std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::string>>;
/// Options by name; each reader and writer documents the names that it knows.
using OptionMap = std::map<std::string, OptionValue, std::less<>>;

/// The file system that paths are of. Null `live` and `pickled`: the local one.
struct FileSystemRef {
  std::shared_ptr<arrow::fs::FileSystem> live;  // In this process; does not travel.
  std::shared_ptr<const std::string> pickled;   // For worker processes: a pickled pyarrow.fs one.
};

// ---- Functions ------------------------------------------------------------------------------

/// A function of the user in this process and language; defined by data/transform/function.h.
class NativeFunction;

enum class FunctionKind : std::uint8_t {
  kMapBatches,   // batch → batch or stream of batches
  kMapRows,      // row → row
  kFlatMapRows,  // row → rows
  kFilterRows,   // row → bool
  kRead,         // read unit → blocks (a Python ReadTask)
  kWrite,        // blocks → one block of write results (a Python Datasink)
};

/// A user's function as the plan knows it. Two specs are the same function if their ids are equal.
struct FunctionSpec {
  std::uint64_t id = 0;  // Unique in the driver process.
  std::string name;      // As shown in operator names: "MapBatches(resize)" has name "resize".
  FunctionKind kind = FunctionKind::kMapBatches;
  bool is_class = false;        // Needs an instance that lives in an actor.
  std::int64_t batch_rows = 0;  // kMapBatches: rows per call. 0: whole blocks.
  std::string batch_format;     // kMapBatches: "numpy", "pandas", "pyarrow"; "" native.
  bool zero_copy_batch = true;  // Hand out read-only views.
  std::string on_error;         // Python: what to do when it fails, pickled. "": fail.
  bool drops_rows = false;      // Of `on_error`: rows on which it fails are left out.
  std::shared_ptr<const std::string> payload;    // Python: the pickled callable and arguments.
  std::shared_ptr<const NativeFunction> native;  // C++: the callable. Does not travel.
};
using FunctionPtr = std::shared_ptr<const FunctionSpec>;

/// Returns true if a function makes exactly one row of each row, in order.
inline bool PreservesRows(const FunctionSpec& function) {
  return function.kind == FunctionKind::kMapRows && !function.drops_rows;
}

// ---- Sources --------------------------------------------------------------------------------

/// One piece of a source that can be read on its own. Its index in the source is the first
/// part of the position of every row read from it.
struct ReadUnit {
  std::string path;                     // The file; "" for sources without files.
  std::vector<std::string> more_paths;  // Further files, of a Python ReadTask that reads several.
  std::int64_t begin = 0;               // Range in the format's own terms: row groups of a Parquet
  std::int64_t end = -1;                // file, rows of a range. -1: to the end.
  std::int64_t num_rows = -1;           // -1: unknown.
  std::int64_t num_bytes = -1;  // Estimated bytes in memory, before projection. -1: unknown.
  std::vector<std::pair<std::string, std::string>> partition;  // Hive columns from the path.
  std::shared_ptr<const std::string> payload;                  // For kRead functions.
};

/// Something to read. `format` names the reader in data/read: "range", "parquet", "csv", "json",
/// "text", "binary", "numpy", "arrow", "python".
struct ReadSource {
  std::string format;
  std::string name;  // Shown as "Read" + name: "ReadParquet".
  FileSystemRef file_system;
  OptionMap options;
  std::shared_ptr<arrow::Schema> schema;            // Null: known only by reading.
  std::shared_ptr<arrow::Schema> partition_schema;  // Types of the Hive columns; null: none.
  std::vector<ReadUnit> units;
  FunctionPtr function;            // "python" only.
  bool pushes_projection = false;  // Reads only asked columns.
  bool pushes_filter = false;      // Skips data by an expression, exactly: no filter remains.
};

// ---- Steps ----------------------------------------------------------------------------------

/// Reads the units of the task's order, in order. First step of a program only.
struct ReadStep {
  std::shared_ptr<const ReadSource> source;
  std::optional<std::vector<std::string>> columns;  // Unset: all. Empty: row counts only.
  ExprPtr filter;                                   // Null: none. Columns of the source.
  std::int64_t row_limit = -1;                      // Per task. -1: none.
};

/// Calls the user's function.
struct MapStep {
  FunctionPtr function;
};

/// Keeps the rows for which the predicate is true; null counts as false.
struct FilterStep {
  ExprPtr predicate;
};

/// Makes columns. With `keep_rest` the input's columns stay in place, less `drop`, renamed by
/// `rename`, and `exprs` replace or append; else the output is `exprs` alone, in order.
/// Expressions read the input's names, before renaming; of one projection they do not see
/// each other.
struct ProjectStep {
  bool keep_rest = false;
  std::vector<std::string> drop;                            // Unknown names fail.
  std::vector<std::pair<std::string, std::string>> rename;  // old → new. Unknown names fail.
  std::vector<NamedExpr> exprs;
};

/// Passes the first rows of the task.
struct LimitStep {
  std::int64_t rows = 0;
};

/// What a WriteStep writes to. `format`: "parquet", "csv", "json", "numpy", "arrow", "python".
struct WriteTarget {
  std::string format;
  std::string name;       // Of the format, for messages: "Parquet". The operator is "Write".
  std::string directory;  // Files are written here under temporary names, see data/consume.
  std::string run_id;     // First part of the file names: {run_id}_{position}.{extension}
  std::string temporary;  // Last part of the name of the temporary directory.
  FileSystemRef file_system;
  OptionMap options;
  FunctionPtr function;  // "python" only.
};

/// Writes all blocks of the task; yields one block of results, a row per written file:
/// {path: string, temporary_path: string, num_rows: int64, num_bytes: int64}, or for "python"
/// {result: binary}, the pickled return value of the sink.
struct WriteStep {
  std::shared_ptr<const WriteTarget> target;
};

using Step =
    std::variant<ReadStep, MapStep, FilterStep, ProjectStep, LimitStep, WriteStep, ScatterStep,
                 SortStep, MergeStep, ShuffleStep, GroupStep, AggregateStep, JoinStep, ZipStep>;

/// Sizes of the blocks that a task yields.
struct BlockShape {
  std::int64_t target_min_bytes = 1 << 20;    // Smaller outputs of a task are joined.
  std::int64_t target_max_bytes = 128 << 20;  // A block over 1.5 × this is split between rows.
  bool shape = true;                          // False: outputs stay as the steps made them.
};

enum class Lane : std::uint8_t {
  kThread,   // C++ steps only: a thread of this process.
  kProcess,  // Has a Python function: a worker process.
};

/// The fused chain of one operator's tasks.
struct TaskProgram {
  std::uint64_t id = 0;  // Unique in the driver process; workers cache by it.
  std::string name;      // The operator's: "ReadParquet->MapBatches(f)".
  std::vector<Step> steps;
  BlockShape shape;
  Lane lane = Lane::kThread;
  bool shared_output = false;  // Outputs will be read by worker processes: put them in shared
                               // memory at once.
  std::uint64_t seed = 0;      // For random steps: mixed with the task's position.
  std::string run_name;        // Of the run, for the names of temporary files.
  std::string where;           // On which workers, as the bridge to a cluster understands it. "":
                               // any. Does not travel.
};
using ProgramPtr = std::shared_ptr<const TaskProgram>;

/// Returns the read step if the program starts with one, else null.
const ReadStep* FindReadStep(const TaskProgram& program);

/// Returns the first function that the program calls, or null.
const FunctionSpec* FindFunction(const TaskProgram& program);

/// Writes everything but the read units and what "does not travel".
void WriteProgram(const TaskProgram& program, WireWriter* out);
Result<ProgramPtr> ReadProgram(WireReader* in);

void WriteReadUnit(const ReadUnit& unit, WireWriter* out);
ReadUnit ReadReadUnit(WireReader* in);

}  // namespace headrace
