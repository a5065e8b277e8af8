#pragma once

#include <arrow/array/data.h>
#include <arrow/buffer.h>
#include <arrow/type.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/base/status.h"

// How the values of an Arrow array lie, for loops that move rows (gather.cc, place.cc).

namespace headrace {

/// An array whose row i is the `width` bytes at values + i × width: numbers, times, decimals, fixed
/// binary, dictionary codes, and tensors, which are lists of fixed length of such without nulls.
struct FixedRows {
  const std::uint8_t* values = nullptr;
  std::int64_t width = 0;
};

/// An array of strings or binaries: row i is bytes [offsets[i], offsets[i + 1]) of `bytes`.
template <class Offset>
struct TextRows {
  const Offset* offsets = nullptr;
  const std::uint8_t* bytes = nullptr;
  std::int64_t size = 0;  // Of `bytes`: what may be read.
};

/// Validity of rows: null `bits`: all are valid.
struct RowValidity {
  const std::uint8_t* bits = nullptr;
  std::int64_t offset = 0;

  bool operator()(std::int64_t row) const {
    const std::int64_t bit = row + offset;
    return (bits[bit >> 3] >> (bit & 7)) & 1;
  }
};

/// Returns the type that says how values are stored: of an extension type, that of its storage.
const arrow::DataType& StorageOf(const arrow::DataType& type);

/// Returns the rows if they are of fixed width. `type`: the storage type.
std::optional<FixedRows> FixedRowsOf(const arrow::ArrayData& data, const arrow::DataType& type);

/// Returns whether FixedRowsOf would find rows for all `chunks`.
bool AllFixed(const std::vector<std::shared_ptr<arrow::ArrayData>>& chunks,
              const arrow::DataType& type);

/// Requires: a string or binary type with offsets of this width.
template <class Offset>
TextRows<Offset> TextRowsOf(const arrow::ArrayData& data) {
  static constexpr Offset kZero = 0;
  TextRows<Offset> rows;
  rows.offsets =
      data.buffers[1] && data.buffers[1]->size() > 0 ? data.GetValues<Offset>(1) : &kZero;
  if (data.buffers[2]) {
    rows.bytes = data.buffers[2]->data();
    rows.size = data.buffers[2]->size();
  }
  return rows;
}

RowValidity ValidityOf(const arrow::ArrayData& data);

/// Returns an array of fixed rows with these buffers. `like` gives type and dictionary.
std::shared_ptr<arrow::ArrayData> MakeFixedRows(const arrow::ArrayData& like, std::int64_t rows,
                                                std::shared_ptr<arrow::Buffer> validity,
                                                std::shared_ptr<arrow::Buffer> values);

/// Copies `length` bytes, 16 at once where both sides have room for it. Requires: `to` has 16 bytes
/// more than it needs; `room` bytes may be read at `from`.
inline void CopyText(std::uint8_t* to, const std::uint8_t* from, std::int64_t length,
                     std::int64_t room) {
  if (length <= 16 && room >= 16) {
    std::memcpy(to, from, 16);
  } else if (length > 0) {
    std::memcpy(to, from, static_cast<std::size_t>(length));
  }
}

/// What CopyText may write beyond the end.
inline constexpr std::int64_t kTextPadding = 16;

/// Calls `loop` with the width as a constant, std::integral_constant<int, W>, 0 for unusual ones.
template <class Loop>
void WithWidth(std::int64_t width, Loop&& loop) {
  switch (width) {
    case 1:
      return loop(std::integral_constant<int, 1>());
    case 2:
      return loop(std::integral_constant<int, 2>());
    case 4:
      return loop(std::integral_constant<int, 4>());
    case 8:
      return loop(std::integral_constant<int, 8>());
    case 16:
      return loop(std::integral_constant<int, 16>());
    default:
      return loop(std::integral_constant<int, 0>());
  }
}

}  // namespace headrace
