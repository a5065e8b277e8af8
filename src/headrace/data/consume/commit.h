#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"

// How what tasks wrote becomes visible: the driver's half of writing.
//
//   tasks: {directory}/.headrace-{run_id}/name ──CommitWrite──▶ {directory}/name
//                                              └──AbortWrite──▶ nothing
//
// A reader of the directory does not see temporary files, whose directory's name starts with a dot.

namespace arrow {
class Schema;
namespace fs {
class FileSystem;
}
}  // namespace arrow

namespace headrace {

/// What to do with files that are in the directory already.
enum class WriteMode : std::uint8_t {
  kAppend,     // They stay.
  kOverwrite,  // They go, after the new ones stand.
  kIgnore,     // If there are any, nothing is written.
  kError,      // If there are any, it is an error.
};

/// Returns the directory of a run's temporary files.
std::string TemporaryDirectory(const std::string& directory, const std::string& run_id);

/// Returns the schema of the result blocks, see WriteStep.
const std::shared_ptr<arrow::Schema>& WriteResultSchema();

/// Checks `directory` before the run. Returns false if nothing is to be written (kIgnore); an
/// AlreadyExists error for kError.
Result<bool> PrepareWrite(arrow::fs::FileSystem* file_system, const std::string& directory,
                          WriteMode mode);

/// Moves the temporary files that `results` name into place, then, for kOverwrite, removes the
/// files that were there before, then the temporary directory (with what failed attempts of tasks
/// left in it). On an error some files may stand already; running it again is safe: a file that
/// was moved is left as it is.
Status CommitWrite(arrow::fs::FileSystem* file_system, const std::string& directory,
                   const std::string& run_id, const std::vector<Block>& results, WriteMode mode);

/// Removes the temporary files of the run. Nothing to remove is fine.
Status AbortWrite(arrow::fs::FileSystem* file_system, const std::string& directory,
                  const std::string& run_id);

}  // namespace headrace
