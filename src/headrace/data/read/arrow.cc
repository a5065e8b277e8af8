#include <arrow/io/memory.h>
#include <arrow/table.h>

#include <utility>

#include "headrace/block/ipc.h"
#include "headrace/data/read/files.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

// Arrow IPC streams, one unit and one block a file, as "arrow" of data/consume writes them. The
// schema is each file's own.

namespace headrace {

namespace {

class ArrowReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    ARROW_ASSIGN_OR_RAISE(auto bytes, ReadWholeFile(*step.source, unit.path, false, context));
    ARROW_ASSIGN_OR_RAISE(auto table,
                          ReadIpc(std::make_shared<arrow::io::BufferReader>(std::move(bytes))));
    return MakeOneBatchStream(Batch{Block(std::move(table)), {}, nullptr});
  }
};

}  // namespace

const Reader& ArrowReader() {
  static const ArrowReaderImpl reader;
  return reader;
}

}  // namespace headrace
