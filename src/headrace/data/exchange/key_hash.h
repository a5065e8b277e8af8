#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace arrow {
class ChunkedArray;
class MemoryPool;
class Table;
}  // namespace arrow

namespace headrace {

/// The hash of every null.
inline constexpr std::uint64_t kNullHash = 0x6E756C6C6E756C6CULL;

/// Sets (*hashes)[i] to the hash of row i's values in the columns `keys`; all 64 bits are good.
///
/// Equal for equal values of all types that can be unified (block/unify.h): integers (booleans are
/// 0 and 1), floats and decimals; times of any unit; any string or binary type; dictionaries; lists
/// and structs of these. 0.0 is -0.0, all nan are one value, all nulls one other. The same on every
/// run and machine. Without keys all rows are equal.
Status HashRows(const arrow::Table& table, const std::vector<std::string>& keys,
                arrow::MemoryPool* pool, std::vector<std::uint64_t>* hashes);

/// Returns the bucket, of `buckets`, that rows with this hash belong to. Takes the high bits: a
/// hash table within a bucket should take low ones.
constexpr std::uint32_t BucketOfHash(std::uint64_t hash, std::uint32_t buckets) {
  return static_cast<std::uint32_t>((static_cast<unsigned __int128>(hash) * buckets) >> 64);
}

}  // namespace headrace
