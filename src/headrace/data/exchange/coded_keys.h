#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>

#include "headrace/base/status.h"
#include "headrace/data/exchange/group_table.h"

namespace headrace {

/// Finds the groups of rows whose keys all are codes of text (data/transform/codes.h), of so few
/// values that their combinations can be counted out: only one row of each asks the table. Writes
/// each row's group to `ids`, as GroupTable::Add() would, and returns true; or returns false and
/// leaves the table alone. `types`: the table's.
Result<bool> AddCodedKeys(const arrow::ArrayVector& keys, const arrow::DataTypeVector& types,
                          std::int64_t rows, GroupTable* table, std::uint32_t* ids,
                          arrow::MemoryPool* pool);

}  // namespace headrace
