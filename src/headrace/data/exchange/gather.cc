#include "headrace/data/exchange/gather.h"

#include <arrow/array/array_base.h>
#include <arrow/array/array_binary.h>
#include <arrow/array/array_primitive.h>
#include <arrow/array/builder_binary.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/builder.h>
#include <arrow/chunked_array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/extension_type.h>
#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/block/unify.h"
#include "headrace/data/exchange/column_rows.h"
#include "headrace/data/transform/arrow_init.h"

namespace headrace {

namespace {

using Rows = std::span<const std::uint32_t>;
using arrow::ArrayData;

arrow::MemoryPool* PoolOr(arrow::MemoryPool* pool) {
  return pool ? pool : arrow::default_memory_pool();
}

// Returns bits i: that row rows[i] is valid; null if all are.
Result<std::shared_ptr<arrow::Buffer>> GatherValidity(const RowValidity& valid, Rows rows,
                                                      bool may_miss, arrow::MemoryPool* pool) {
  if (!valid.bits && !may_miss) return nullptr;
  const auto count = static_cast<std::int64_t>(rows.size());
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer,
                        arrow::AllocateBuffer((count + 7) / 8, pool));
  std::uint8_t* out = buffer->mutable_data();
  for (std::int64_t begin = 0; begin < count; begin += 8) {
    const std::int64_t end = std::min(begin + 8, count);
    unsigned bits = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint32_t row = rows[static_cast<std::size_t>(i)];
      const bool is_valid = row != kNoRow && (!valid.bits || valid(row));
      bits |= static_cast<unsigned>(is_valid) << (i - begin);
    }
    out[begin >> 3] = static_cast<std::uint8_t>(bits);
  }
  return buffer;
}

template <int kWidth>
void CopyRows(const FixedRows& from, Rows rows, std::uint8_t* out) {
  const std::size_t width = kWidth > 0 ? kWidth : static_cast<std::size_t>(from.width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(out + i * width, from.values + rows[i] * width, width);
  }
}

template <int kWidth>
void CopyRowsThatAre(const FixedRows& from, Rows rows, std::uint8_t* out) {
  const std::size_t width = kWidth > 0 ? kWidth : static_cast<std::size_t>(from.width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] == kNoRow) {
      std::memset(out + i * width, 0, width);
    } else {
      std::memcpy(out + i * width, from.values + rows[i] * width, width);
    }
  }
}

Result<std::shared_ptr<ArrayData>> GatherFixed(const ArrayData& data, const FixedRows& from,
                                               Rows rows, bool may_miss, arrow::MemoryPool* pool) {
  const auto count = static_cast<std::int64_t>(rows.size());
  ARROW_ASSIGN_OR_RAISE(auto validity, GatherValidity(ValidityOf(data), rows, may_miss, pool));
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> values,
                        arrow::AllocateBuffer(count * from.width, pool));
  WithWidth(from.width, [&](auto width) {
    if (may_miss) {
      CopyRowsThatAre<decltype(width)::value>(from, rows, values->mutable_data());
    } else {
      CopyRows<decltype(width)::value>(from, rows, values->mutable_data());
    }
  });
  return MakeFixedRows(data, count, std::move(validity), std::move(values));
}

Result<std::shared_ptr<ArrayData>> GatherBits(const ArrayData& data, Rows rows, bool may_miss,
                                              arrow::MemoryPool* pool) {
  const auto count = static_cast<std::int64_t>(rows.size());
  ARROW_ASSIGN_OR_RAISE(auto validity, GatherValidity(ValidityOf(data), rows, may_miss, pool));
  const RowValidity values{data.buffers[1] ? data.buffers[1]->data() : nullptr, data.offset};
  std::shared_ptr<arrow::Buffer> bits;
  if (values.bits) {
    ARROW_ASSIGN_OR_RAISE(bits, GatherValidity(values, rows, may_miss, pool));
  } else {
    ARROW_ASSIGN_OR_RAISE(bits, arrow::AllocateBuffer(0, pool));
  }
  return ArrayData::Make(data.type, count, {std::move(validity), std::move(bits)});
}

