#include <arrow/io/interfaces.h>
#include <arrow/ipc/options.h>
#include <arrow/ipc/writer.h>
#include <arrow/table.h>

#include <utility>

#include "headrace/block/ipc.h"
#include "headrace/data/consume/file_writer.h"

// Arrow IPC streams: any table as it is, one without rows or without columns too. No options.

namespace headrace {

namespace {

class ArrowWriter : public FileWriter {
 public:
  explicit ArrowWriter(std::shared_ptr<arrow::ipc::RecordBatchWriter> writer)
      : writer_(std::move(writer)) {}

  Status Write(const arrow::Table& table) override { return WriteIpc(table, writer_.get()); }
  Status Finish() override { return writer_->Close(); }

 private:
  const std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

}  // namespace

Result<std::unique_ptr<FileWriter>> MakeArrowWriter(const FileWriterArgs& args) {
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.use_threads = false;
  options.memory_pool = args.pool;
  ARROW_ASSIGN_OR_RAISE(
      auto writer, arrow::ipc::MakeStreamWriter(args.sink.get(), args.first.schema(), options));
  return std::make_unique<ArrowWriter>(std::move(writer));
}

}  // namespace headrace
