#include "headrace/protocol/arrow_wire.h"

#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <array>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/base/wire.h"

namespace headrace {
namespace {

// Schemas seen by this thread. A task writes one schema, a driver thread reads those of the few
// operators that run at once; so a handful in a ring is enough, and a miss costs only time.
struct SchemaCache {
  struct Entry {
    std::shared_ptr<arrow::Schema> schema;
    std::string bytes;
  };
  std::array<Entry, 8> entries;
  std::size_t next = 0;

  const Entry& Add(std::shared_ptr<arrow::Schema> schema, std::string bytes) {
    Entry& entry = entries[next];
    next = (next + 1) % entries.size();
    entry = {std::move(schema), std::move(bytes)};
    return entry;
  }
};

SchemaCache& ThreadSchemaCache() {
  static thread_local SchemaCache cache;
  return cache;
}

// Copies, because what Arrow decodes points into its input. Decoding must not start threads: a
// forked worker has none of Arrow's.
std::shared_ptr<arrow::io::BufferReader> OpenCopy(std::string_view bytes) {
  return std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(std::string(bytes)));
}

Result<std::string> EncodeBatch(const arrow::RecordBatch& batch) {
  ARROW_ASSIGN_OR_RAISE(auto sink, arrow::io::BufferOutputStream::Create());
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.use_threads = false;
  ARROW_ASSIGN_OR_RAISE(auto writer,
                        arrow::ipc::MakeStreamWriter(sink.get(), batch.schema(), options));
  ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(batch));
  ARROW_RETURN_NOT_OK(writer->Close());
  ARROW_ASSIGN_OR_RAISE(auto buffer, sink->Finish());
  return buffer->ToString();
}

std::shared_ptr<arrow::Schema> SchemaOfOne(std::shared_ptr<arrow::DataType> type) {
  return arrow::schema({arrow::field("", std::move(type))});
}

}  // namespace

void WriteSchema(const std::shared_ptr<arrow::Schema>& schema, WireWriter* out) {
  if (schema == nullptr) return out->Bytes("");
  SchemaCache& cache = ThreadSchemaCache();
  for (const auto& entry : cache.entries) {
    if (entry.schema == schema) return out->Bytes(entry.bytes);
  }
  auto buffer = arrow::ipc::SerializeSchema(*schema);
  HEADRACE_CHECK(buffer.ok());  // Fails only without memory.
  out->Bytes(cache.Add(schema, (*buffer)->ToString()).bytes);
}

Result<std::shared_ptr<arrow::Schema>> ReadSchema(WireReader* in) {
  const std::string_view bytes = in->Bytes();
  if (in->bad()) return TruncatedError("schema");
  if (bytes.empty()) return nullptr;
  SchemaCache& cache = ThreadSchemaCache();
  for (const auto& entry : cache.entries) {
    if (entry.schema != nullptr && entry.bytes == bytes) return entry.schema;
  }
  auto stream = OpenCopy(bytes);
  arrow::ipc::DictionaryMemo memo;
  ARROW_ASSIGN_OR_RAISE(auto schema, arrow::ipc::ReadSchema(stream.get(), &memo));
  return cache.Add(std::move(schema), std::string(bytes)).schema;
}

void WriteType(const std::shared_ptr<arrow::DataType>& type, WireWriter* out) {
  WriteSchema(SchemaOfOne(type), out);
}

Result<std::shared_ptr<arrow::DataType>> ReadType(WireReader* in) {
  ARROW_ASSIGN_OR_RAISE(auto schema, ReadSchema(in));
  if (schema == nullptr || schema->num_fields() != 1) return Status::Invalid("malformed type");
  return schema->field(0)->type();
}

void WriteArray(const std::shared_ptr<arrow::Array>& array, WireWriter* out) {
  auto batch = arrow::RecordBatch::Make(SchemaOfOne(array->type()), array->length(), {array});
  auto bytes = EncodeBatch(*batch);
  HEADRACE_CHECK(bytes.ok());  // Fails only without memory.
  out->Bytes(*bytes);
}

Result<std::shared_ptr<arrow::Array>> ReadArray(WireReader* in) {
  const std::string_view bytes = in->Bytes();
  if (in->bad()) return TruncatedError("array");
  auto options = arrow::ipc::IpcReadOptions::Defaults();
  options.use_threads = false;
  ARROW_ASSIGN_OR_RAISE(auto reader,
                        arrow::ipc::RecordBatchStreamReader::Open(OpenCopy(bytes), options));
  std::shared_ptr<arrow::RecordBatch> batch;
  ARROW_RETURN_NOT_OK(reader->ReadNext(&batch));
  if (batch == nullptr || batch->num_columns() != 1) return Status::Invalid("malformed array");
  return batch->column(0);
}

void WriteScalar(const std::shared_ptr<arrow::Scalar>& scalar, WireWriter* out) {
  auto array = arrow::MakeArrayFromScalar(*scalar, 1);
  HEADRACE_CHECK(array.ok());  // Literals are of types that have arrays.
  WriteArray(*array, out);
}

Result<std::shared_ptr<arrow::Scalar>> ReadScalar(WireReader* in) {
  ARROW_ASSIGN_OR_RAISE(auto array, ReadArray(in));
  if (array->length() != 1) return Status::Invalid("malformed scalar");
  return array->GetScalar(0);
}

void WriteStrings(const std::vector<std::string>& strings, WireWriter* out) {
  out->U64(strings.size());
  for (const std::string& string : strings) out->Bytes(string);
}

std::vector<std::string> ReadStrings(WireReader* in) {
  std::vector<std::string> strings(in->Count());
  for (std::string& string : strings) string = in->String();
  return strings;
}

void WriteSharedString(const std::shared_ptr<const std::string>& string, WireWriter* out) {
  out->Bool(string != nullptr);
  if (string != nullptr) out->Bytes(*string);
}

std::shared_ptr<const std::string> ReadSharedString(WireReader* in) {
  if (!in->Bool()) return nullptr;
  return std::make_shared<const std::string>(in->String());
}

Status TruncatedError(const char* what) { return Status::Invalid("truncated message: ", what); }

}  // namespace headrace
