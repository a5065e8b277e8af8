#include "headrace/data/transform/codes.h"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/chunked_array.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/type.h>
#include <arrow/util/bitmap_ops.h>
#include <arrow/util/int_util.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace headrace {

namespace {

constexpr std::int64_t kChunkBytes = 1 << 30;

// Text of at most so many bytes is copied as a block of this size, over which the next one goes.
constexpr std::size_t kShortText = 16;
struct ShortText {
  std::array<char, kShortText> bytes{};
};

struct Column {
  const std::int32_t* codes;
  const arrow::DictionaryArray* array;
  const arrow::BinaryArray* values;
  bool has_nulls;

  bool IsText(std::int64_t row) const { return !has_nulls || array->IsValid(row); }
};

// Writes where each row's text ends, beginning at row `begin`, up to the row at which a chunk is
// full; returns that row.
std::int64_t PutOffsets(const Column& column, std::int64_t begin, std::int32_t* offsets) {
  const std::int32_t* const starts = column.values->raw_value_offsets();
  std::int64_t bytes = 0;
  *offsets = 0;
  for (std::int64_t i = begin; i < column.array->length(); ++i) {
    if (column.IsText(i)) {
      const std::int32_t code = column.codes[i];
      bytes += starts[code + 1] - starts[code];
    }
    // One text alone always fits: it came from a dictionary of this type.
    if (bytes > kChunkBytes && i > begin) return i;
    *++offsets = static_cast<std::int32_t>(bytes);
  }
  return column.array->length();
}

void PutShort(const Column& column, std::int64_t begin, std::int64_t end,
              const std::int32_t* offsets, char* out) {
  std::vector<ShortText> texts(static_cast<std::size_t>(column.values->length()));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto text = column.values->GetView(static_cast<std::int64_t>(i));
    std::memcpy(texts[i].bytes.data(), text.data(), text.size());
  }
  for (std::int64_t i = begin; i < end; ++i) {
    if (!column.IsText(i)) continue;
    std::memcpy(out + offsets[i - begin], &texts[static_cast<std::size_t>(column.codes[i])],
                kShortText);
  }
}

void PutAny(const Column& column, std::int64_t begin, std::int64_t end, const std::int32_t* offsets,
            char* out) {
  const std::int32_t* const starts = column.values->raw_value_offsets();
  const auto* const bytes = reinterpret_cast<const char*>(column.values->raw_data());
  for (std::int64_t i = begin; i < end; ++i) {
    if (!column.IsText(i)) continue;
    const std::int32_t code = column.codes[i];
    std::memcpy(out + offsets[i - begin], bytes + starts[code],
                static_cast<std::size_t>(starts[code + 1] - starts[code]));
  }
}

bool AllShort(const arrow::BinaryArray& values) {
  for (std::int64_t i = 0; i < values.length(); ++i) {
    if (static_cast<std::size_t>(values.value_length(i)) > kShortText) return false;
  }
  return true;
}

Status DecodeArray(const arrow::DictionaryArray& array, arrow::MemoryPool* pool,
                   arrow::ArrayVector* chunks) {
  const auto& values = static_cast<const arrow::BinaryArray&>(*array.dictionary());
  const Column column{array.indices()->data()->GetValues<std::int32_t>(1), &array, &values,
                      array.null_count() > 0};
  const bool is_short = AllShort(values);
  const auto& type = array.dictionary()->type();
  std::int64_t begin = 0;
  do {
    const std::int64_t rows = array.length() - begin;
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> offset_bytes,
        arrow::AllocateBuffer((rows + 1) * static_cast<std::int64_t>(sizeof(std::int32_t)), pool));
    auto* const offsets = reinterpret_cast<std::int32_t*>(offset_bytes->mutable_data());
    const std::int64_t end = PutOffsets(column, begin, offsets);
    const std::int64_t bytes = offsets[end - begin];
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> text,
        arrow::AllocateBuffer(bytes + static_cast<std::int64_t>(is_short ? kShortText : 0), pool));
    auto* const out = reinterpret_cast<char*>(text->mutable_data());
    (is_short ? PutShort : PutAny)(column, begin, end, offsets, out);
    std::shared_ptr<arrow::Buffer> validity;
    if (column.has_nulls) {
      ARROW_ASSIGN_OR_RAISE(validity,
                            arrow::internal::CopyBitmap(pool, array.null_bitmap_data(),
                                                        array.offset() + begin, end - begin));
    }
    chunks->push_back(arrow::MakeArray(arrow::ArrayData::Make(
        type, end - begin,
        {std::move(validity), std::move(offset_bytes), arrow::SliceBuffer(text, 0, bytes)})));
    begin = end;
  } while (begin < array.length());
  return Status::OK();
}

}  // namespace

