#include "headrace/runtime/store/block_codec.h"

#include <arrow/array/data.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/chunked_array.h>
#include <arrow/extension_type.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/bitmap_ops.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "headrace/base/wire.h"

namespace headrace {

namespace {

using arrow::ArrayData;
using arrow::Buffer;
using BufferPtr = std::shared_ptr<Buffer>;
using DataPtr = std::shared_ptr<ArrayData>;

bool BufferLiesIn(const BufferPtr& buffer, const ArenaMapping& arena) {
  return buffer == nullptr || buffer->size() == 0 || arena.Contains(buffer->data());
}

bool ArrayLiesIn(const ArrayData& data, const ArenaMapping& arena) {
  for (const BufferPtr& buffer : data.buffers) {
    if (!BufferLiesIn(buffer, arena)) return false;
  }
  for (const DataPtr& child : data.child_data) {
    if (!ArrayLiesIn(*child, arena)) return false;
  }
  return data.dictionary == nullptr || ArrayLiesIn(*data.dictionary, arena);
}

void AddArraySpans(const ArrayData& data, const ArenaMapping& arena, std::vector<Span>* spans) {
  for (const BufferPtr& buffer : data.buffers) {
    if (buffer == nullptr || buffer->size() == 0 || !arena.Contains(buffer->data())) continue;
    spans->push_back({buffer->data() - arena.data(), buffer->size()});
  }
  for (const DataPtr& child : data.child_data) AddArraySpans(*child, arena, spans);
  if (data.dictionary != nullptr) AddArraySpans(*data.dictionary, arena, spans);
}

const arrow::DataType& StorageOf(const arrow::DataType& type) {
  const arrow::DataType* storage = &type;
  while (storage->id() == arrow::Type::EXTENSION) {
    storage = static_cast<const arrow::ExtensionType*>(storage)->storage_type().get();
  }
  return *storage;
}

// ---- Copying into an arena ------------------------------------------------------------------

/// Copies arrays of one table: the rows in use and nothing beside them, which could be large.
class ArenaCopier {
 public:
  explicit ArenaCopier(Arena& arena) : arena_(arena) {}

  Result<DataPtr> Copy(const DataPtr& in) {
    if (ArrayLiesIn(*in, arena_)) return in;
    const arrow::DataType& type = StorageOf(*in->type);
    const Rows rows{in->offset, in->length};
    auto out = std::make_shared<ArrayData>(in->type, in->length, in->null_count.load());
    switch (type.id()) {
      case arrow::Type::NA:
        out->buffers = {nullptr};
        return out;
      case arrow::Type::BOOL: {
        ARROW_RETURN_NOT_OK(CopyValidity(*in, rows, out.get()));
        ARROW_ASSIGN_OR_RAISE(BufferPtr bits, CopyBits(in->buffers[1], rows));
        out->buffers.push_back(std::move(bits));
        return out;
      }
      case arrow::Type::STRING:
      case arrow::Type::BINARY:
        ARROW_RETURN_NOT_OK(CopyBinary<std::int32_t>(*in, rows, out.get()));
        return out;
      case arrow::Type::LARGE_STRING:
      case arrow::Type::LARGE_BINARY:
        ARROW_RETURN_NOT_OK(CopyBinary<std::int64_t>(*in, rows, out.get()));
        return out;
      case arrow::Type::LIST:
      case arrow::Type::MAP:
        ARROW_RETURN_NOT_OK(CopyList<std::int32_t>(*in, rows, out.get()));
        return out;
      case arrow::Type::LARGE_LIST:
        ARROW_RETURN_NOT_OK(CopyList<std::int64_t>(*in, rows, out.get()));
        return out;
      case arrow::Type::FIXED_SIZE_LIST: {
        const auto width = static_cast<const arrow::FixedSizeListType&>(type).list_size();
        ARROW_RETURN_NOT_OK(CopyValidity(*in, rows, out.get()));
        ARROW_RETURN_NOT_OK(CopyChild(*in, 0, rows.begin * width, rows.count * width, out.get()));
        return out;
      }
      case arrow::Type::STRUCT:
        ARROW_RETURN_NOT_OK(CopyValidity(*in, rows, out.get()));
        for (std::size_t i = 0; i < in->child_data.size(); ++i) {
          ARROW_RETURN_NOT_OK(CopyChild(*in, i, rows.begin, rows.count, out.get()));
        }
        return out;
      default:
        break;
    }
    const auto layout = type.layout();
    if (layout.buffers.size() == 2 && !layout.variadic_spec && in->child_data.empty() &&
        layout.buffers[1].kind == arrow::DataTypeLayout::FIXED_WIDTH) {
      ARROW_RETURN_NOT_OK(CopyFixed(*in, rows, layout.buffers[1].byte_width, out.get()));
      return out;
    }
    return CopyWhole(*in);
  }