// ---- Text.

// One chunk of a text column, and its first row in the column.
template <class Offset>
struct TextChunk {
  TextRows<Offset> text;
  RowValidity valid;
  std::int64_t first_row = 0;
};

// Where the bytes of a row lie.
struct TextPlace {
  const std::uint8_t* bytes;
  std::int64_t room;  // To the end of their buffer.
};

template <class Offset>
class TextGatherer {
 public:
  TextGatherer(const arrow::ArrayVector& chunks, bool may_miss, arrow::MemoryPool* pool)
      : type_(chunks.front()->type()), may_miss_(may_miss), pool_(pool) {
    std::int64_t row = 0;
    for (const auto& chunk : chunks) {
      chunks_.push_back({TextRowsOf<Offset>(*chunk->data()), ValidityOf(*chunk->data()), row});
      has_nulls_ = has_nulls_ || chunks_.back().valid.bits;
      row += chunk->length();
    }
  }

  // Makes one array, or more where the offsets would not reach.
  Result<std::vector<std::shared_ptr<ArrayData>>> Gather(Rows rows) {
    std::vector<std::shared_ptr<ArrayData>> made;
    do {
      ARROW_ASSIGN_OR_RAISE(auto one, GatherFirst(&rows));
      made.push_back(std::move(one));
    } while (!rows.empty());
    return made;
  }

 private:
  const TextChunk<Offset>& ChunkOf(std::uint32_t row) const {
    if (chunks_.size() == 1) return chunks_.front();
    const auto after = std::upper_bound(
        chunks_.begin(), chunks_.end(), static_cast<std::int64_t>(row),
        [](std::int64_t value, const auto& chunk) { return value < chunk.first_row; });
    return *(after - 1);
  }

  // Sets offsets and places of the rows that fit into one array; returns how many do.
  std::size_t Measure(Rows rows, Offset* offsets, TextPlace* places) const {
    std::uint64_t total = 0;
    const auto limit = static_cast<std::uint64_t>(std::numeric_limits<Offset>::max());
    offsets[0] = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::uint32_t row = rows[i];
      if (may_miss_ && row == kNoRow) {
        places[i] = {nullptr, 0};
      } else {
        const TextChunk<Offset>& chunk = ChunkOf(row);
        const Offset* at = chunk.text.offsets + (row - chunk.first_row);
        places[i] = {chunk.text.bytes + at[0], chunk.text.size - at[0]};
        total += static_cast<std::uint64_t>(at[1] - at[0]);
      }
      if (total > limit) return std::max<std::size_t>(i, 1);
      offsets[i + 1] = static_cast<Offset>(total);
    }
    return rows.size();
  }

  Result<std::shared_ptr<ArrayData>> GatherFirst(Rows* rest) const {
    const auto most = static_cast<std::int64_t>(rest->size());
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> offsets_buffer,
        arrow::AllocateBuffer((most + 1) * static_cast<std::int64_t>(sizeof(Offset)), pool_));
    auto* offsets = reinterpret_cast<Offset*>(offsets_buffer->mutable_data());
    const std::unique_ptr<TextPlace[]> places(new TextPlace[rest->size()]);
    const std::size_t count = Measure(*rest, offsets, places.get());
    const Rows rows = rest->subspan(0, count);
    const auto total = static_cast<std::int64_t>(offsets[count]);
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bytes,
                          arrow::AllocateBuffer(total + kTextPadding, pool_));
    std::uint8_t* out = bytes->mutable_data();
    constexpr std::size_t kAhead = 16;
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) __builtin_prefetch(places[i + kAhead].bytes);
      CopyText(out + offsets[i], places[i].bytes, offsets[i + 1] - offsets[i], places[i].room);
    }
    ARROW_ASSIGN_OR_RAISE(auto validity, Validity(rows));
    bytes = arrow::SliceBuffer(std::move(bytes), 0, total);
    offsets_buffer =
        arrow::SliceBuffer(std::move(offsets_buffer), 0,
                           (static_cast<std::int64_t>(count) + 1) * std::int64_t{sizeof(Offset)});
    *rest = rest->subspan(count);
    return ArrayData::Make(type_, static_cast<std::int64_t>(count),
                           {std::move(validity), std::move(offsets_buffer), std::move(bytes)});
  }

  Result<std::shared_ptr<arrow::Buffer>> Validity(Rows rows) const {
    if (chunks_.size() == 1) return GatherValidity(chunks_[0].valid, rows, may_miss_, pool_);
    if (!has_nulls_) return GatherValidity({}, rows, may_miss_, pool_);
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> buffer,
        arrow::AllocateBuffer((static_cast<std::int64_t>(rows.size()) + 7) / 8, pool_));
    std::uint8_t* out = buffer->mutable_data();
    std::memset(out, 0, static_cast<std::size_t>(buffer->size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] == kNoRow) continue;
      const TextChunk<Offset>& chunk = ChunkOf(rows[i]);
      const bool valid = !chunk.valid.bits || chunk.valid(rows[i] - chunk.first_row);
      out[i >> 3] |= static_cast<std::uint8_t>(valid << (i & 7));
    }
    return buffer;
  }

  const std::shared_ptr<arrow::DataType> type_;
  const bool may_miss_;
  arrow::MemoryPool* const pool_;
  std::vector<TextChunk<Offset>> chunks_;
  bool has_nulls_ = false;
};

