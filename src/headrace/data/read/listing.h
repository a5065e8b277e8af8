#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/program.h"

namespace headrace {

struct FileSourceOptions;

/// One file that a source reads.
struct ListedFile {
  std::string path;
  std::int64_t num_bytes = -1;  // -1: unknown.
};

/// What the paths of a source stand for.
struct Listing {
  std::shared_ptr<arrow::fs::FileSystem> file_system;
  std::vector<ListedFile> files;
};

/// Expands the paths in their order: a file is itself, a directory is all files below it, a glob
/// (*, ?, [...], ** for any depth) is the files and directories that match; directories and globs
/// give their files sorted by path. Names that start with "." or "_" are skipped below directories,
/// and by globs unless the pattern says the dot; and so are the files of a write that is not
/// committed, see commit_list.h. `file_extensions` keeps files whose names end with
/// one of them, in any case. Missing paths are IOErrors with the system's error number; no file at
/// all is Invalid; both name the paths.
Result<Listing> ListFiles(const FileSourceOptions& options);

/// Returns true if `path` has a character that makes it a glob.
bool IsGlob(const std::string& path);

/// Returns true if the whole of `path` matches `pattern`; "*" and "?" do not match "/".
bool GlobMatches(const std::string& pattern, const std::string& path);

}  // namespace headrace