 private:
  struct Rows {
    std::int64_t begin;
    std::int64_t count;
  };

  /// Returns bytes [begin, end) of `buffer`, in the arena; less where the buffer is shorter.
  Result<BufferPtr> CopyRange(const BufferPtr& buffer, std::int64_t begin, std::int64_t end) {
    if (buffer == nullptr) return BufferPtr();
    end = std::min(end, buffer->size());
    begin = std::min(begin, end);
    if (BufferLiesIn(buffer, arena_)) return arrow::SliceBuffer(buffer, begin, end - begin);
    ARROW_ASSIGN_OR_RAISE(auto copy, arrow::AllocateBuffer(end - begin, arena_.pool()));
    if (end > begin) {
      std::memcpy(copy->mutable_data(), buffer->data() + begin,
                  static_cast<std::size_t>(end - begin));
    }
    return BufferPtr(std::move(copy));
  }

  Result<BufferPtr> CopyBits(const BufferPtr& buffer, Rows rows) {
    if (buffer == nullptr || rows.begin % 8 == 0) {
      return CopyRange(buffer, rows.begin / 8, rows.begin / 8 + (rows.count + 7) / 8);
    }
    const std::int64_t count =
        std::clamp<std::int64_t>(8 * buffer->size() - rows.begin, 0, rows.count);
    ARROW_ASSIGN_OR_RAISE(
        auto bits, arrow::internal::CopyBitmap(arena_.pool(), buffer->data(), rows.begin, count));
    return BufferPtr(std::move(bits));
  }

  Status CopyValidity(const ArrayData& in, Rows rows, ArrayData* out) {
    ARROW_ASSIGN_OR_RAISE(BufferPtr bits, CopyBits(in.buffers[0], rows));
    out->buffers.push_back(std::move(bits));
    return Status::OK();
  }

  Status CopyFixed(const ArrayData& in, Rows rows, std::int64_t width, ArrayData* out) {
    ARROW_RETURN_NOT_OK(CopyValidity(in, rows, out));
    ARROW_ASSIGN_OR_RAISE(BufferPtr values, CopyRange(in.buffers[1], rows.begin * width,
                                                      (rows.begin + rows.count) * width));
    out->buffers.push_back(std::move(values));
    if (in.dictionary != nullptr) {
      ARROW_ASSIGN_OR_RAISE(out->dictionary, CopyDictionary(in.dictionary));
    }
    return Status::OK();
  }

  Result<DataPtr> CopyDictionary(const DataPtr& in) {
    DataPtr& copy = dictionaries_[in.get()];
    if (copy == nullptr) {
      ARROW_ASSIGN_OR_RAISE(copy, Copy(in));
    }
    return copy;
  }

  Status CopyChild(const ArrayData& in, std::size_t child, std::int64_t begin, std::int64_t count,
                   ArrayData* out) {
    ARROW_ASSIGN_OR_RAISE(DataPtr copy, Copy(in.child_data[child]->Slice(begin, count)));
    out->child_data.push_back(std::move(copy));
    return Status::OK();
  }

  /// Copies the offsets of `rows`, so that the first one is 0; `*begin` and `*end` become the
  /// range that they cover in the old values.
  template <class Offset>
  Result<BufferPtr> CopyOffsets(const BufferPtr& offsets, Rows rows, std::int64_t* begin,
                                std::int64_t* end) {
    *begin = *end = 0;
    if (offsets == nullptr || offsets->size() == 0) return offsets;
    const auto* values = reinterpret_cast<const Offset*>(offsets->data()) + rows.begin;
    ARROW_ASSIGN_OR_RAISE(auto copy,
                          arrow::AllocateBuffer((rows.count + 1) * sizeof(Offset), arena_.pool()));
    auto* target = reinterpret_cast<Offset*>(copy->mutable_data());
    const Offset base = values[0];
    for (std::int64_t i = 0; i <= rows.count; ++i) target[i] = values[i] - base;
    *begin = base;
    *end = values[rows.count];
    return BufferPtr(std::move(copy));
  }

