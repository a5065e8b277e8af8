#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/exchange.h"

namespace arrow {
class MemoryPool;
class Table;
}  // namespace arrow

namespace headrace {

/// Returns the numbers of the rows in sorted order. Stable. Null and nan come last, or first if
/// `nulls_first`: values, nan, null; or null, nan, values. Fastest for one key of at most 8 bytes,
/// and for one ascending text key in one chunk. Takes up to 36 bytes for each row while it works,
/// and the encoded keys (sort_key.h) of other kinds of keys.
Result<std::vector<std::uint32_t>> SortRows(const arrow::Table& table,
                                            const std::vector<SortKey>& keys,
                                            arrow::MemoryPool* pool);

}  // namespace headrace
