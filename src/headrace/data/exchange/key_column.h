#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace arrow {
class Array;
class ChunkedArray;
class DataType;
class MemoryPool;
class Schema;
class Table;
}  // namespace arrow

namespace headrace {

/// Returns the column's number. The error lists the names that there are.
Result<int> FindKeyColumn(const arrow::Schema& schema, const std::string& name);

/// Returns the chunks of a column as plain values: storage of extension types, values in place of
/// dictionary codes.
Result<std::vector<std::shared_ptr<arrow::Array>>> PlainChunks(const arrow::ChunkedArray& column,
                                                               arrow::MemoryPool* pool);
Result<std::shared_ptr<arrow::Array>> PlainArray(const std::shared_ptr<arrow::Array>& array,
                                                 arrow::MemoryPool* pool);

/// Returns the nanoseconds of one unit of a date, time or duration; 1 for other types.
std::int64_t UnitOf(const arrow::DataType& type);

}  // namespace headrace
