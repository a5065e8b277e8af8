#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace arrow {
class Table;
}

namespace headrace {

/// A table on disk; the file is removed with this object. It must not outlive its directory.
///
/// The file is an Arrow IPC stream, of which checksums are kept in memory, one for each kSegment
/// bytes. A read maps the file and checks only the segments that its rows lie in, each once: what
/// is not used is not read from the disk. Threads: all methods from any thread.
class SpillFile {
 public:
  static constexpr std::int64_t kSegment = 64 << 10;

  /// Writes `table`. An error leaves a part of the file.
  static Result<std::shared_ptr<SpillFile>> Write(const arrow::Table& table, std::string path);
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  ~SpillFile();

  /// Returns the table; its memory is the file's, mapped, and stays valid after the file's removal.
  /// Rows [begin, end) are checked, or if `end` is negative, all after `begin`. Errors name the
  /// file.
  Result<std::shared_ptr<arrow::Table>> Read(std::int64_t begin = 0, std::int64_t end = -1) const;
  std::int64_t num_bytes() const { return num_bytes_; }

 private:
  class Region;

  SpillFile(std::string path, std::int64_t num_bytes, std::int64_t num_rows,
            std::vector<std::uint64_t> checksums);
  Result<std::shared_ptr<arrow::Table>> ReadRows(std::int64_t begin, std::int64_t end) const;

  const std::string path_;
  const std::int64_t num_bytes_;
  const std::int64_t num_rows_;
  const std::vector<std::uint64_t> checksums_;          // Of the segments.
  const std::unique_ptr<std::atomic<bool>[]> checked_;  // Those that were found right.
};

}  // namespace headrace
