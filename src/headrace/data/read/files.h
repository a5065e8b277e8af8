#pragma once

#include <memory>
#include <string>

#include "headrace/base/status.h"
#include "headrace/data/transform/function.h"
#include "headrace/protocol/program.h"

namespace arrow {
class Buffer;
namespace io {
class InputStream;
class RandomAccessFile;
}  // namespace io
}  // namespace arrow

namespace headrace {

/// Returns true if paths of `ref` are files of this machine.
bool IsLocal(const FileSystemRef& ref);

/// Returns the live file system of `ref`: its own, the unpickled one, or the local one.
Result<std::shared_ptr<arrow::fs::FileSystem>> ResolveFileSystem(const FileSystemRef& ref,
                                                                 const TaskContext& context);

/// Returns the files that a unit reads; null for none.
FileList FilesOf(const ReadUnit& unit);

/// Opens a file for reads at any place.
Result<std::shared_ptr<arrow::io::RandomAccessFile>> OpenFile(const FileSystemRef& ref,
                                                              const std::string& path,
                                                              const TaskContext& context);

/// Opens a file as a stream of its content. Decompresses by the extension (.gz, .bz2, .zst, .lz4,
/// .br) or by the option "compression" (a codec's name, "none").
Result<std::shared_ptr<arrow::io::InputStream>> OpenStream(const ReadSource& source,
                                                           const std::string& path,
                                                           const TaskContext& context);

/// Reads the whole file, decompressed as by OpenStream if `decompress`, into one buffer.
Result<std::shared_ptr<arrow::Buffer>> ReadWholeFile(const ReadSource& source,
                                                     const std::string& path, bool decompress,
                                                     const TaskContext& context);

}  // namespace headrace
