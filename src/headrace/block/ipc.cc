#include "headrace/block/ipc.h"

#include <arrow/io/interfaces.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace headrace {

Status WriteIpc(const arrow::Table& table, arrow::ipc::RecordBatchWriter* writer) {
  if (table.num_columns() > 0) return writer->WriteTable(table);
  // A table is split by its chunks, of which there are none here.
  return writer->WriteRecordBatch(
      *arrow::RecordBatch::Make(table.schema(), table.num_rows(), arrow::ArrayVector{}));
}

Result<std::shared_ptr<arrow::Table>> ReadIpc(std::shared_ptr<arrow::io::InputStream> stream) {
  auto options = arrow::ipc::IpcReadOptions::Defaults();
  options.use_threads = false;
  ARROW_ASSIGN_OR_RAISE(auto reader,
                        arrow::ipc::RecordBatchStreamReader::Open(std::move(stream), options));
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  std::int64_t num_rows = 0;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, reader->Next());
    if (batch == nullptr) break;
    num_rows += batch->num_rows();
    batches.push_back(std::move(batch));
  }
  if (reader->schema()->num_fields() == 0) {
    return arrow::Table::Make(reader->schema(), arrow::ChunkedArrayVector{}, num_rows);
  }
  return arrow::Table::FromRecordBatches(reader->schema(), batches);
}

}  // namespace headrace
