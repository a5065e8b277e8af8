#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace arrow {
class MemoryPool;
class Table;
}  // namespace arrow

namespace headrace {

/// Splits rows by the values of `columns`, which leave the table: "k=1/s=a%20b" → rows, in their
/// order. Values are escaped as in URIs; null is "__HIVE_DEFAULT_PARTITION__". An Invalid error if
/// no other columns are left: a file without columns has no rows.
Result<std::map<std::string, std::shared_ptr<arrow::Table>>> SplitByPartition(
    const std::shared_ptr<arrow::Table>& table, const std::vector<std::string>& columns,
    arrow::MemoryPool* pool);

/// Escapes what is not a letter, a digit or one of "-_.~" as %XX.
std::string EscapeSegment(const std::string& text);

/// Undoes EscapeSegment; what is no escape stays.
std::string UnescapeSegment(const std::string& text);

}  // namespace headrace
