#include "headrace/block/block.h"

#include <arrow/array.h>
#include <arrow/extension_type.h>
#include <arrow/table.h>
#include <arrow/type_traits.h>
#include <arrow/util/byte_size.h>

#include "headrace/base/check.h"

namespace headrace {

namespace {

std::int64_t BytesOfBits(std::int64_t bits) { return (bits + 7) / 8; }

// Returns what `offsets` and the values between the first and the last of them take.
template <class Offset>
std::int64_t BytesOfText(const arrow::ArrayData& data) {
  if (data.length == 0 || data.buffers[1] == nullptr) return 0;
  const auto* offsets = data.GetValues<Offset>(1);
  return data.length * static_cast<std::int64_t>(sizeof(Offset)) +
         static_cast<std::int64_t>(offsets[data.length] - offsets[0]);
}

template <class Offset>
std::int64_t BytesOfList(const arrow::ArrayData& data);

// Arrow's ReferencedBufferSize builds arrays of byte ranges, some microseconds for each array:
// too much for a small block. It is asked for the types that are not seen every day.
std::int64_t BytesOfRows(const arrow::ArrayData& data, const arrow::DataType& type) {
  const bool has_validity = !data.buffers.empty() && data.buffers[0] != nullptr;
  const std::int64_t validity = has_validity ? BytesOfBits(data.length) : 0;
  switch (type.id()) {
    case arrow::Type::NA:
      return 0;
    case arrow::Type::EXTENSION:
      return BytesOfRows(data, *static_cast<const arrow::ExtensionType&>(type).storage_type());
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return validity + BytesOfText<std::int32_t>(data);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return validity + BytesOfText<std::int64_t>(data);
    case arrow::Type::LIST:
    case arrow::Type::MAP:
      return validity + BytesOfList<std::int32_t>(data);
    case arrow::Type::LARGE_LIST:
      return validity + BytesOfList<std::int64_t>(data);
    case arrow::Type::FIXED_SIZE_LIST: {
      const auto size = static_cast<const arrow::FixedSizeListType&>(type).list_size();
      const auto rows = data.child_data[0]->Slice(data.offset * size, data.length * size);
      return validity + BytesOfRows(*rows, *rows->type);
    }
    case arrow::Type::STRUCT: {
      std::int64_t bytes = validity;
      for (const auto& child : data.child_data) {
        bytes += BytesOfRows(*child->Slice(data.offset, data.length), *child->type);
      }
      return bytes;
    }
    default:
      break;
  }
  if (arrow::is_primitive(type.id()) || arrow::is_decimal(type.id()) ||
      type.id() == arrow::Type::FIXED_SIZE_BINARY) {
    return validity + BytesOfBits(data.length * type.bit_width());
  }
  const auto referenced = arrow::util::ReferencedBufferSize(*arrow::MakeArray(data.Copy()));
  return referenced.ok() ? *referenced : arrow::util::TotalBufferSize(data);
}

template <class Offset>
std::int64_t BytesOfList(const arrow::ArrayData& data) {
  if (data.length == 0 || data.buffers[1] == nullptr) return 0;
  const auto* offsets = data.GetValues<Offset>(1);
  const auto rows = data.child_data[0]->Slice(offsets[0], offsets[data.length] - offsets[0]);
  return data.length * static_cast<std::int64_t>(sizeof(Offset)) + BytesOfRows(*rows, *rows->type);
}

}  // namespace

std::int64_t MeasureBytes(const arrow::Table& table) {
  std::int64_t bytes = 0;
  for (const auto& column : table.columns()) {
    for (const auto& chunk : column->chunks()) {
      bytes += BytesOfRows(*chunk->data(), *chunk->type());
    }
  }
  return bytes;
}

Block::Block(std::shared_ptr<arrow::Table> table)
    : table_(std::move(table)), num_rows_(table_->num_rows()), num_bytes_(MeasureBytes(*table_)) {}

Block::Block(std::shared_ptr<arrow::Table> table, std::int64_t num_bytes)
    : table_(std::move(table)), num_rows_(table_->num_rows()), num_bytes_(num_bytes) {}

Block Block::Slice(std::int64_t begin, std::int64_t end) const {
  HEADRACE_CHECK(0 <= begin && begin <= end && end <= num_rows_);
  if (begin == 0 && end == num_rows_) return *this;
  return Block(table_->Slice(begin, end - begin));
}

}  // namespace headrace
