#pragma once

#include <memory>

#include "headrace/base/status.h"

namespace arrow::io {
class RandomAccessFile;
}
namespace parquet {
class ReaderProperties;
namespace arrow {
class FileReaderBuilder;
}
}  // namespace parquet

namespace headrace {

/// Opens `file` by `builder`.
///
/// The process keeps the footers of some local files that it opened last, parsed, as all tasks that
/// read parts of a file need the whole of its footer. They are known by the file's identity, size
/// and times; that of a file which was written just now is not kept, as those may stay the same
/// when it is written again. May be called by any thread.
Status OpenParquet(std::shared_ptr<arrow::io::RandomAccessFile> file,
                   const parquet::ReaderProperties& properties,
                   parquet::arrow::FileReaderBuilder* builder);

}  // namespace headrace
