#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"

// A file of records that survives the death of its writer: the manifest of a checkpoint.
//
//   headrace-records <TAB> 1 <TAB> checksum
//   field <TAB> field <TAB> ... <TAB> checksum     one line a record
//
// Tab, newline and backslash in a field are written as \t, \n and \\. The checksum is the 8
// hexadecimal digits of the CRC-32C of what stands before it in the line. A last line that was
// torn when its writer died counts as not written; any other bad line is an error.

namespace headrace {

using LogRecord = std::vector<std::string>;

struct RecordLogContents {
  std::vector<LogRecord> records;
  std::int64_t num_bytes = 0;  // Up to the end of the last whole record.
};

/// Returns the bytes of a log of `records`.
std::string EncodeRecordLog(const std::vector<LogRecord>& records);

/// Reads a log's bytes. An error names the line, or the other version.
Result<RecordLogContents> ParseRecordLog(std::string_view bytes);

/// Writes to a log. Threads: one at a time.
class RecordLog {
 public:
  /// Makes a log with `records`, which appears whole or not at all. Replaces what stands there.
  static Result<std::unique_ptr<RecordLog>> Create(const std::string& path,
                                                   const std::vector<LogRecord>& records);
  /// Opens a log to go on behind its whole records, which are put into `contents`.
  static Result<std::unique_ptr<RecordLog>> Open(const std::string& path,
                                                 RecordLogContents* contents);
  ~RecordLog();
  RecordLog(const RecordLog&) = delete;
  RecordLog& operator=(const RecordLog&) = delete;

  /// Appends records; when it returns they outlive this process.
  Status Append(const std::vector<LogRecord>& records);
  /// When it returns, all records are on the disk.
  Status Sync();

 private:
  RecordLog(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  const std::string path_;
  const int descriptor_;
};

}  // namespace headrace
