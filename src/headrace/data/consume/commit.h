#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"

// How what tasks wrote becomes visible: the driver's half of writing.
//
//   tasks: {directory}/.headrace-{temporary}/name ──CommitWrite──▶ {directory}/name
//                                                 └──AbortWrite──▶ nothing
//
// A reader of the directory does not see temporary files, whose directory's name starts with a dot.
// A driver may die at any moment, so a commit first writes down what it will do:
//
//   .headrace-{temporary}/commit      the list of moves, and of old files: the old files are the
//                                     data set, those moved so far are not
//   .headrace-{temporary}/committed   all are moved: the new files are the data set, old ones that
//                                     still stand are not
//   .headrace-{temporary}/aside/      files whose names new ones take, until all are moved
//
// The list has the size and time of each file, so that another one that was put under its name
// since is neither hidden nor removed.
//
// Our readers obey the list (data/read/commit_list.h), so they see all of a write or nothing of it;
// the next write to the directory ends what a dead driver began. Others may see files between the
// first move and the last removal.

namespace arrow {
class Schema;
namespace fs {
class FileSystem;
}  // namespace fs
}  // namespace arrow

namespace headrace {

/// What to do with files that are in the directory already.
enum class WriteMode : std::uint8_t {
  kAppend,     // They stay.
  kOverwrite,  // They go, after the new ones stand.
};

/// Returns the directory of a run's temporary files. `temporary` ends with the OwnerTag() of the
/// driver, or the files outlive it: then the file "checkpoint" in the directory says how long they
/// are of use. Its lines are an OwnerPlace(); a path of that place, where something stands as long;
/// and "device:inode" of the directory of that path, of the one above it, and so on to the root.
std::string TemporaryDirectory(const std::string& directory, const std::string& temporary);

/// Returns the schema of the result blocks, see WriteStep.
const std::shared_ptr<arrow::Schema>& WriteResultSchema();

/// Moves the temporary files that `results` name into place, then, for kOverwrite, removes the
/// files that were there before, then the temporary directory (with what failed attempts of tasks
/// left in it). If a move fails, those before it are taken back. Running it again is safe.
Status CommitWrite(arrow::fs::FileSystem* file_system, const std::string& directory,
                   const std::string& temporary, const std::vector<Block>& results, WriteMode mode);

/// Ends the commit that another driver began with this name, if it did; else returns false.
Result<bool> FinishCommit(arrow::fs::FileSystem* file_system, const std::string& directory,
                          const std::string& temporary);

/// Removes the temporary files of the run, unless its commit has begun: then it says that. Nothing
/// to remove is fine.
Status AbortWrite(arrow::fs::FileSystem* file_system, const std::string& directory,
                  const std::string& temporary);

/// Cleans up after drivers that died: ends the commits that they began, and removes other temporary
/// files; returns true if there were any. Those of living ones stay, and so does `directory`: who
/// made it is not known.
Result<bool> RecoverWrites(arrow::fs::FileSystem* file_system, const std::string& directory);

}  // namespace headrace
