#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace arrow {
class Buffer;
class RecordBatch;
class Schema;
class Table;
namespace io {
class ReadableFile;
}
}  // namespace arrow

namespace headrace {

/// A table on disk; the file is removed with this object. It must not outlive its directory.
///
/// The rows stand in parts, one after the other, each all columns of so many rows that it has about
/// kPartBytes: so rows that follow each other are one read. A part is an Arrow IPC message, its
/// buffers compressed with LZ4 where that makes them smaller. Where each part begins, its first row
/// and its checksum stay in memory: some 32 bytes for each part. Threads: all methods from any
/// thread.
///
/// Nothing is mapped: what a task reads is memory of its own, which everybody can count, and not
/// pages that stay with the process while there is room.
class SpillFile {
 public:
  /// Small enough that a few rows cost little more than themselves, and as much as a disk reads in
  /// the time that it takes to begin.
  static constexpr std::int64_t kPartBytes = 128 << 10;

  /// Writes `table`. An error leaves a part of the file.
  static Result<std::shared_ptr<SpillFile>> Write(const arrow::Table& table, std::string path);
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  ~SpillFile();

  /// Returns rows [begin, end) of the table; if `end` is negative, all after `begin`. Only the
  /// parts that they lie in are read, and checked. Errors name the file.
  Result<std::shared_ptr<arrow::Table>> Read(std::int64_t begin = 0, std::int64_t end = -1) const;
  std::int64_t num_bytes() const { return num_bytes_; }

 private:
  class Writer;
  struct Part {
    std::int64_t first_row = 0;
    std::int64_t place = 0;  // In the file.
    std::int64_t bytes = 0;
    std::uint64_t checksum = 0;
  };

  SpillFile(std::string path, std::int64_t num_bytes, std::int64_t num_rows,
            std::shared_ptr<arrow::Schema> schema, std::vector<Part> parts);
  Result<std::shared_ptr<arrow::Table>> ReadRows(std::int64_t begin, std::int64_t end) const;
  Status ReadParts(arrow::io::ReadableFile* file, std::size_t begin, std::size_t end,
                   std::vector<std::shared_ptr<arrow::RecordBatch>>* batches) const;
  static Status Check(const arrow::Buffer& bytes, const Part& part);

  const std::string path_;
  const std::int64_t num_bytes_;
  const std::int64_t num_rows_;
  const std::shared_ptr<arrow::Schema> schema_;
  const std::vector<Part> parts_;  // One at least.
};

}  // namespace headrace
