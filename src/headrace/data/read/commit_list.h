#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "headrace/base/status.h"

// The list of what a write is about to do, as readers of its directory know it. How it comes there
// is told in data/consume/commit.h.

namespace arrow::fs {
class FileSystem;
struct FileInfo;
}  // namespace arrow::fs

namespace headrace {

/// What the name of a write's temporary directory begins with.
inline constexpr const char* kTemporaryPrefix = ".headrace-";
/// Names of the list in it: before all files are moved, and after.
inline constexpr const char* kCommitName = "commit";
inline constexpr const char* kCommittedName = "committed";

struct FileMove {
  std::string from;
  std::string to;
};

struct CommitList {
  std::vector<FileMove> moves;
  std::vector<std::string> old_files;  // They go when all are moved.
  bool moved = false;                  // All files stand under their names.
};

/// Returns the bytes of the list of a commit to `directory`. Paths are written as they stand below
/// it, so that a list that was copied or moved along with its directory names nothing elsewhere.
std::string EncodeCommitList(const CommitList& list, const std::string& directory);

/// Returns the list in a temporary directory, or nothing if there is none, or only the begin of
/// one.
Result<std::optional<CommitList>> ReadCommitList(arrow::fs::FileSystem* file_system,
                                                 const std::string& temporary);

/// Returns the files that are not to be read of those below some directory, whose listing is
/// `infos`: the new ones of commits that have begun, the old ones of those that are about to end.
/// Unset if a commit ended meanwhile: list again.
Result<std::optional<std::set<std::string>>> HiddenByCommits(
    arrow::fs::FileSystem* file_system, const std::vector<arrow::fs::FileInfo>& infos);

}  // namespace headrace
