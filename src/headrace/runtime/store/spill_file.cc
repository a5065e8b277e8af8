#include "headrace/runtime/store/spill_file.h"

#include <arrow/array/data.h>
#include <arrow/extension_type.h>
#include <arrow/io/file.h>
#include <arrow/ipc/message.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type_traits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "headrace/block/ipc.h"
#include "headrace/runtime/store/checksum.h"

namespace headrace {

namespace {

// How much is written in one call.
constexpr std::int64_t kAtOnce = 256 << 10;
// The frame of a message: a mark, and the size of its metadata.
constexpr std::int64_t kFrame = 8;
constexpr std::uint32_t kContinuation = 0xFFFFFFFFU;

// Passes on what is written, and keeps the checksum of each segment.
class ChecksumStream : public arrow::io::OutputStream {
 public:
  explicit ChecksumStream(std::shared_ptr<arrow::io::OutputStream> out) : out_(std::move(out)) {}

  Status Write(const void* data, std::int64_t size) override {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    for (std::int64_t done = 0; done < size; done += kAtOnce) {
      // Here it comes into the cache; from there it is written.
      const std::int64_t part = std::min(size - done, kAtOnce);
      Add(bytes + done, part);
      ARROW_RETURN_NOT_OK(out_->Write(bytes + done, part));
    }
    num_bytes_ += size;
    return Status::OK();
  }
  Status Close() override {
    if (in_segment_ > 0) EndSegment();
    return out_->Close();
  }
  Result<std::int64_t> Tell() const override { return num_bytes_; }
  bool closed() const override { return out_->closed(); }

  std::vector<std::uint64_t> TakeChecksums() { return std::move(checksums_); }
  std::int64_t num_bytes() const { return num_bytes_; }

 private:
  void Add(const std::uint8_t* bytes, std::int64_t size) {
    while (size > 0) {
      const std::int64_t part = std::min(size, SpillFile::kSegment - in_segment_);
      checksum_.Update(bytes, part);
      bytes += part;
      size -= part;
      in_segment_ += part;
      if (in_segment_ == SpillFile::kSegment) EndSegment();
    }
  }
  void EndSegment() {
    checksums_.push_back(checksum_.Finish());
    in_segment_ = 0;
  }

  const std::shared_ptr<arrow::io::OutputStream> out_;
  Checksum checksum_;
  std::vector<std::uint64_t> checksums_;
  std::int64_t in_segment_ = 0;
  std::int64_t num_bytes_ = 0;
};

Status WriteStream(const arrow::Table& table, arrow::io::OutputStream* out) {
  ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeStreamWriter(out, table.schema()));
  ARROW_RETURN_NOT_OK(WriteIpc(table, writer.get()));
  return writer->Close();
}

}  // namespace

// The mapped bytes of the file.
class SpillFile::Region {
 public:
  Region(const SpillFile& file, const std::uint8_t* data) : file_(file), data_(data) {}

  // Checks bytes [begin, begin + size) of the file.
  Status Check(std::int64_t begin, std::int64_t size) const {
    if (size <= 0) return Status::OK();
    if (begin < 0 || size > file_.num_bytes_ - begin) return Status::IOError("it is cut off");
    for (std::int64_t i = begin / kSegment; i <= (begin + size - 1) / kSegment; ++i) {
      std::atomic<bool>& checked = file_.checked_[static_cast<std::size_t>(i)];
      if (checked.load(std::memory_order_relaxed)) continue;
      const std::int64_t from = i * kSegment;
      const std::int64_t segment = std::min(kSegment, file_.num_bytes_ - from);
      Checksum checksum;
      checksum.Update(data_ + from, segment);
      if (checksum.Finish() != file_.checksums_[static_cast<std::size_t>(i)]) {
        return Status::IOError("bytes ", from, " to ", from + segment - 1,
                               " are not what was written");
      }
      checked.store(true, std::memory_order_relaxed);
    }
    return Status::OK();
  }

