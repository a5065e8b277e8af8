#include "headrace/data/exchange/column_rows.h"

#include <arrow/extension_type.h>
#include <arrow/type_traits.h>

#include <algorithm>

namespace headrace {

namespace {

// Returns the bytes of one value, or 0 where values have no fixed number of whole bytes.
std::int64_t WidthOf(const arrow::DataType& type) {
  const arrow::Type::type id = type.id();
  if (id == arrow::Type::BOOL || id == arrow::Type::NA) return 0;
  if (id == arrow::Type::DICTIONARY) {
    return WidthOf(*static_cast<const arrow::DictionaryType&>(type).index_type());
  }
  if (arrow::is_primitive(id) || arrow::is_decimal(id) || id == arrow::Type::FIXED_SIZE_BINARY) {
    return type.bit_width() / 8;
  }
  return 0;
}

}  // namespace

const arrow::DataType& StorageOf(const arrow::DataType& type) {
  if (type.id() != arrow::Type::EXTENSION) return type;
  return StorageOf(*static_cast<const arrow::ExtensionType&>(type).storage_type());
}

std::optional<FixedRows> FixedRowsOf(const arrow::ArrayData& data, const arrow::DataType& type) {
  if (type.id() == arrow::Type::FIXED_SIZE_LIST) {
    const std::int64_t size = static_cast<const arrow::FixedSizeListType&>(type).list_size();
    const arrow::ArrayData& child = *data.child_data[0];
    if (child.GetNullCount() > 0) return std::nullopt;
    auto inner = FixedRowsOf(child, StorageOf(*child.type));
    if (!inner || child.dictionary || size == 0) return std::nullopt;
    if (child.length < (data.offset + data.length) * size) return std::nullopt;
    const std::int64_t width = inner->width * size;
    return FixedRows{inner->values + data.offset * width, width};
  }
  const std::int64_t width = WidthOf(type);
  if (width == 0) return std::nullopt;
  const std::uint8_t* values = data.buffers[1] ? data.buffers[1]->data() : nullptr;
  return FixedRows{values ? values + data.offset * width : nullptr, width};
}

bool AllFixed(const std::vector<std::shared_ptr<arrow::ArrayData>>& chunks,
              const arrow::DataType& type) {
  return std::all_of(chunks.begin(), chunks.end(), [&](const auto& chunk) {
    return FixedRowsOf(*chunk, type).has_value() && chunk->dictionary == chunks.front()->dictionary;
  });
}

RowValidity ValidityOf(const arrow::ArrayData& data) {
  if (!data.buffers[0] || data.GetNullCount() == 0) return {};
  return {data.buffers[0]->data(), data.offset};
}

std::shared_ptr<arrow::ArrayData> MakeFixedRows(const arrow::ArrayData& like, std::int64_t rows,
                                                std::shared_ptr<arrow::Buffer> validity,
                                                std::shared_ptr<arrow::Buffer> values) {
  auto made = std::make_shared<arrow::ArrayData>();
  made->type = like.type;
  made->length = rows;
  made->null_count = validity ? arrow::kUnknownNullCount : 0;
  const arrow::DataType& type = StorageOf(*like.type);
  if (type.id() == arrow::Type::FIXED_SIZE_LIST) {
    const std::int64_t size = static_cast<const arrow::FixedSizeListType&>(type).list_size();
    made->buffers = {std::move(validity)};
    made->child_data = {
        MakeFixedRows(*like.child_data[0], rows * size, nullptr, std::move(values))};
  } else {
    made->buffers = {std::move(validity), std::move(values)};
    made->dictionary = like.dictionary;
  }
  return made;
}

}  // namespace headrace
