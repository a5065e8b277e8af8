#include <arrow/table.h>
#include <arrow/type.h>

#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

// A source in the user's language: the unit's payload goes to the source's function as one batch
// without rows, and what the function yields are the rows.

namespace headrace {

namespace {

class PayloadStream : public BatchStream {
 public:
  explicit PayloadStream(Batch batch) : batch_(std::move(batch)) {}
  Result<std::optional<Batch>> Next() override { return std::exchange(batch_, std::nullopt); }

 private:
  std::optional<Batch> batch_;
};

class PythonReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    const FunctionPtr& function = step.source->function;
    if (!function) return Status::Invalid("source '", step.source->name, "' has no function");
    if (!context.functions) {
      return Status::Invalid("source '", step.source->name, "' cannot be read here: it is not C++");
    }
    Batch batch;
    batch.block = Block(
        arrow::Table::Make(arrow::schema(arrow::FieldVector{}), arrow::ChunkedArrayVector{}, 0), 0);
    batch.payload = unit.payload;
    batch.origin.files = FilesOf(unit);
    ARROW_ASSIGN_OR_RAISE(auto runner, context.functions->Resolve(function));
    return runner->Run(std::make_unique<PayloadStream>(std::move(batch)), context, nullptr);
  }
};

}  // namespace

const Reader& PythonReader() {
  static const PythonReaderImpl reader;
  return reader;
}

}  // namespace headrace
