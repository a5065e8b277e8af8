#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "headrace/base/status.h"
#include "headrace/runtime/store/spill_file.h"

namespace arrow {
class Table;
}

namespace headrace {

/// The directory of one store for spilled tables: <parent>/headrace-spill-<pid>-<random>, made
/// at the first Write() and removed at the end. A lock on a file in it says that its process lives,
/// so that what a killed process left is found. Threads: all methods from any thread.
class SpillDirectory {
 public:
  /// An empty `parent` is the system's directory for temporary files.
  explicit SpillDirectory(std::string parent);
  ~SpillDirectory();

  /// Removes directories of dead processes from the parent, and nothing that is not surely one.
  void RemoveStale() const;

  /// Writes `table`. Errors name the directory; nothing of the file stays.
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
