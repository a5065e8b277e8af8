#include "headrace/runtime/store/spill_file.h"

#include <arrow/buffer.h>
#include <arrow/extension_type.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/util/compression.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "headrace/block/block.h"
#include "headrace/block/ipc.h"
#include "headrace/runtime/store/checksum.h"

namespace headrace {

namespace {

// How much is read in one call.
constexpr std::int64_t kAtOnce = 1 << 20;
// Each buffer has a frame of some bytes, so a part of many columns is larger.
constexpr std::int64_t kColumnBytes = 2 << 10;
// A buffer is compressed if that takes away such a share of it.
constexpr double kSavings = 0.1;
// Where a part became little smaller, so many after it are written as they are.
constexpr int kPartsAsTheyAre = 15;

// Returns true if values of the type are told by a dictionary, which parts would each repeat.
bool HasDictionary(const arrow::DataType& type) {
  if (type.id() == arrow::Type::DICTIONARY) return true;
  if (type.id() == arrow::Type::EXTENSION) {
    return HasDictionary(*static_cast<const arrow::ExtensionType&>(type).storage_type());
  }
  return std::any_of(type.fields().begin(), type.fields().end(),
                     [](const auto& field) { return HasDictionary(*field->type()); });
}

// Whether parts of one table are single messages; else all of it is one part, a whole stream.
bool HasMessages(const arrow::Schema& schema) {
  return std::none_of(schema.fields().begin(), schema.fields().end(),
                      [](const auto& field) { return HasDictionary(*field->type()); });
}

std::uint64_t ChecksumOf(const arrow::Buffer& bytes) {
  Checksum checksum;
  checksum.Update(bytes.data(), bytes.size());
  return checksum.Finish();
}

Result<arrow::ipc::IpcWriteOptions> Compressed() {
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.use_threads = false;
  options.min_space_savings = kSavings;
  ARROW_ASSIGN_OR_RAISE(options.codec, arrow::util::Codec::Create(arrow::Compression::LZ4_FRAME));
  return options;
}

arrow::ipc::IpcReadOptions ReadOptions() {
  auto options = arrow::ipc::IpcReadOptions::Defaults();
  options.use_threads = false;
  return options;
}

}  // namespace

class SpillFile::Writer {
 public:
  explicit Writer(std::shared_ptr<arrow::io::OutputStream> out) : out_(std::move(out)) {}

  Status Write(const arrow::Table& table) {
    ARROW_ASSIGN_OR_RAISE(const auto compressed, Compressed());
    if (!HasMessages(*table.schema())) {
      ARROW_ASSIGN_OR_RAISE(auto stream, arrow::io::BufferOutputStream::Create());
      ARROW_ASSIGN_OR_RAISE(auto writer,
                            arrow::ipc::MakeStreamWriter(stream, table.schema(), compressed));
      ARROW_RETURN_NOT_OK(WriteIpc(table, writer.get()));
      ARROW_RETURN_NOT_OK(writer->Close());
      ARROW_ASSIGN_OR_RAISE(auto bytes, stream->Finish());
      return Append(*bytes, table.num_rows());
    }
    auto plain = compressed;
    plain.codec = nullptr;
    if (table.num_columns() == 0) {  // Which has no chunks.
      return WriteBatch(
          *arrow::RecordBatch::Make(table.schema(), table.num_rows(), arrow::ArrayVector{}), plain);
    }
    arrow::TableBatchReader reader(table);
    reader.set_chunksize(RowsOfPart(table));
    int as_they_are = 0;
    std::shared_ptr<arrow::RecordBatch> batch;
    while (true) {
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (batch == nullptr) break;
      if (as_they_are > 0) {
        --as_they_are;
        ARROW_RETURN_NOT_OK(WriteBatch(*batch, plain));
        continue;
      }
      ARROW_RETURN_NOT_OK(WriteBatch(*batch, compressed));
      std::int64_t raw = 0;
      ARROW_RETURN_NOT_OK(arrow::ipc::GetRecordBatchSize(*batch, plain, &raw));
      const auto least = static_cast<double>(raw) * (1 - kSavings);
      if (static_cast<double>(parts_.back().bytes) > least) as_they_are = kPartsAsTheyAre;
    }
    if (!parts_.empty()) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(batch, arrow::RecordBatch::MakeEmpty(table.schema()));
    return WriteBatch(*batch, plain);
  }

  std::int64_t num_bytes() const { return num_bytes_; }
  std::vector<Part> TakeParts() { return std::move(parts_); }

 private:
  static std::int64_t RowsOfPart(const arrow::Table& table) {
    const std::int64_t bytes =
        std::max<std::int64_t>(kPartBytes, kColumnBytes * table.num_columns());
    const std::int64_t parts = std::max<std::int64_t>(1, MeasureBytes(table) / bytes);
    return std::max<std::int64_t>(1, (table.num_rows() + parts - 1) / parts);
  }

  Status WriteBatch(const arrow::RecordBatch& batch, const arrow::ipc::IpcWriteOptions& options) {
    ARROW_ASSIGN_OR_RAISE(auto bytes, arrow::ipc::SerializeRecordBatch(batch, options));
    return Append(*bytes, batch.num_rows());
  }

