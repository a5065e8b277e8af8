#include "headrace/data/exchange/place.h"

#include <arrow/array/array_base.h>
#include <arrow/array/util.h>
#include <arrow/chunked_array.h>
#include <arrow/table.h>

#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "headrace/block/unify.h"
#include "headrace/data/exchange/column_rows.h"
#include "headrace/data/exchange/gather.h"

namespace headrace {

namespace {

using arrow::ArrayData;
using Places = std::span<const std::uint32_t>;
using Chunks = std::vector<std::shared_ptr<ArrayData>>;

void SetBit(std::uint8_t* bits, std::uint32_t at) {
  bits[at >> 3] |= static_cast<std::uint8_t>(1 << (at & 7));
}

// Returns bits with those set whose row `is_set(chunk)(row)`; null if `is_set` is for no chunk.
template <class IsSet>
Result<std::shared_ptr<arrow::Buffer>> PlaceBits(const Chunks& chunks, Places places,
                                                 arrow::MemoryPool* pool, IsSet&& is_set) {
  const auto bytes = (static_cast<std::int64_t>(places.size()) + 7) / 8;
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer, arrow::AllocateBuffer(bytes, pool));
  std::uint8_t* const out = buffer->mutable_data();
  std::memset(out, 0, static_cast<std::size_t>(bytes));
  const std::uint32_t* place = places.data();
  for (const auto& chunk : chunks) {
    const RowValidity bits = is_set(*chunk);
    for (std::int64_t row = 0; row < chunk->length; ++row, ++place) {
      if (!bits.bits || bits(row)) SetBit(out, *place);
    }
  }
  return buffer;
}

Result<std::shared_ptr<arrow::Buffer>> PlaceValidity(const Chunks& chunks, Places places,
                                                     arrow::MemoryPool* pool) {
  bool has_nulls = false;
  for (const auto& chunk : chunks) has_nulls = has_nulls || ValidityOf(*chunk).bits;
  if (!has_nulls) return nullptr;
  return PlaceBits(chunks, places, pool, ValidityOf);
}

template <int kWidth>
void PlaceValues(const FixedRows& from, std::int64_t rows, const std::uint32_t* places,
                 std::uint8_t* out) {
  const std::size_t width = kWidth > 0 ? kWidth : static_cast<std::size_t>(from.width);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::memcpy(out + places[row] * width, from.values + static_cast<std::size_t>(row) * width,
                width);
  }
}

Result<std::shared_ptr<ArrayData>> PlaceFixed(const Chunks& chunks, Places places,
                                              arrow::MemoryPool* pool) {
  const arrow::DataType& type = StorageOf(*chunks.front()->type);
  const std::int64_t width = FixedRowsOf(*chunks.front(), type)->width;
  const auto count = static_cast<std::int64_t>(places.size());
  ARROW_ASSIGN_OR_RAISE(auto validity, PlaceValidity(chunks, places, pool));
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> values,
                        arrow::AllocateBuffer(count * width, pool));
  const std::uint32_t* place = places.data();
  for (const auto& chunk : chunks) {
    const FixedRows from = *FixedRowsOf(*chunk, type);
    WithWidth(width, [&](auto constant) {
      PlaceValues<decltype(constant)::value>(from, chunk->length, place, values->mutable_data());
    });
    place += chunk->length;
  }
  return MakeFixedRows(*chunks.front(), count, std::move(validity), std::move(values));
}

Result<std::shared_ptr<ArrayData>> PlaceBooleans(const Chunks& chunks, Places places,
                                                 arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto validity, PlaceValidity(chunks, places, pool));
  ARROW_ASSIGN_OR_RAISE(auto bits, PlaceBits(chunks, places, pool, [](const ArrayData& chunk) {
                          return RowValidity{chunk.buffers[1]->data(), chunk.offset};
                        }));
  return ArrayData::Make(chunks.front()->type, static_cast<std::int64_t>(places.size()),
                         {std::move(validity), std::move(bits)});
}

