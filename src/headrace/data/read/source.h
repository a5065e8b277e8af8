#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/data/transform/function.h"
#include "headrace/protocol/program.h"

namespace headrace {

/// Opens the units of one format. Has no state of its own; one object per format.
class Reader {
 public:
  virtual ~Reader() = default;

  /// Returns rows of `unit`: at least those that `step.filter` keeps, with at least the columns of
  /// the file that `step` asks for or filters by. The caller (data/read/read_stream.h) adds the
  /// columns that come from the path, filters and selects exactly, and adds file and rows to
  /// errors.
  virtual Result<std::unique_ptr<BatchStream>> Open(const ReadStep& step, const ReadUnit& unit,
                                                    const TaskContext& context) const = 0;
};

/// Returns the reader of `format`, or an error that names the formats there are.
Result<const Reader*> FindReader(const std::string& format);

/// How files become a source.
struct FileSourceOptions {
  std::string format;
  std::vector<std::string> paths;            // Files, directories, globs; local paths or URIs.
  FileSystemRef file_system;                 // Null: from the paths.
  OptionMap options;                         // The format's own.
  std::vector<std::string> file_extensions;  // Without dot. Empty: all files.
  bool ignore_missing_paths = false;
  bool include_paths = false;                       // Adds the column "path".
  std::optional<std::string> partitioning_base;     // Hive partitioning below this directory, ""
                                                    // for anywhere in the path. Unset: none.
  std::shared_ptr<arrow::Schema> partition_schema;  // Types of Hive fields. Null: inferred.
  std::shared_ptr<arrow::Schema> schema;  // Given by the user. Null: inferred where it is cheap.
};

/// Lists the files and makes the source: schema and row groups from Parquet footers, sizes for
/// the others. Missing paths, an empty result and a corrupt footer are errors that name the path
/// (IOError "…: No such file or directory" gives FileNotFoundError in Python).
Result<std::shared_ptr<const ReadSource>> MakeFileSource(const FileSourceOptions& options);

/// Makes the source of `range` (column "id": int64) and, with `tensor_shape`, of `range_tensor`
/// (column "data": fixed-shape tensors filled with the row's number), in `units` pieces of nearly
/// equal size; -1: 1,000 or more, so that any usual parallelism can be made of them.
std::shared_ptr<const ReadSource> MakeRangeSource(
    std::int64_t rows, const std::vector<std::int64_t>& tensor_shape = {}, std::int64_t units = -1);

}  // namespace headrace
