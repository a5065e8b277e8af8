#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/status.h"

// The list of what a write is about to do, as readers of its directory know it. How it comes there
// is told in data/consume/commit.h.

namespace arrow::fs {
class FileSystem;
struct FileInfo;
struct FileSelector;
}  // namespace arrow::fs

namespace headrace {

/// What the name of a write's temporary directory begins with.
inline constexpr const char* kTemporaryPrefix = ".headrace-";
/// Names of the list in it: before all files are moved, and after.
inline constexpr const char* kCommitName = "commit";
inline constexpr const char* kCommittedName = "committed";

/// What a file was when a list named it. Another one that stands under its name since is not meant.
struct FileStamp {
  std::int64_t size = -1;
  std::int64_t changed = 0;  // Nanoseconds since 1970. 0: not known, any will do.

  static FileStamp Of(const arrow::fs::FileInfo& info);
  bool Fits(const arrow::fs::FileInfo& info) const;
};

struct FileMove {
  std::string from;
  std::string to;
  FileStamp stamp;    // Of the file that is moved; it keeps it.
  std::string aside;  // Where the file goes that stood at `to` before. "": there was none.
};

struct OldFile {
  std::string path;
  FileStamp stamp;
};

struct CommitList {
  std::vector<FileMove> moves;
  std::vector<OldFile> old_files;  // They go when all are moved.
  bool moved = false;              // All files stand under their names.
};

/// Returns the bytes of a file.
Result<std::string> ReadText(arrow::fs::FileSystem* file_system, const std::string& path);

/// Returns `path` as it is below `directory`, or nothing if it is not. Some file systems write a
/// slash before the paths that they list and some do not, whatever they were asked.
std::optional<std::string> PathBelow(const std::string& path, const std::string& directory);

/// Returns the bytes of the list of a commit to `directory`. Paths are written as they stand below
/// it, so that a list that was copied or moved along with its directory names nothing elsewhere.
std::string EncodeCommitList(const CommitList& list, const std::string& directory);

/// Returns the list in a temporary directory, or nothing if there is none, or only the begin of
/// one. An error names the file, and says what to do.
Result<std::optional<CommitList>> ReadCommitList(arrow::fs::FileSystem* file_system,
                                                 const std::string& temporary);

/// What a reader sees of a directory.
struct CommittedFiles {
  std::vector<arrow::fs::FileInfo> infos;     // In order of path.
  std::map<std::string, std::string> stored;  // Of files not to be read at their path: where.
};

/// Lists as `selector` says, without the new files of commits that have begun and the old ones of
/// those that are about to end. The lists of commits to directories above count too, as long as
/// the names between are those of partitions ("key=value").
Result<CommittedFiles> ListCommitted(arrow::fs::FileSystem* file_system,
                                     const arrow::fs::FileSelector& selector);

}  // namespace headrace