bool IsText(const arrow::DataType& type) {
  return type.id() == arrow::Type::STRING || type.id() == arrow::Type::BINARY;
}

bool IsCoded(const arrow::DataType& type, const arrow::DataType& plain) {
  if (type.id() != arrow::Type::DICTIONARY || !IsText(plain)) return false;
  const auto& coded = static_cast<const arrow::DictionaryType&>(type);
  return coded.index_type()->id() == arrow::Type::INT32 && coded.value_type()->id() == plain.id();
}

Result<std::shared_ptr<arrow::ChunkedArray>> CheckCodes(
    const std::shared_ptr<arrow::ChunkedArray>& column, const arrow::DataType& plain,
    arrow::MemoryPool* pool) {
  if (!IsCoded(*column->type(), plain)) return column;
  std::int64_t longest = 0;
  for (const auto& chunk : column->chunks()) {
    const auto& array = static_cast<const arrow::DictionaryArray&>(*chunk);
    const auto& values = static_cast<const arrow::BinaryArray&>(*array.dictionary());
    // Readers of Parquet take a damaged file's word for them.
    ARROW_RETURN_NOT_OK(arrow::internal::CheckIndexBounds(
        *array.indices()->data(), static_cast<std::uint64_t>(values.length())));
    if (values.null_count() > 0) {
      arrow::compute::ExecContext context(pool);
      context.set_use_threads(false);
      ARROW_ASSIGN_OR_RAISE(
          auto text,
          arrow::compute::Cast(column, arrow::compute::CastOptions::Safe(values.type()), &context));
      return text.chunked_array();
    }
    for (std::int64_t i = 0; i < values.length(); ++i) {
      longest = std::max<std::int64_t>(longest, values.value_length(i));
    }
  }
  return longest * column->length() <= kChunkBytes ? column : DecodeText(column, plain, pool);
}

std::shared_ptr<arrow::Schema> Uncoded(std::shared_ptr<arrow::Schema> schema,
                                       const arrow::Schema& plain) {
  arrow::FieldVector fields = schema->fields();
  bool same = true;
  for (auto& field : fields) {
    if (field->type()->id() != arrow::Type::DICTIONARY) continue;
    const auto wanted = plain.GetFieldByName(field->name());
    if (!wanted || !IsCoded(*field->type(), *wanted->type())) continue;
    field = field->WithType(wanted->type());
    same = false;
  }
  return same ? schema : arrow::schema(std::move(fields), schema->metadata());
}

Result<std::shared_ptr<arrow::ChunkedArray>> DecodeText(
    const std::shared_ptr<arrow::ChunkedArray>& column, const arrow::DataType& plain,
    arrow::MemoryPool* pool) {
  if (!IsCoded(*column->type(), plain)) return column;
  arrow::ArrayVector chunks;
  for (const auto& chunk : column->chunks()) {
    const auto& array = static_cast<const arrow::DictionaryArray&>(*chunk);
    ARROW_RETURN_NOT_OK(DecodeArray(array, pool, &chunks));
  }
  const auto& type = static_cast<const arrow::DictionaryType&>(*column->type()).value_type();
  return std::make_shared<arrow::ChunkedArray>(std::move(chunks), type);
}

Result<std::shared_ptr<arrow::Array>> CodesOf(const arrow::DictionaryArray& array,
                                              arrow::MemoryPool* pool) {
  if (array.null_count() == 0) return array.indices();
  const auto* const codes = array.indices()->data()->GetValues<std::int32_t>(1);
  const auto null_code = static_cast<std::int32_t>(array.dictionary()->length());
  ARROW_ASSIGN_OR_RAISE(
      std::shared_ptr<arrow::Buffer> buffer,
      arrow::AllocateBuffer(array.length() * static_cast<std::int64_t>(sizeof(std::int32_t)),
                            pool));
  auto* const out = reinterpret_cast<std::int32_t*>(buffer->mutable_data());
  for (std::int64_t i = 0; i < array.length(); ++i) {
    out[i] = array.IsValid(i) ? codes[i] : null_code;
  }
  return std::make_shared<arrow::Int32Array>(array.length(), std::move(buffer));
}

}  // namespace headrace
