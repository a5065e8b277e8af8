#pragma once

#include <memory>

#include "headrace/base/status.h"

namespace arrow {
class Table;
namespace io {
class InputStream;
}
namespace ipc {
class RecordBatchWriter;
}
}  // namespace arrow

// Tables as Arrow IPC streams. (Streams, not files: only there may the chunks of a column have
// different dictionaries.) All done in the calling thread.

namespace headrace {

/// Writes the rows of a table of the writer's schema. One without columns keeps their number.
Status WriteIpc(const arrow::Table& table, arrow::ipc::RecordBatchWriter* writer);

/// Reads the whole stream. Its memory is the stream's, where that has it at hand.
Result<std::shared_ptr<arrow::Table>> ReadIpc(std::shared_ptr<arrow::io::InputStream> stream);

}  // namespace headrace
