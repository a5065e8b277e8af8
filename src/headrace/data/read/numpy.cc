#include <arrow/array.h>
#include <arrow/array/builder_binary.h>
#include <arrow/buffer.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

// NumPy's .npy files, one unit a file: column "data", a row per element of the first axis, tensors
// of the other axes' shape. Types: bool, integers, floats, datetime64 and timedelta64 of s, ms, us
// or ns, and, with one axis, text and bytes (U and S; without the zeros at their ends, as in
// numpy). Data in C order and of this machine's byte order is not copied, bools excepted.

namespace headrace {

namespace {

struct NpyHeader {
  std::string dtype;  // Without the byte order: "f8".
  bool swapped = false;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
  std::int64_t data_offset = 0;
};

// Returns the text behind "'key':" in the header's dictionary.
Result<std::string_view> FindValue(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    const std::size_t at = header.find(quoted);
    if (at == std::string_view::npos) continue;
    std::string_view rest = header.substr(at + quoted.size());
    const std::size_t begin = rest.find_first_not_of(" :");
    if (begin != std::string_view::npos) return rest.substr(begin);
  }
  return Status::Invalid("the .npy header has no '", key, "'");
}

Status ParseDtype(std::string_view text, NpyHeader* header) {
  if (text.size() < 2 || (text.front() != '\'' && text.front() != '"')) {
    return Status::NotImplemented("structured arrays in .npy files are not supported: ",
                                  text.substr(0, 80));
  }
  std::string dtype(text.substr(1, text.find(text.front(), 1) - 1));
  if (!dtype.empty() && std::strchr("<>|=", dtype.front())) {
    header->swapped = dtype.front() == '>';
    dtype.erase(0, 1);
  }
  header->dtype = std::move(dtype);
  return Status::OK();
}

Status ParseShape(std::string_view text, NpyHeader* header) {
  const std::size_t end = text.find(')');
  if (text.empty() || text.front() != '(' || end == std::string_view::npos) {
    return Status::Invalid("the .npy header has no valid shape");
  }
  for (std::size_t i = 1; i < end;) {
    if (!std::isdigit(static_cast<unsigned char>(text[i]))) {
      ++i;
      continue;
    }
    std::int64_t size = 0;
    for (; i < end && std::isdigit(static_cast<unsigned char>(text[i])); ++i) {
      if (size > (std::int64_t{1} << 50)) return Status::Invalid("the .npy shape is too large");
      size = size * 10 + (text[i] - '0');
    }
    header->shape.push_back(size);
  }
  return Status::OK();
}

Result<NpyHeader> ParseHeader(const arrow::Buffer& file) {
  const auto* bytes = file.data();
  if (file.size() < 10 || std::memcmp(bytes, "\x93NUMPY", 6) != 0) {
    return Status::Invalid("not a .npy file: the magic bytes are missing");
  }
  const bool wide = bytes[6] >= 2;  // From version 2 on the length has four bytes.
  const std::int64_t prefix = wide ? 12 : 10;
  if (file.size() < prefix) return Status::Invalid("the .npy file ends inside its header");
  std::uint32_t length = static_cast<std::uint32_t>(bytes[8]) | static_cast<std::uint32_t>(bytes[9])
                                                                    << 8;
  if (wide) {
    length |= static_cast<std::uint32_t>(bytes[10]) << 16 | static_cast<std::uint32_t>(bytes[11])
                                                                << 24;
  }
  if (file.size() - prefix < static_cast<std::int64_t>(length)) {
    return Status::Invalid("the .npy file ends inside its header");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes) + prefix, length);
  NpyHeader header;
  header.data_offset = prefix + length;
  ARROW_ASSIGN_OR_RAISE(auto descr, FindValue(text, "descr"));
  ARROW_RETURN_NOT_OK(ParseDtype(descr, &header));
  ARROW_ASSIGN_OR_RAISE(auto order, FindValue(text, "fortran_order"));
  header.fortran_order = order.starts_with("True");
  ARROW_ASSIGN_OR_RAISE(auto shape, FindValue(text, "shape"));
  ARROW_RETURN_NOT_OK(ParseShape(shape, &header));
  return header;
}

