#pragma once

#include <arrow/type_fwd.h>

#include <memory>

#include "headrace/data/exchange/group_table.h"

namespace headrace {

/// Returns a table for several keys of at most 8 bytes each: a row's values stand side by side in
/// one to four words of 64 bits, small ones together, with a bit for each that is null. Returns
/// null for other types, and where they need more words.
std::unique_ptr<GroupTable> MakeWordsTable(const arrow::DataTypeVector& types, GroupTable::Use use,
                                           arrow::MemoryPool* pool);

}  // namespace headrace
