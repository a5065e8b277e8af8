#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "headrace/base/status.h"

namespace headrace {

/// Numbers the groups of rows with equal keys: 0, 1, … in order of first appearance.
///
///   one key of at most 8 bytes      hash table of the values themselves
///   one text key                    hash table of their bytes
///   keys of 32 bytes together       hash table of their values side by side (words_table.h)
///   anything else                   hash table of encoded keys (sort_key.h)
///
/// 0.0 is -0.0, all nan are one value, all nulls another. Threads: one at a time, but const methods
/// from any thread.
class GroupTable {
 public:
  enum class Use : std::uint8_t {
    kFold,  // Nulls make groups too, and Keys() gives the keys back.
    kJoin,  // A row with a null key is of no group; keys are not kept.
  };
  static constexpr std::uint32_t kNoGroup = UINT32_MAX;

  /// Returns an empty table for keys of these types. Requires: at least one key.
  static Result<std::unique_ptr<GroupTable>> Make(const arrow::DataTypeVector& types, Use use,
                                                  arrow::MemoryPool* pool);
  virtual ~GroupTable() = default;

  /// Writes each row's group to `ids`; new keys make new groups. `keys`: arrays of `rows` values
  /// of the table's types.
  virtual Status Add(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* ids) = 0;

  /// The same, but makes no groups: kNoGroup for keys that have none.
  virtual Status Find(const arrow::ArrayVector& keys, std::int64_t rows,
                      std::uint32_t* ids) const = 0;

  /// Returns the keys of groups [begin, end). For kFold tables.
  virtual Result<arrow::ArrayVector> Keys(std::int64_t begin, std::int64_t end) const = 0;

  std::int64_t num_groups() const { return num_groups_; }

 protected:
  /// CapacityError if there might be too many groups after `rows` more rows.
  Status CheckRoom(std::int64_t rows) const;

  std::int64_t num_groups_ = 0;
};

/// Chunks of one column, joined as they come so that there are never many.
class ArrayPile {
 public:
  explicit ArrayPile(std::shared_ptr<arrow::DataType> type, arrow::MemoryPool* pool);
  Status Append(std::shared_ptr<arrow::Array> chunk);
  Status Append(const arrow::ChunkedArray& chunks);
  std::int64_t length() const { return length_; }
  /// Returns all values, in at least one chunk.
  Result<std::shared_ptr<arrow::ChunkedArray>> Column() const;

 private:
  std::shared_ptr<arrow::DataType> type_;
  arrow::MemoryPool* pool_;
  arrow::ArrayVector chunks_;
  std::int64_t length_ = 0;
};

}  // namespace headrace
