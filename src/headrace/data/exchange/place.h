#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "headrace/base/status.h"

namespace arrow {
class MemoryPool;
class Table;
}  // namespace arrow

namespace headrace {

/// Returns a table whose row places[i] is row i of `table`: the inverse of GatherRows(), and faster
/// where few runs of neighbouring places grow at once. Copies each column once, whatever its
/// chunks. Requires: `places` is a permutation of the rows.
Result<std::shared_ptr<arrow::Table>> PlaceRows(const std::shared_ptr<arrow::Table>& table,
                                                std::span<const std::uint32_t> places,
                                                arrow::MemoryPool* pool);

}  // namespace headrace
