#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/status.h"
#include "headrace/block/bucket_offsets.h"
#include "headrace/block/position.h"

namespace arrow {
class Schema;
class Table;
}  // namespace arrow

namespace headrace {

/// One immutable piece of a dataset: an Arrow table whose size is known.
///
/// Lives in tasks and in the consumer; control code never sees one. Threads: may be read from
/// any thread.
class Block {
 public:
  Block() = default;

  /// Wraps `table` and measures its rows.
  explicit Block(std::shared_ptr<arrow::Table> table);

  /// Wraps `table` whose size the caller knows.
  Block(std::shared_ptr<arrow::Table> table, std::int64_t num_bytes);

  const std::shared_ptr<arrow::Table>& table() const& { return table_; }
  std::shared_ptr<arrow::Table> table() && { return std::move(table_); }
  std::int64_t num_rows() const { return num_rows_; }

  /// Bytes of this block's own rows. A slice counts its rows, not the buffers it shares.
  std::int64_t num_bytes() const { return num_bytes_; }

  /// Returns rows [begin, end) without copying. The slice keeps the whole parent alive.
  /// Requires: 0 <= begin <= end <= num_rows().
  [[nodiscard]] Block Slice(std::int64_t begin, std::int64_t end) const;

 private:
  std::shared_ptr<arrow::Table> table_;
  std::int64_t num_rows_ = 0;
  std::int64_t num_bytes_ = 0;
};

/// Names of the files that rows come from, shared by the blocks of one task. Null is none.
using FileList = std::shared_ptr<const std::vector<std::string>>;

/// How the rows of a block lie, where a task made it for an exchange. One of two forms:
///
///   scattered: by `buckets`.
///   sorted:    `keys` are the encoded sort keys (data/exchange/sort_key.h: their order is that of
///              their bytes) of rows 0, stride, 2 × stride, …, and of the last row.
struct BlockIndex {
  BucketOffsets buckets;
  std::vector<std::string> keys;
  std::int64_t stride = 0;
  bool operator==(const BlockIndex&) const = default;
};

/// What the driver knows about a block that it does not hold.
struct BlockInfo {
  std::int64_t num_rows = 0;
  std::int64_t num_bytes = 0;
  std::shared_ptr<arrow::Schema> schema;  // One object for all equal schemas of an operator.
  Position position;
  FileList input_files;
  std::shared_ptr<const BlockIndex> index;  // Null: the rows lie as they came.
};

/// A stored block and what is known about it.
struct BlockHandle {
  ObjectId object;
  BlockInfo info;
};

/// Returns the bytes that the rows of `table` take, without the rest of shared buffers.
std::int64_t MeasureBytes(const arrow::Table& table);

}  // namespace headrace