Result<std::shared_ptr<arrow::DataType>> TypeOf(const std::string& dtype) {
  static const std::pair<const char*, std::shared_ptr<arrow::DataType>> kTypes[] = {
      {"b1", arrow::boolean()},
      {"i1", arrow::int8()},
      {"i2", arrow::int16()},
      {"i4", arrow::int32()},
      {"i8", arrow::int64()},
      {"u1", arrow::uint8()},
      {"u2", arrow::uint16()},
      {"u4", arrow::uint32()},
      {"u8", arrow::uint64()},
      {"f2", arrow::float16()},
      {"f4", arrow::float32()},
      {"f8", arrow::float64()},
      {"M8[s]", arrow::timestamp(arrow::TimeUnit::SECOND)},
      {"M8[ms]", arrow::timestamp(arrow::TimeUnit::MILLI)},
      {"M8[us]", arrow::timestamp(arrow::TimeUnit::MICRO)},
      {"M8[ns]", arrow::timestamp(arrow::TimeUnit::NANO)},
      {"m8[s]", arrow::duration(arrow::TimeUnit::SECOND)},
      {"m8[ms]", arrow::duration(arrow::TimeUnit::MILLI)},
      {"m8[us]", arrow::duration(arrow::TimeUnit::MICRO)},
      {"m8[ns]", arrow::duration(arrow::TimeUnit::NANO)}};
  for (const auto& [name, type] : kTypes) {
    if (dtype == name) return type;
  }
  return Status::NotImplemented("arrays of dtype '", dtype, "' in .npy files are not supported");
}

std::int64_t Product(const std::vector<std::int64_t>& shape, std::size_t from) {
  return std::accumulate(shape.begin() + static_cast<std::ptrdiff_t>(from), shape.end(),
                         std::int64_t{1}, std::multiplies<>());
}

// Copies `count` items of `width` bytes from Fortran order to C order.
void ToRowOrder(const std::vector<std::int64_t>& shape, std::int64_t width,
                const std::uint8_t* from, std::uint8_t* to) {
  std::vector<std::int64_t> index(shape.size(), 0);
  const std::int64_t count = Product(shape, 0);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t source = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) source = source * shape[axis] + index[axis];
    std::memcpy(to + i * width, from + source * width, static_cast<std::size_t>(width));
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

Result<std::shared_ptr<arrow::Buffer>> DataOf(const NpyHeader& header,
                                              const std::shared_ptr<arrow::Buffer>& file,
                                              std::int64_t width, arrow::MemoryPool* pool) {
  const std::int64_t count = Product(header.shape, 0);
  if (count > (file->size() - header.data_offset) / width) {
    return Status::Invalid("the .npy file ends inside its data: ", count, " items of ", width,
                           " bytes are promised, ", file->size() - header.data_offset,
                           " bytes are there");
  }
  auto data = arrow::SliceBuffer(file, header.data_offset, count * width);
  const bool aligned = reinterpret_cast<std::uintptr_t>(data->data()) % 8 == 0;
  if (!header.swapped && !header.fortran_order && aligned) return data;
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> copy,
                        arrow::AllocateBuffer(data->size(), pool));
  if (header.fortran_order) {
    ToRowOrder(header.shape, width, data->data(), copy->mutable_data());
  } else {
    std::memcpy(copy->mutable_data(), data->data(), static_cast<std::size_t>(data->size()));
  }
  if (header.swapped) {
    for (std::int64_t i = 0; i < count; ++i) {
      std::reverse(copy->mutable_data() + i * width, copy->mutable_data() + (i + 1) * width);
    }
  }
  return copy;
}

