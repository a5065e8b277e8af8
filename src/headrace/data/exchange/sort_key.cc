#include "headrace/data/exchange/sort_key.h"

#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/extension_type.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <utility>

#include "headrace/data/exchange/column_rows.h"
#include "headrace/data/exchange/key_column.h"
#include "headrace/data/exchange/value_encoder.h"

namespace headrace {

namespace {

bool HasOrder(const arrow::DataType& type) {
  const arrow::DataType& storage = StorageOf(type);
  const arrow::Type::type id = storage.id();
  if (id == arrow::Type::DICTIONARY) {
    return HasOrder(*static_cast<const arrow::DictionaryType&>(storage).value_type());
  }
  if (arrow::is_base_binary_like(id)) return type.id() != arrow::Type::EXTENSION;  // An object.
  if (id == arrow::Type::INTERVAL_DAY_TIME || id == arrow::Type::INTERVAL_MONTH_DAY_NANO) {
    return false;
  }
  return arrow::is_primitive(id) || arrow::is_decimal(id) || arrow::is_binary_view_like(id) ||
         id == arrow::Type::FIXED_SIZE_BINARY || id == arrow::Type::NA;
}

}  // namespace

/// One key column: an encoder for each chunk.
class SortKeyEncoder::Column {
 public:
  static Result<std::unique_ptr<Column>> Make(const arrow::ChunkedArray& column,
                                              EncodingOrder order, arrow::MemoryPool* pool) {
    auto made = std::make_unique<Column>();
    ARROW_ASSIGN_OR_RAISE(auto chunks, PlainChunks(column, pool));
    std::int64_t row = 0;
    for (auto& chunk : chunks) {
      if (chunk->length() == 0) continue;
      made->first_rows_.push_back(row);
      row += chunk->length();
      ARROW_ASSIGN_OR_RAISE(auto encoder, ValueEncoder::Make(std::move(chunk), order, pool));
      made->encoders_.push_back(std::move(encoder));
    }
    made->num_rows_ = row;
    return made;
  }

  void Append(std::int64_t row, std::string* out) const {
    const std::size_t chunk = ChunkOf(row);
    const ValueEncoder& encoder = *encoders_[chunk];
    row -= first_rows_[chunk];
    const std::size_t begin = out->size();
    out->resize(begin + encoder.Size(row));
    encoder.Put(row, reinterpret_cast<std::uint8_t*>(out->data()) + begin);
  }

  void AddSizes(std::int64_t begin, std::int64_t end, std::int64_t* sizes) const {
    ForChunks(begin, end, [&](const ValueEncoder& encoder, std::int64_t from, std::int64_t to) {
      encoder.AddSizes(from, to, sizes);
      sizes += to - from;
    });
  }

  void PutRows(std::int64_t begin, std::int64_t end, std::uint8_t** cursors) const {
    ForChunks(begin, end, [&](const ValueEncoder& encoder, std::int64_t from, std::int64_t to) {
      encoder.PutRows(from, to, cursors);
      cursors += to - from;
    });
  }

 private:
  std::size_t ChunkOf(std::int64_t row) const {
    if (first_rows_.size() == 1) return 0;
    const auto after = std::upper_bound(first_rows_.begin(), first_rows_.end(), row);
    return static_cast<std::size_t>(after - first_rows_.begin()) - 1;
  }

  template <class Function>
  void ForChunks(std::int64_t begin, std::int64_t end, Function&& function) const {
    for (std::size_t chunk = begin < end ? ChunkOf(begin) : 0; begin < end; ++chunk) {
      const std::int64_t first = first_rows_[chunk];
      const std::int64_t chunk_end =
          chunk + 1 < first_rows_.size() ? first_rows_[chunk + 1] : num_rows_;
      const std::int64_t to = std::min(end, chunk_end);
      function(*encoders_[chunk], begin - first, to - first);
      begin = to;
    }
  }

  std::vector<std::int64_t> first_rows_;
  std::vector<std::unique_ptr<ValueEncoder>> encoders_;
  std::int64_t num_rows_ = 0;
};

SortKeyEncoder::SortKeyEncoder() = default;
SortKeyEncoder::SortKeyEncoder(SortKeyEncoder&&) noexcept = default;
SortKeyEncoder& SortKeyEncoder::operator=(SortKeyEncoder&&) noexcept = default;
SortKeyEncoder::~SortKeyEncoder() = default;

Result<SortKeyEncoder> SortKeyEncoder::Make(const arrow::Table& table,
                                            const std::vector<SortKey>& keys,
                                            arrow::MemoryPool* pool, bool any_type) {
  SortKeyEncoder made;
  made.num_rows_ = table.num_rows();
  for (const SortKey& key : keys) {
    ARROW_ASSIGN_OR_RAISE(const int index, FindKeyColumn(*table.schema(), key.column));
    EncodingOrder order{key.descending, key.nulls_first, false};
    order.bare = &key == &keys.back() && !key.descending;
    order.any_type = any_type;
    ARROW_ASSIGN_OR_RAISE(auto column, Column::Make(*table.column(index), order, pool));
    made.columns_.push_back(std::move(column));
  }
  return made;
}

void SortKeyEncoder::Append(std::int64_t row, std::string* out) const {
  for (const auto& column : columns_) column->Append(row, out);
}

EncodedKeys SortKeyEncoder::EncodeAll() const {
  EncodedKeys keys;
  keys.offsets.resize(static_cast<std::size_t>(num_rows_) + 1);
  std::int64_t* const offsets = keys.offsets.data();
  for (const auto& column : columns_) column->AddSizes(0, num_rows_, offsets + 1);
  for (std::int64_t row = 0; row < num_rows_; ++row) offsets[row + 1] += offsets[row];
  keys.bytes.reset(new std::uint8_t[static_cast<std::size_t>(offsets[num_rows_]) + 8]);
  constexpr std::int64_t kRows = 1024;  // Whose keys stay in the cache from column to column.
  std::uint8_t* cursors[kRows];
  for (std::int64_t begin = 0; begin < num_rows_; begin += kRows) {
    const std::int64_t end = std::min(begin + kRows, num_rows_);
    for (std::int64_t row = begin; row < end; ++row) {
      cursors[row - begin] = keys.bytes.get() + offsets[row];
    }
    for (const auto& column : columns_) column->PutRows(begin, end, cursors);
  }
  return keys;
}

Status CheckSortKeys(const std::vector<SortKey>& keys, const arrow::Schema& schema, bool any_type) {
  for (const SortKey& key : keys) {
    ARROW_ASSIGN_OR_RAISE(const int index, FindKeyColumn(schema, key.column));
    const arrow::DataType& type = *schema.field(index)->type();
    if (any_type || HasOrder(type)) continue;
    return Status::TypeError("cannot sort by column '", key.column, "': values of type ",
                             type.ToString(), " have no order");
  }
  return Status::OK();
}

}  // namespace headrace