  // Checks bytes of a buffer; those of one that is elsewhere in memory were checked, or made here.
  Status Check(const arrow::Buffer* buffer, std::int64_t begin, std::int64_t size) const {
    if (buffer == nullptr || buffer->data() < data_) return Status::OK();
    const std::int64_t place = buffer->data() - data_;
    if (place >= file_.num_bytes_) return Status::OK();
    return Check(place + begin, std::min(size, buffer->size() - begin));
  }

  // Checks what says where the buffers are.
  Status CheckMessages() const {
    std::int64_t place = 0;
    while (place + kFrame <= file_.num_bytes_) {
      ARROW_RETURN_NOT_OK(Check(place, kFrame));
      std::uint32_t mark = 0;
      std::int32_t size = 0;
      std::memcpy(&mark, data_ + place, sizeof mark);
      std::memcpy(&size, data_ + place + sizeof mark, sizeof size);
      if (mark != kContinuation || size < 0) return Status::IOError("it is damaged");
      if (size == 0) return Status::OK();  // The end of the stream.
      ARROW_RETURN_NOT_OK(Check(place + kFrame, size));
      auto metadata = std::make_shared<arrow::Buffer>(data_ + place + kFrame, size);
      ARROW_ASSIGN_OR_RAISE(auto message, arrow::ipc::Message::Open(std::move(metadata), nullptr));
      place += kFrame + size;
      if (message->type() == arrow::ipc::MessageType::DICTIONARY_BATCH) {
        ARROW_RETURN_NOT_OK(Check(place, message->body_length()));
      }
      place += message->body_length();
    }
    return Status::OK();
  }

  // Checks the buffers of an array's rows [begin, begin + rows), counted without its offset.
  Status CheckRows(const arrow::ArrayData& data, std::int64_t begin, std::int64_t rows) const {
    const arrow::DataType* type = data.type.get();
    while (type->id() == arrow::Type::EXTENSION) {
      type = static_cast<const arrow::ExtensionType*>(type)->storage_type().get();
    }
    return CheckRows(data, *type, begin, rows);
  }

 private:
  Status CheckRows(const arrow::ArrayData& data, const arrow::DataType& type, std::int64_t begin,
                   std::int64_t rows) const {
    const auto bits = [&](const arrow::Buffer* buffer, std::int64_t width) {
      const std::int64_t first = begin * width / 8;
      return Check(buffer, first, ((begin + rows) * width + 7) / 8 - first);
    };
    if (data.buffers.empty()) return CheckAll(data);
    ARROW_RETURN_NOT_OK(bits(data.buffers[0].get(), 1));
    if (arrow::is_primitive(type.id()) || arrow::is_decimal(type.id()) ||
        type.id() == arrow::Type::FIXED_SIZE_BINARY) {
      return bits(data.buffers[1].get(), type.bit_width());
    }
    if (arrow::is_binary_like(type.id())) return CheckTexts<std::int32_t>(data, begin, rows);
    if (arrow::is_large_binary_like(type.id())) return CheckTexts<std::int64_t>(data, begin, rows);
    if (type.id() == arrow::Type::FIXED_SIZE_LIST) {
      const std::int64_t each = static_cast<const arrow::FixedSizeListType&>(type).list_size();
      const arrow::ArrayData& child = *data.child_data[0];
      return CheckRows(child, child.offset + begin * each, rows * each);
    }
    return CheckAll(data);
  }

  template <class OffsetType>
  Status CheckTexts(const arrow::ArrayData& data, std::int64_t begin, std::int64_t rows) const {
    if (rows == 0) return Status::OK();
    constexpr auto kWidth = static_cast<std::int64_t>(sizeof(OffsetType));
    ARROW_RETURN_NOT_OK(Check(data.buffers[1].get(), begin * kWidth, (rows + 1) * kWidth));
    const auto* offsets = reinterpret_cast<const OffsetType*>(data.buffers[1]->data());
    return Check(data.buffers[2].get(), offsets[begin], offsets[begin + rows] - offsets[begin]);
  }

