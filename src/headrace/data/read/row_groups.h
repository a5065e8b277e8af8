#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/expr.h"

namespace arrow {
class Schema;
}
namespace parquet {
class FileMetaData;
namespace arrow {
class FileReader;
}
}  // namespace parquet

namespace headrace {

/// Returns those of row groups [begin, end) in which a row for which `filter` is true may exist,
/// judged by the statistics of their columns. `schema`: the file's. Columns of the path have the
/// values of `partition` in every row.
Result<std::vector<int>> PruneRowGroups(
    parquet::arrow::FileReader* reader, const std::shared_ptr<arrow::Schema>& schema, int begin,
    int end, const ExprPtr& filter,
    const std::vector<std::pair<std::string, std::string>>& partition,
    const std::shared_ptr<arrow::Schema>& partition_schema);

/// Returns the leaves whose text stands in row groups [begin, end) as codes of small dictionaries
/// only, so that they are dearer to read as text.
Result<std::vector<int>> CodedLeaves(const parquet::FileMetaData& metadata, int begin, int end);

}  // namespace headrace