  template <class Offset>
  Status CopyBinary(const ArrayData& in, Rows rows, ArrayData* out) {
    ARROW_RETURN_NOT_OK(CopyValidity(in, rows, out));
    std::int64_t begin;
    std::int64_t end;
    ARROW_ASSIGN_OR_RAISE(BufferPtr offsets,
                          CopyOffsets<Offset>(in.buffers[1], rows, &begin, &end));
    ARROW_ASSIGN_OR_RAISE(BufferPtr values, CopyRange(in.buffers[2], begin, end));
    out->buffers.push_back(std::move(offsets));
    out->buffers.push_back(std::move(values));
    return Status::OK();
  }

  template <class Offset>
  Status CopyList(const ArrayData& in, Rows rows, ArrayData* out) {
    ARROW_RETURN_NOT_OK(CopyValidity(in, rows, out));
    std::int64_t begin;
    std::int64_t end;
    ARROW_ASSIGN_OR_RAISE(BufferPtr offsets,
                          CopyOffsets<Offset>(in.buffers[1], rows, &begin, &end));
    out->buffers.push_back(std::move(offsets));
    return CopyChild(in, 0, begin, end - begin, out);
  }

  /// Copies every buffer as it is: views, unions, run ends.
  Result<DataPtr> CopyWhole(const ArrayData& in) {
    auto out = std::make_shared<ArrayData>(in);
    for (BufferPtr& buffer : out->buffers) {
      if (buffer == nullptr) continue;
      ARROW_ASSIGN_OR_RAISE(buffer, CopyRange(buffer, 0, buffer->size()));
    }
    for (DataPtr& child : out->child_data) {
      ARROW_ASSIGN_OR_RAISE(child, Copy(child));
    }
    if (out->dictionary != nullptr) {
      ARROW_ASSIGN_OR_RAISE(out->dictionary, CopyDictionary(out->dictionary));
    }
    return out;
  }

  Arena& arena_;
  std::map<const ArrayData*, DataPtr> dictionaries_;
};

// ---- Layout ---------------------------------------------------------------------------------

constexpr std::uint64_t kNoBuffer = UINT64_MAX;

Status WriteArray(const ArrayData& data, const ArenaMapping& arena, WireWriter* out) {
  out->I64(data.length);
  out->I64(data.null_count.load());
  out->I64(data.offset);
  out->U32(static_cast<std::uint32_t>(data.buffers.size()));
  for (const BufferPtr& buffer : data.buffers) {
    if (buffer == nullptr) {
      out->U64(kNoBuffer);
      continue;
    }
    if (!BufferLiesIn(buffer, arena)) return Status::Invalid("buffer is not in shared memory");
    out->U64(buffer->size() == 0 ? 0 : static_cast<std::uint64_t>(buffer->data() - arena.data()));
    out->I64(buffer->size());
  }
  for (const DataPtr& child : data.child_data) {
    ARROW_RETURN_NOT_OK(WriteArray(*child, arena, out));
  }
  if (data.dictionary != nullptr) ARROW_RETURN_NOT_OK(WriteArray(*data.dictionary, arena, out));
  return Status::OK();
}

/// Memory of an arena. All buffers of a table share one keeper.
class ArenaBuffer : public Buffer {
 public:
  struct Keeper {
    std::shared_ptr<const ArenaMapping> arena;
    std::shared_ptr<const void> hold;  // Dropped first: the arena is needed until then.
  };
  ArenaBuffer(const std::uint8_t* data, std::int64_t size, std::shared_ptr<const Keeper> keeper)
      : Buffer(data, size), keeper_(std::move(keeper)) {}

 private:
  std::shared_ptr<const Keeper> keeper_;
};

class LayoutReader {
 public:
  LayoutReader(const SharedTable& shared)
      : in_(*shared.layout),
        arena_(*shared.arena),
        keeper_(
            std::make_shared<ArenaBuffer::Keeper>(ArenaBuffer::Keeper{shared.arena, shared.hold})) {
  }

  WireReader& in() { return in_; }