  // Checks all of the array; what lies nested is rarely a part of little rows.
  Status CheckAll(const arrow::ArrayData& data) const {
    for (const auto& buffer : data.buffers) {
      if (buffer != nullptr) ARROW_RETURN_NOT_OK(Check(buffer.get(), 0, buffer->size()));
    }
    for (const auto& child : data.child_data) ARROW_RETURN_NOT_OK(CheckAll(*child));
    return data.dictionary ? CheckAll(*data.dictionary) : Status::OK();
  }

  const SpillFile& file_;
  const std::uint8_t* const data_;
};

SpillFile::SpillFile(std::string path, std::int64_t num_bytes, std::int64_t num_rows,
                     std::vector<std::uint64_t> checksums)
    : path_(std::move(path)),
      num_bytes_(num_bytes),
      num_rows_(num_rows),
      checksums_(std::move(checksums)),
      checked_(std::make_unique<std::atomic<bool>[]>(checksums_.size())) {}

SpillFile::~SpillFile() { ::unlink(path_.c_str()); }

Result<std::shared_ptr<SpillFile>> SpillFile::Write(const arrow::Table& table, std::string path) {
  ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::FileOutputStream::Open(path));
  ChecksumStream out(file);
  ARROW_RETURN_NOT_OK(WriteStream(table, &out));
  ARROW_RETURN_NOT_OK(out.Close());
  return std::shared_ptr<SpillFile>(
      new SpillFile(std::move(path), out.num_bytes(), table.num_rows(), out.TakeChecksums()));
}

Result<std::shared_ptr<arrow::Table>> SpillFile::Read(std::int64_t begin, std::int64_t end) const {
  auto table = ReadRows(begin, end);
  if (table.ok()) return table;
  return table.status().WithMessage("a block that was spilled to ", path_,
                                    " cannot be read: ", table.status().message());
}

Result<std::shared_ptr<arrow::Table>> SpillFile::ReadRows(std::int64_t begin,
                                                          std::int64_t end) const {
  ARROW_ASSIGN_OR_RAISE(auto file,
                        arrow::io::MemoryMappedFile::Open(path_, arrow::io::FileMode::READ));
  ARROW_ASSIGN_OR_RAISE(const std::int64_t size, file->GetSize());
  if (size != num_bytes_) {
    return Status::IOError("it has ", size, " bytes of ", num_bytes_);
  }
  // Only its begin: what is read this way is asked of the disk at once.
  ARROW_ASSIGN_OR_RAISE(auto begin_of_file, file->ReadAt(0, 1));
  const Region region(*this, begin_of_file->data());
  ARROW_RETURN_NOT_OK(region.CheckMessages());
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchStreamReader::Open(file));
  if (end < 0) end = num_rows_;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  std::int64_t num_rows = 0;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, reader->Next());
    if (batch == nullptr) break;
    const std::int64_t from = std::clamp<std::int64_t>(begin - num_rows, 0, batch->num_rows());
    const std::int64_t to = std::clamp<std::int64_t>(end - num_rows, from, batch->num_rows());
    for (int i = 0; i < batch->num_columns(); ++i) {
      const auto& data = *batch->column_data(i);
      ARROW_RETURN_NOT_OK(region.CheckRows(data, data.offset + from, to - from));
    }
    num_rows += batch->num_rows();
    batches.push_back(std::move(batch));
  }
  if (num_rows != num_rows_) return Status::IOError("it has ", num_rows, " rows of ", num_rows_);
  if (reader->schema()->num_fields() == 0) {
    return arrow::Table::Make(reader->schema(), std::vector<std::shared_ptr<arrow::ChunkedArray>>{},
                              num_rows);
  }
  return arrow::Table::FromRecordBatches(reader->schema(), batches);
}

}  // namespace headrace