void AppendUtf8(std::uint32_t c, std::string* out) {
  const auto put = [out](std::uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

// An array of U ("U5": five characters of four bytes) or S.
Result<std::shared_ptr<arrow::Array>> ParseTexts(NpyHeader header,
                                                 const std::shared_ptr<arrow::Buffer>& file,
                                                 arrow::MemoryPool* pool) {
  const bool is_text = header.dtype.front() == 'U';
  const std::int64_t unit = is_text ? 4 : 1;
  const std::int64_t length = std::strtoll(header.dtype.c_str() + 1, nullptr, 10);
  if (length < 0 || length > file->size()) return Status::Invalid("the .npy texts are too long");
  const std::int64_t count = header.shape.front();
  header.shape.push_back(length);
  ARROW_ASSIGN_OR_RAISE(auto data, DataOf(header, file, unit, pool));
  arrow::StringBuilder texts(pool);
  arrow::BinaryBuilder bytes(pool);
  std::string text;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint8_t* item = data->data() + i * length * unit;
    std::int64_t size = length * unit;
    while (size > 0 && item[size - 1] == 0) --size;
    if (!is_text) {
      ARROW_RETURN_NOT_OK(bytes.Append(item, static_cast<std::int32_t>(size)));
      continue;
    }
    text.clear();
    for (std::int64_t at = 0; at < size; at += unit) {
      std::uint32_t c;
      std::memcpy(&c, item + at, 4);
      if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return Status::Invalid("item ", i, " of the .npy file is not text");
      }
      AppendUtf8(c, &text);
    }
    ARROW_RETURN_NOT_OK(texts.Append(text));
  }
  arrow::ArrayBuilder* builder = &bytes;
  if (is_text) builder = &texts;
  return builder->Finish();
}

Result<std::shared_ptr<arrow::Table>> ParseNpy(const std::shared_ptr<arrow::Buffer>& file,
                                               arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(NpyHeader header, ParseHeader(*file));
  const bool is_text = header.dtype.starts_with('U') || header.dtype.starts_with('S');
  if (is_text && header.shape.size() == 1) {
    ARROW_ASSIGN_OR_RAISE(auto texts, ParseTexts(std::move(header), file, pool));
    return arrow::Table::Make(arrow::schema({arrow::field("data", texts->type())}), {texts});
  }
  ARROW_ASSIGN_OR_RAISE(auto type, TypeOf(header.dtype));
  const bool is_bool = type->id() == arrow::Type::BOOL;
  const std::int64_t width = is_bool ? 1 : type->byte_width();
  ARROW_ASSIGN_OR_RAISE(auto data, DataOf(header, file, width, pool));
  const std::int64_t count = Product(header.shape, 0);
  if (is_bool) {
    ARROW_ASSIGN_OR_RAISE(auto bits, arrow::AllocateEmptyBitmap(count, pool));
    for (std::int64_t i = 0; i < count; ++i) {
      if (data->data()[i]) arrow::bit_util::SetBit(bits->mutable_data(), i);
    }
    data = std::move(bits);
  }
  std::shared_ptr<arrow::Array> array =
      arrow::MakeArray(arrow::ArrayData::Make(type, count, {nullptr, std::move(data)}, 0));
  if (header.shape.size() > 1) {
    const std::vector<std::int64_t> shape(header.shape.begin() + 1, header.shape.end());
    const auto tensor = arrow::extension::fixed_shape_tensor(type, shape);
    const auto& storage = static_cast<const arrow::ExtensionType&>(*tensor).storage_type();
    array = arrow::ExtensionType::WrapArray(
        tensor, std::make_shared<arrow::FixedSizeListArray>(storage, header.shape.front(), array));
  }
  return arrow::Table::Make(arrow::schema({arrow::field("data", array->type())}), {array});
}

class NpyStream : public BatchStream {
 public:
  explicit NpyStream(std::shared_ptr<arrow::Table> table) : table_(std::move(table)) {}
  Result<std::optional<Batch>> Next() override {
    if (!table_) return std::nullopt;
    return Batch{Block(std::exchange(table_, nullptr), -1), {}, nullptr};
  }

 private:
  std::shared_ptr<arrow::Table> table_;
};

class NumpyReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    ARROW_ASSIGN_OR_RAISE(auto file, ReadWholeFile(*step.source, unit.path, true, context));
    ARROW_ASSIGN_OR_RAISE(
        auto table, ParseNpy(file, context.pool ? context.pool : arrow::default_memory_pool()));
    return std::make_unique<NpyStream>(std::move(table));
  }
};

}  // namespace

const Reader& NumpyReader() {
  static const NumpyReaderImpl reader;
  return reader;
}

}  // namespace headrace
