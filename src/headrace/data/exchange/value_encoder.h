#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "headrace/base/status.h"

namespace arrow {
class Array;
class MemoryPool;
}  // namespace arrow

namespace headrace {

/// How the values of one key column are written; see sort_key.h.
struct EncodingOrder {
  bool descending = false;
  bool nulls_first = false;
  bool bare = false;      // Text: as it is, since nothing follows.
  bool any_type = false;  // Numbers and times as bytes that compare across their types.
};

/// Writes the values of one array as bytes that sort like the values.
class ValueEncoder {
 public:
  /// `array`: plain values, see PlainArray(). Fails if the type cannot be encoded.
  static Result<std::unique_ptr<ValueEncoder>> Make(std::shared_ptr<arrow::Array> array,
                                                    EncodingOrder order, arrow::MemoryPool* pool);
  virtual ~ValueEncoder() = default;

  /// Returns the bytes that Put() writes for a row.
  virtual std::size_t Size(std::int64_t row) const = 0;
  /// Writes a row at `out`; returns the end.
  virtual std::uint8_t* Put(std::int64_t row, std::uint8_t* out) const = 0;

  /// The same for rows [begin, end): adds their sizes to sizes[0], …; advances cursors[0], ….
  virtual void AddSizes(std::int64_t begin, std::int64_t end, std::int64_t* sizes) const = 0;
  virtual void PutRows(std::int64_t begin, std::int64_t end, std::uint8_t** cursors) const = 0;
};

}  // namespace headrace