  Status Append(const arrow::Buffer& bytes, std::int64_t rows) {
    parts_.push_back({num_rows_, num_bytes_, bytes.size(), ChecksumOf(bytes)});
    num_rows_ += rows;
    num_bytes_ += bytes.size();
    return out_->Write(bytes.data(), bytes.size());
  }

  const std::shared_ptr<arrow::io::OutputStream> out_;
  std::vector<Part> parts_;
  std::int64_t num_rows_ = 0;
  std::int64_t num_bytes_ = 0;
};

SpillFile::SpillFile(std::string path, std::int64_t num_bytes, std::int64_t num_rows,
                     std::shared_ptr<arrow::Schema> schema, std::vector<Part> parts)
    : path_(std::move(path)),
      num_bytes_(num_bytes),
      num_rows_(num_rows),
      schema_(std::move(schema)),
      parts_(std::move(parts)) {}

SpillFile::~SpillFile() { ::unlink(path_.c_str()); }

Result<std::shared_ptr<SpillFile>> SpillFile::Write(const arrow::Table& table, std::string path) {
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::FileOutputStream::Open(path));
  Writer writer(file);
  ARROW_RETURN_NOT_OK(writer.Write(table));
  ARROW_RETURN_NOT_OK(file->Close());
  return std::shared_ptr<SpillFile>(new SpillFile(
      std::move(path), writer.num_bytes(), table.num_rows(), table.schema(), writer.TakeParts()));
}

Result<std::shared_ptr<arrow::Table>> SpillFile::Read(std::int64_t begin, std::int64_t end) const {
  auto table = ReadRows(begin, end);
  if (table.ok()) return table;
  return table.status().WithMessage("a block that was spilled to ", path_,
                                    " cannot be read: ", table.status().message());
}

Status SpillFile::Check(const arrow::Buffer& bytes, const Part& part) {
  if (bytes.size() != part.bytes) return Status::IOError("it is cut off");
  if (ChecksumOf(bytes) == part.checksum) return Status::OK();
  return Status::IOError("bytes ", part.place, " to ", part.place + part.bytes - 1,
                         " are not what was written");
}

/// Reads parts [begin, end), which are single messages.
Status SpillFile::ReadParts(arrow::io::ReadableFile* file, std::size_t begin, std::size_t end,
                            arrow::RecordBatchVector* batches) const {
  while (begin < end) {
    const std::int64_t from = parts_[begin].place;
    std::size_t last = begin;  // Of those that are read in one call.
    const auto bytes = [&](std::size_t part) {
      return parts_[part].place + parts_[part].bytes - from;
    };
    while (last + 1 < end && bytes(last + 1) <= kAtOnce) ++last;
    ARROW_ASSIGN_OR_RAISE(auto read, file->ReadAt(from, bytes(last)));
    for (; begin <= last; ++begin) {
      const Part& part = parts_[begin];
      auto message = arrow::SliceBuffer(read, part.place - from, part.bytes);
      ARROW_RETURN_NOT_OK(Check(*message, part));
      arrow::io::BufferReader stream(std::move(message));
      ARROW_ASSIGN_OR_RAISE(auto batch,
                            arrow::ipc::ReadRecordBatch(schema_, nullptr, ReadOptions(), &stream));
      batches->push_back(std::move(batch));
    }
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Table>> SpillFile::ReadRows(std::int64_t begin,
                                                          std::int64_t end) const {
  end = end < 0 ? num_rows_ : std::min(end, num_rows_);
  begin = std::clamp<std::int64_t>(begin, 0, end);
  const bool messages = HasMessages(*schema_);
  if (schema_->num_fields() == 0) {
    return arrow::Table::Make(schema_, arrow::ChunkedArrayVector{}, end - begin);
  }
  if (begin == end && messages) return arrow::Table::MakeEmpty(schema_);
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::ReadableFile::Open(path_));
  ARROW_ASSIGN_OR_RAISE(const std::int64_t size, file->GetSize());
  if (size != num_bytes_) return Status::IOError("it has ", size, " bytes of ", num_bytes_);
  if (!messages) {
    ARROW_ASSIGN_OR_RAISE(auto read, file->ReadAt(0, size));
    ARROW_RETURN_NOT_OK(Check(*read, parts_.front()));
    ARROW_ASSIGN_OR_RAISE(auto all, ReadIpc(std::make_shared<arrow::io::BufferReader>(read)));
    return all->Slice(begin, end - begin);
  }
  const auto by_row = [](std::int64_t row, const Part& part) { return row < part.first_row; };
  const auto first = std::upper_bound(parts_.begin(), parts_.end(), begin, by_row) - 1;
  const auto last = std::upper_bound(first, parts_.end(), end - 1, by_row);
  arrow::RecordBatchVector batches;
  ARROW_RETURN_NOT_OK(ReadParts(file.get(), static_cast<std::size_t>(first - parts_.begin()),
                                static_cast<std::size_t>(last - parts_.begin()), &batches));
  ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(schema_, batches));
  return table->Slice(begin - first->first_row, end - begin);
}

}  // namespace headrace