  Result<DataPtr> Array(const std::shared_ptr<arrow::DataType>& type) {
    auto data = std::make_shared<ArrayData>();
    data->type = type;
    data->length = in_.I64();
    data->null_count = in_.I64();
    data->offset = in_.I64();
    const std::uint32_t buffers = in_.U32();
    for (std::uint32_t i = 0; i < buffers && !in_.bad(); ++i) {
      const std::uint64_t offset = in_.U64();
      if (offset == kNoBuffer) {
        data->buffers.push_back(nullptr);
        continue;
      }
      const std::int64_t size = in_.I64();
      if (size < 0 || size > arena_.size() ||
          offset > static_cast<std::uint64_t>(arena_.size() - size)) {
        return Status::Invalid("buffer outside of shared memory");
      }
      data->buffers.push_back(std::make_shared<ArenaBuffer>(arena_.data() + offset, size, keeper_));
    }
    const arrow::DataType& storage = StorageOf(*type);
    if (storage.id() == arrow::Type::DICTIONARY) {
      const auto& dictionary = static_cast<const arrow::DictionaryType&>(storage);
      ARROW_ASSIGN_OR_RAISE(data->dictionary, Array(dictionary.value_type()));
      return data;
    }
    for (const auto& field : storage.fields()) {
      ARROW_ASSIGN_OR_RAISE(auto child, Array(field->type()));
      data->child_data.push_back(std::move(child));
    }
    return data;
  }

 private:
  WireReader in_;
  const ArenaMapping& arena_;
  std::shared_ptr<const ArenaBuffer::Keeper> keeper_;
};

}  // namespace

bool LiesIn(const arrow::Table& table, const ArenaMapping& arena) {
  for (const auto& column : table.columns()) {
    for (const auto& chunk : column->chunks()) {
      if (!ArrayLiesIn(*chunk->data(), arena)) return false;
    }
  }
  return true;
}

Result<std::shared_ptr<arrow::Table>> MoveToArena(std::shared_ptr<arrow::Table> table,
                                                  Arena& arena) {
  if (LiesIn(*table, arena)) return table;
  ArenaCopier copier(arena);
  std::vector<std::shared_ptr<arrow::ChunkedArray>> columns;
  columns.reserve(table->num_columns());
  for (const auto& column : table->columns()) {
    arrow::ArrayVector chunks;
    chunks.reserve(column->num_chunks());
    for (const auto& chunk : column->chunks()) {
      ARROW_ASSIGN_OR_RAISE(auto data, copier.Copy(chunk->data()));
      chunks.push_back(arrow::MakeArray(std::move(data)));
    }
    columns.push_back(std::make_shared<arrow::ChunkedArray>(std::move(chunks), column->type()));
  }
  return arrow::Table::Make(table->schema(), std::move(columns), table->num_rows());
}

Result<std::string> EncodeLayout(const arrow::Table& table, const ArenaMapping& arena) {
  WireWriter out;
  out.I64(table.num_rows());
  for (const auto& column : table.columns()) {
    out.U32(static_cast<std::uint32_t>(column->num_chunks()));
    for (const auto& chunk : column->chunks()) {
      ARROW_RETURN_NOT_OK(WriteArray(*chunk->data(), arena, &out));
    }
  }
  return out.Take();
}

Result<std::shared_ptr<arrow::Table>> DecodeLayout(const SharedTable& shared) {
  LayoutReader reader(shared);
  const std::int64_t num_rows = reader.in().I64();
  std::vector<std::shared_ptr<arrow::ChunkedArray>> columns;
  columns.reserve(shared.schema->num_fields());
  for (const auto& field : shared.schema->fields()) {
    const std::uint32_t num_chunks = reader.in().U32();
    arrow::ArrayVector chunks;
    for (std::uint32_t i = 0; i < num_chunks && !reader.in().bad(); ++i) {
      ARROW_ASSIGN_OR_RAISE(auto data, reader.Array(field->type()));
      if (reader.in().bad()) break;
      chunks.push_back(arrow::MakeArray(std::move(data)));
    }
    columns.push_back(std::make_shared<arrow::ChunkedArray>(std::move(chunks), field->type()));
  }
  ARROW_RETURN_NOT_OK(reader.in().Finish());
  return arrow::Table::Make(shared.schema, std::move(columns), num_rows);
}

Result<std::string> EncodeSchema(const arrow::Schema& schema) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::ipc::SerializeSchema(schema));
  return buffer->ToString();
}

void AddSpans(const arrow::Table& table, const ArenaMapping& arena, std::vector<Span>* spans) {
  for (const auto& column : table.columns()) {
    for (const auto& chunk : column->chunks()) AddArraySpans(*chunk->data(), arena, spans);
  }
}

Result<std::shared_ptr<arrow::Schema>> DecodeSchema(std::string_view bytes) {
  auto owned = Buffer::FromString(std::string(bytes));
  arrow::io::BufferReader stream(owned);
  arrow::ipc::DictionaryMemo memo;
  return arrow::ipc::ReadSchema(&stream, &memo);
}

}  // namespace headrace