template <class Offset>
Result<std::shared_ptr<arrow::ChunkedArray>> GatherText(const arrow::ChunkedArray& column,
                                                        Rows rows, bool may_miss,
                                                        arrow::MemoryPool* pool) {
  TextGatherer<Offset> gatherer(column.chunks(), may_miss, pool);
  ARROW_ASSIGN_OR_RAISE(auto made, gatherer.Gather(rows));
  arrow::ArrayVector chunks;
  for (auto& data : made) chunks.push_back(arrow::MakeArray(std::move(data)));
  return std::make_shared<arrow::ChunkedArray>(std::move(chunks), column.type());
}

std::shared_ptr<ArrayData> StorageData(const arrow::Array& array,
                                       const std::shared_ptr<arrow::DataType>& type) {
  auto data = array.data()->Copy();
  data->type = type;
  return data;
}

// Arrow has no Take for views. What they point at is copied: else every piece of the result would
// hold all of it.
Result<std::shared_ptr<arrow::ChunkedArray>> GatherViews(const arrow::ChunkedArray& column,
                                                         Rows rows, bool may_miss,
                                                         arrow::MemoryPool* pool) {
  std::shared_ptr<arrow::DataType> type = column.type();
  if (type->id() == arrow::Type::EXTENSION) {
    type = static_cast<const arrow::ExtensionType&>(*type).storage_type();
  }
  ARROW_ASSIGN_OR_RAISE(auto builder, arrow::MakeBuilder(type, pool));
  auto& views = static_cast<arrow::BinaryViewBuilder&>(*builder);
  ARROW_RETURN_NOT_OK(views.Reserve(static_cast<std::int64_t>(rows.size())));
  std::vector<std::shared_ptr<arrow::Array>> chunks;
  std::vector<std::int64_t> first_rows;
  std::int64_t first_row = 0;
  for (const auto& chunk : column.chunks()) {
    chunks.push_back(type == column.type() ? chunk : arrow::MakeArray(StorageData(*chunk, type)));
    first_rows.push_back(first_row);
    first_row += chunk->length();
  }
  for (const std::uint32_t row : rows) {
    if (may_miss && row == kNoRow) {
      ARROW_RETURN_NOT_OK(views.AppendNull());
      continue;
    }
    const auto after = std::upper_bound(first_rows.begin(), first_rows.end(), std::int64_t{row});
    const auto at = static_cast<std::size_t>(after - first_rows.begin()) - 1;
    const auto& chunk = static_cast<const arrow::BinaryViewArray&>(*chunks[at]);
    const std::int64_t i = row - first_rows[at];
    ARROW_RETURN_NOT_OK(chunk.IsNull(i) ? views.AppendNull() : views.Append(chunk.GetView(i)));
  }
  std::shared_ptr<ArrayData> made;
  ARROW_RETURN_NOT_OK(builder->FinishInternal(&made));
  made->type = column.type();
  return std::make_shared<arrow::ChunkedArray>(arrow::MakeArray(std::move(made)));
}

