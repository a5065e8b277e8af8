#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "headrace/base/status.h"

namespace arrow {
class Table;
}

namespace headrace {

/// A table on disk; the file is removed with this object. It must not outlive its directory.
class SpillFile {
 public:
  SpillFile(std::string path, std::int64_t num_bytes, std::int64_t num_rows)
      : path_(std::move(path)), num_bytes_(num_bytes), num_rows_(num_rows) {}
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  ~SpillFile();

  /// Returns the table. The memory of what is not compressed is the file's, mapped, and stays
  /// valid after the file's removal.
  Result<std::shared_ptr<arrow::Table>> Read() const;
  std::int64_t num_bytes() const { return num_bytes_; }

 private:
  std::string path_;
  std::int64_t num_bytes_;
  std::int64_t num_rows_;
};

/// The directory of one store for spilled tables: <parent>/headrace-spill-<pid>-<random>, made
/// at the
/// first Write() and removed at the end. A lock on a file in it says that its process lives, so
/// that what a killed process left is found. Threads: all methods from any thread.
class SpillDirectory {
 public:
  /// An empty `parent` is the system's directory for temporary files.
  explicit SpillDirectory(std::string parent);
  ~SpillDirectory();

  /// Removes directories of dead processes from the parent, and nothing that is not surely one.
  void RemoveStale() const;

  /// Writes `table` as an Arrow IPC stream, by LZ4 what that makes a fifth smaller. Errors name the
  /// directory; nothing of the file stays.
  Result<std::shared_ptr<SpillFile>> Write(const arrow::Table& table);

  const std::string& parent() const { return parent_; }

 private:
  Result<std::string> NextPath();
  Status Create();

  std::string parent_;
  std::mutex mutex_;
  std::string path_;  // "": not made yet. Guarded by mutex_.
  int lock_ = -1;
  std::int64_t next_ = 0;
};

}  // namespace headrace
