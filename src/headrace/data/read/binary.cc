#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <limits>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/options.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

// Whole files as bytes, one unit and one row a file: column "bytes". The row is the buffer that the
// file was read into. Compressed files are decompressed only where the option "compression" names
// the codec.

namespace headrace {

namespace {

template <class ArrayType, class Offset>
Result<std::shared_ptr<arrow::Array>> OneValue(std::shared_ptr<arrow::Buffer> bytes) {
  const Offset offsets[2] = {0, static_cast<Offset>(bytes->size())};
  auto buffer = arrow::Buffer::FromString(
      std::string(reinterpret_cast<const char*>(offsets), sizeof offsets));
  return std::make_shared<ArrayType>(1, std::move(buffer), std::move(bytes));
}

class BinaryReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    const bool decompress = HasOption(step.source->options, "compression");
    ARROW_ASSIGN_OR_RAISE(auto bytes, ReadWholeFile(*step.source, unit.path, decompress, context));
    const bool large = bytes->size() > std::numeric_limits<std::int32_t>::max();
    const std::int64_t size = bytes->size();
    ARROW_ASSIGN_OR_RAISE(
        auto array, large ? (OneValue<arrow::LargeBinaryArray, std::int64_t>(std::move(bytes)))
                          : (OneValue<arrow::BinaryArray, std::int32_t>(std::move(bytes))));
    static const auto small_schema = arrow::schema({arrow::field("bytes", arrow::binary())});
    static const auto large_schema = arrow::schema({arrow::field("bytes", arrow::large_binary())});
    auto table = arrow::Table::Make(large ? large_schema : small_schema, {std::move(array)});
    return MakeOneBatchStream(Batch{Block(std::move(table), size + (large ? 16 : 8)), {}, nullptr});
  }
};

}  // namespace

const Reader& BinaryReader() {
  static const BinaryReaderImpl reader;
  return reader;
}

}  // namespace headrace