// ---- The rest.

Result<std::shared_ptr<arrow::ChunkedArray>> TakeRows(
    const std::shared_ptr<arrow::ChunkedArray>& column, Rows rows, bool may_miss,
    arrow::MemoryPool* pool) {
  ARROW_RETURN_NOT_OK(InitializeArrow());
  const auto without_views = WithoutViews(column->type());
  if (!without_views->Equals(*column->type())) {
    ARROW_ASSIGN_OR_RAISE(auto promoted, PromoteColumn(column, without_views, pool));
    ARROW_ASSIGN_OR_RAISE(auto taken, TakeRows(promoted, rows, may_miss, pool));
    return PromoteColumn(taken, column->type(), pool);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  ARROW_ASSIGN_OR_RAISE(auto validity,
                        GatherValidity({}, may_miss ? rows : Rows(), may_miss, pool));
  auto indices = std::make_shared<arrow::UInt32Array>(
      count,
      std::make_shared<arrow::Buffer>(reinterpret_cast<const std::uint8_t*>(rows.data()),
                                      count * 4),
      may_miss ? std::move(validity) : nullptr);
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  const arrow::Datum values =
      column->num_chunks() == 1 ? arrow::Datum(column->chunk(0)) : arrow::Datum(column);
  ARROW_ASSIGN_OR_RAISE(
      arrow::Datum taken,
      arrow::compute::Take(values, indices, arrow::compute::TakeOptions(/*boundscheck=*/false),
                           &context));
  if (taken.is_chunked_array()) return taken.chunked_array();
  return std::make_shared<arrow::ChunkedArray>(taken.make_array());
}

// Returns how many of the chunks from `begin` on fit into one array with 32-bit offsets.
std::size_t FittingChunks(const arrow::ArrayVector& chunks, std::size_t begin) {
  std::int64_t bytes = 0;
  std::size_t end = begin;
  while (end < chunks.size()) {
    const auto text = TextRowsOf<std::int32_t>(*chunks[end]->data());
    bytes += std::int64_t{text.offsets[chunks[end]->length()]} - text.offsets[0];
    if (bytes > INT32_MAX) break;
    ++end;
  }
  return std::max<std::size_t>(1, end - begin);
}

}  // namespace

Result<std::shared_ptr<arrow::ChunkedArray>> CombineColumn(
    const std::shared_ptr<arrow::ChunkedArray>& column, arrow::MemoryPool* pool) {
  pool = PoolOr(pool);
  if (column->num_chunks() == 1) return column;
  if (column->num_chunks() == 0) {
    ARROW_ASSIGN_OR_RAISE(auto empty, arrow::MakeEmptyArray(column->type(), pool));
    return std::make_shared<arrow::ChunkedArray>(std::move(empty));
  }
  const arrow::ArrayVector& chunks = column->chunks();
  const arrow::Type::type id = StorageOf(*column->type()).id();
  if (id != arrow::Type::STRING && id != arrow::Type::BINARY) {
    auto one = JoinArrays(chunks, pool);
    if (!one.ok()) {  // Offsets would overflow: Take reads it as it is.
      if (one.status().IsOutOfMemory()) return one.status();
      return column;
    }
    return std::make_shared<arrow::ChunkedArray>(*std::move(one));
  }
  arrow::ArrayVector combined;
  for (std::size_t begin = 0; begin < chunks.size();) {
    const std::size_t end = begin + FittingChunks(chunks, begin);
    const auto first = chunks.begin() + static_cast<std::ptrdiff_t>(begin);
    ARROW_ASSIGN_OR_RAISE(
        auto one,
        arrow::Concatenate({first, first + static_cast<std::ptrdiff_t>(end - begin)}, pool));
    combined.push_back(std::move(one));
    begin = end;
  }
  return std::make_shared<arrow::ChunkedArray>(std::move(combined), column->type());
}