// Null if the text does not fit into one array.
template <class Offset>
Result<std::shared_ptr<ArrayData>> PlaceText(const Chunks& chunks, Places places,
                                             arrow::MemoryPool* pool) {
  std::uint64_t total = 0;
  for (const auto& chunk : chunks) {
    const auto text = TextRowsOf<Offset>(*chunk);
    total += static_cast<std::uint64_t>(text.offsets[chunk->length] - text.offsets[0]);
  }
  if (total > static_cast<std::uint64_t>(std::numeric_limits<Offset>::max())) return nullptr;
  const auto count = static_cast<std::int64_t>(places.size());
  ARROW_ASSIGN_OR_RAISE(
      std::shared_ptr<arrow::Buffer> offsets_buffer,
      arrow::AllocateBuffer((count + 1) * static_cast<std::int64_t>(sizeof(Offset)), pool));
  auto* const offsets = reinterpret_cast<Offset*>(offsets_buffer->mutable_data());
  const std::uint32_t* place = places.data();
  for (const auto& chunk : chunks) {
    const auto text = TextRowsOf<Offset>(*chunk);
    for (std::int64_t row = 0; row < chunk->length; ++row) {
      offsets[std::size_t{*place++} + 1] = text.offsets[row + 1] - text.offsets[row];
    }
  }
  offsets[0] = 0;
  for (std::int64_t i = 0; i < count; ++i) offsets[i + 1] += offsets[i];
  const auto bytes_size = static_cast<std::int64_t>(total);
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bytes,
                        arrow::AllocateBuffer(bytes_size, pool));
  std::uint8_t* const out = bytes->mutable_data();
  place = places.data();
  for (const auto& chunk : chunks) {
    const auto text = TextRowsOf<Offset>(*chunk);
    for (std::int64_t row = 0; row < chunk->length; ++row, ++place) {
      const Offset begin = text.offsets[row];
      const auto length = static_cast<std::size_t>(text.offsets[row + 1] - begin);
      if (length > 0) std::memcpy(out + offsets[*place], text.bytes + begin, length);
    }
  }
  ARROW_ASSIGN_OR_RAISE(auto validity, PlaceValidity(chunks, places, pool));
  return ArrayData::Make(chunks.front()->type, count,
                         {std::move(validity), std::move(offsets_buffer), std::move(bytes)});
}

// Null if rows of this type are better gathered.
Result<std::shared_ptr<ArrayData>> PlaceColumn(const arrow::ChunkedArray& column, Places places,
                                               arrow::MemoryPool* pool) {
  Chunks chunks;
  for (const auto& chunk : column.chunks()) {
    if (chunk->length() > 0) chunks.push_back(chunk->data());
  }
  if (chunks.empty()) return nullptr;
  const arrow::DataType& type = StorageOf(*column.type());
  switch (type.id()) {
    case arrow::Type::BOOL:
      return PlaceBooleans(chunks, places, pool);
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return PlaceText<std::int32_t>(chunks, places, pool);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return PlaceText<std::int64_t>(chunks, places, pool);
    default:
      if (!AllFixed(chunks, type)) return nullptr;
      return PlaceFixed(chunks, places, pool);
  }
}

}  // namespace

Result<std::shared_ptr<arrow::Table>> PlaceRows(const std::shared_ptr<arrow::Table>& table,
                                                Places places, arrow::MemoryPool* pool) {
  arrow::MemoryPool* const some_pool = pool ? pool : arrow::default_memory_pool();
  std::vector<std::uint32_t> rows;  // The inverse of `places`, once it is needed.
  arrow::ChunkedArrayVector columns;
  for (const auto& column : table->columns()) {
    ARROW_ASSIGN_OR_RAISE(auto placed, PlaceColumn(*column, places, some_pool));
    if (placed) {
      columns.push_back(std::make_shared<arrow::ChunkedArray>(arrow::MakeArray(std::move(placed))));
      continue;
    }
    if (rows.empty()) {
      rows.resize(places.size());
      for (std::uint32_t i = 0; i < places.size(); ++i) rows[places[i]] = i;
    }
    ARROW_ASSIGN_OR_RAISE(auto gathered, GatherColumn(column, rows, pool));
    columns.push_back(std::move(gathered));
  }
  return TableOf(table->schema(), std::move(columns), table->num_rows());
}

}  // namespace headrace
