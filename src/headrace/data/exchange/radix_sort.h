#pragma once

#include <cstddef>
#include <cstdint>

namespace headrace {

/// A row and what it is sorted by.
struct KeyedRow {
  std::uint64_t key;
  std::uint32_t row;
};

/// Sorts `count` rows by key, stably. `scratch` has room for as many.
void SortKeyedRows(KeyedRow* rows, KeyedRow* scratch, std::size_t count);

}  // namespace headrace