Result<std::shared_ptr<arrow::ChunkedArray>> GatherColumn(
    const std::shared_ptr<arrow::ChunkedArray>& column, Rows rows, arrow::MemoryPool* pool,
    bool may_miss) {
  pool = PoolOr(pool);
  ARROW_ASSIGN_OR_RAISE(auto source, CombineColumn(column, pool));
  const arrow::DataType& type = StorageOf(*source->type());
  switch (type.id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return GatherText<std::int32_t>(*source, rows, may_miss, pool);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return GatherText<std::int64_t>(*source, rows, may_miss, pool);
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return GatherViews(*source, rows, may_miss, pool);
    default:
      break;
  }
  // A source without rows has only missing ones to give.
  if (source->num_chunks() != 1 || source->length() == 0) {
    return TakeRows(source, rows, may_miss, pool);
  }
  const ArrayData& data = *source->chunk(0)->data();
  std::shared_ptr<ArrayData> made;
  if (type.id() == arrow::Type::BOOL) {
    ARROW_ASSIGN_OR_RAISE(made, GatherBits(data, rows, may_miss, pool));
  } else if (auto fixed = FixedRowsOf(data, type); fixed && fixed->values) {
    ARROW_ASSIGN_OR_RAISE(made, GatherFixed(data, *fixed, rows, may_miss, pool));
  } else {
    return TakeRows(source, rows, may_miss, pool);
  }
  return std::make_shared<arrow::ChunkedArray>(arrow::MakeArray(std::move(made)));
}

Result<RowGatherer> RowGatherer::Make(std::shared_ptr<arrow::Table> table,
                                      arrow::MemoryPool* pool) {
  if (table->num_rows() >= kNoRow) {
    return Status::CapacityError("one task has ", table->num_rows(),
                                 " rows to bring into order; at most 4,294,967,294 can be");
  }
  const std::shared_ptr<arrow::Schema> schema = table->schema();
  const std::int64_t rows = table->num_rows();
  arrow::ChunkedArrayVector columns = table->columns();
  table.reset();  // Where it is the last one, each column goes when it has been copied.
  for (auto& column : columns) {
    ARROW_ASSIGN_OR_RAISE(column, CombineColumn(column, pool));
  }
  return RowGatherer(TableOf(schema, std::move(columns), rows), pool);
}

Result<std::shared_ptr<arrow::Table>> RowGatherer::Gather(Rows rows, bool may_miss) const {
  arrow::ChunkedArrayVector columns;
  for (const auto& column : table_->columns()) {
    ARROW_ASSIGN_OR_RAISE(auto gathered, GatherColumn(column, rows, pool_, may_miss));
    columns.push_back(std::move(gathered));
  }
  return arrow::Table::Make(table_->schema(), std::move(columns),
                            static_cast<std::int64_t>(rows.size()));
}

Result<std::shared_ptr<arrow::Table>> GatherRows(std::shared_ptr<arrow::Table> table, Rows rows,
                                                 arrow::MemoryPool* pool, bool may_miss) {
  ARROW_ASSIGN_OR_RAISE(RowGatherer gatherer, RowGatherer::Make(std::move(table), pool));
  return gatherer.Gather(rows, may_miss);
}

}  // namespace headrace
