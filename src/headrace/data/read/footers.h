#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/data/read/listing.h"

namespace arrow {
class Schema;
}

namespace headrace {

/// What the footer of a Parquet file says.
struct ParquetFooter {
  std::shared_ptr<arrow::Schema> schema;  // Without views: plain strings stand for them.
  struct RowGroup {
    std::int64_t num_rows = 0;
    std::int64_t num_bytes = 0;  // Encoded, before compression: about the size in memory.
  };
  std::vector<RowGroup> row_groups;
};

/// Reads the footers of `files`, several at a time on Arrow's I/O threads. Errors name the file.
Result<std::vector<ParquetFooter>> ReadFooters(
    const std::shared_ptr<arrow::fs::FileSystem>& file_system,
    const std::vector<ListedFile>& files);

}  // namespace headrace
