#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "headrace/base/status.h"
#include "headrace/protocol/program.h"

namespace arrow {
class MemoryPool;
class RecordBatch;
class Schema;
class Table;
namespace io {
class OutputStream;
}
}  // namespace arrow

namespace headrace {

/// Writes tables of one schema to one open file. Threads: one at a time.
class FileWriter {
 public:
  virtual ~FileWriter() = default;
  virtual Status Write(const arrow::Table& table) = 0;
  /// Writes what is pending and the format's end; does not close the stream.
  virtual Status Finish() = 0;
};

/// What a writer is made for.
struct FileWriterArgs {
  const WriteTarget& target;
  const arrow::Table& first;  // Its schema is the file's; may be sampled.
  std::shared_ptr<arrow::io::OutputStream> sink;
  arrow::MemoryPool* pool;
};

Result<std::unique_ptr<FileWriter>> MakeParquetWriter(const FileWriterArgs& args);
Result<std::unique_ptr<FileWriter>> MakeCsvWriter(const FileWriterArgs& args);
Result<std::unique_ptr<FileWriter>> MakeJsonWriter(const FileWriterArgs& args);
Result<std::unique_ptr<FileWriter>> MakeNumpyWriter(const FileWriterArgs& args);
Result<std::unique_ptr<FileWriter>> MakeArrowWriter(const FileWriterArgs& args);

/// Returns the writer and file extension of `format`, or an error that names the formats there are.
struct FileFormat {
  Result<std::unique_ptr<FileWriter>> (*make)(const FileWriterArgs&);
  const char* extension;
  bool keeps_empty = false;  // Blocks without rows make files too, for their schema.
};
Result<FileFormat> FindFileFormat(const std::string& format);

}  // namespace headrace
