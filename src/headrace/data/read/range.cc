#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

namespace headrace {

namespace {

constexpr std::int64_t kRangeBatchBytes = 1 << 20;
constexpr std::int64_t kMinUnits = 1000;
constexpr std::int64_t kUnitBytes = 1 << 20;

std::int64_t ElementsOf(const arrow::Schema& schema) {
  const auto& type = *schema.field(0)->type();
  if (type.id() != arrow::Type::EXTENSION) return 1;
  const auto& shape = static_cast<const arrow::extension::FixedShapeTensorType&>(type).shape();
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Rows [begin, end): "id" counts them, or "data" has tensors filled with the row's number.
class RangeStream : public BatchStream {
 public:
  RangeStream(const std::shared_ptr<arrow::Schema>& schema, bool count_only, std::int64_t begin,
              std::int64_t end, std::int64_t batch_rows, arrow::MemoryPool* pool)
      : schema_(schema),
        count_only_(count_only),
        next_(begin),
        end_(end),
        batch_rows_(batch_rows),
        pool_(pool ? pool : arrow::default_memory_pool()) {}

  Result<std::optional<Batch>> Next() override {
    if (next_ >= end_ && yielded_) return std::nullopt;
    yielded_ = true;
    const std::int64_t rows =
        std::max<std::int64_t>(0, count_only_ ? end_ - next_ : std::min(batch_rows_, end_ - next_));
    Batch batch;
    batch.origin.first_row = next_;
    batch.origin.end_row = next_ + rows;
    ARROW_ASSIGN_OR_RAISE(batch.block, Make(rows));
    next_ += rows;
    return batch;
  }

 private:
  Result<Block> Make(std::int64_t rows) {
    if (count_only_) {
      return Block(arrow::Table::Make(arrow::schema(arrow::FieldVector{}),
                                      arrow::ChunkedArrayVector{}, rows),
                   0);
    }
    const std::int64_t elements = ElementsOf(*schema_);
    ARROW_ASSIGN_OR_RAISE(
        std::shared_ptr<arrow::Buffer> buffer,
        arrow::AllocateBuffer(rows * elements * static_cast<std::int64_t>(sizeof(std::int64_t)),
                              pool_));
    auto* values = reinterpret_cast<std::int64_t*>(buffer->mutable_data());
    if (elements == 1) {
      std::iota(values, values + rows, next_);
    } else {
      for (std::int64_t row = 0; row < rows; ++row) {
        std::fill_n(values + row * elements, elements, next_ + row);
      }
    }
    const std::int64_t bytes = buffer->size();
    arrow::BufferVector buffers(2);
    buffers[1] = std::move(buffer);
    std::shared_ptr<arrow::Array> array = std::make_shared<arrow::Int64Array>(
        arrow::ArrayData::Make(arrow::int64(), rows * elements, std::move(buffers), 0));
    const auto& type = schema_->field(0)->type();
    if (type->id() == arrow::Type::EXTENSION) {
      const auto& storage = static_cast<const arrow::ExtensionType&>(*type).storage_type();
      array = arrow::ExtensionType::WrapArray(
          type, std::make_shared<arrow::FixedSizeListArray>(storage, rows, std::move(array)));
    }
    arrow::ArrayVector chunks(1);
    chunks[0] = std::move(array);
    arrow::ChunkedArrayVector columns(1);
    columns[0] = std::make_shared<arrow::ChunkedArray>(std::move(chunks));
    return Block(arrow::Table::Make(schema_, std::move(columns), rows), bytes);
  }

  const std::shared_ptr<arrow::Schema>& schema_;  // Of the source, which outlives this.
  const bool count_only_;
  std::int64_t next_;
  const std::int64_t end_;
  const std::int64_t batch_rows_;
  arrow::MemoryPool* const pool_;
  bool yielded_ = false;
};

class RangeReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    const bool count_only = step.columns && step.columns->empty() && !step.filter;
    const std::int64_t row_bytes = ElementsOf(*step.source->schema) * 8;
    std::int64_t batch_rows =
        std::max<std::int64_t>(1, kRangeBatchBytes / std::max<std::int64_t>(1, row_bytes));
    if (step.row_limit >= 0 && !step.filter) {
      batch_rows = std::clamp<std::int64_t>(step.row_limit, 1, batch_rows);
    }
    return std::make_unique<RangeStream>(step.source->schema, count_only, unit.begin, unit.end,
                                         batch_rows, context.pool);
  }
};

}  // namespace

const Reader& RangeReader() {
  static const RangeReaderImpl reader;
  return reader;
}

std::shared_ptr<const ReadSource> MakeRangeSource(std::int64_t rows,
                                                  const std::vector<std::int64_t>& tensor_shape,
                                                  std::int64_t units) {
  auto source = std::make_shared<ReadSource>();
  source->format = "range";
  source->name = "Range";
  source->pushes_projection = true;
  if (tensor_shape.empty()) {
    source->schema = arrow::schema({arrow::field("id", arrow::int64())});
  } else {
    source->schema = arrow::schema(
        {arrow::field("data", arrow::extension::fixed_shape_tensor(arrow::int64(), tensor_shape))});
  }
  rows = std::max<std::int64_t>(rows, 0);
  const std::int64_t row_bytes = ElementsOf(*source->schema) * 8;
  if (units < 0) units = std::max(kMinUnits, rows * row_bytes / kUnitBytes);
  units = std::clamp<std::int64_t>(units, 1, std::max<std::int64_t>(rows, 1));
  source->units.resize(static_cast<std::size_t>(units));
  for (std::int64_t i = 0; i < units; ++i) {
    ReadUnit& unit = source->units[static_cast<std::size_t>(i)];
    // Whole numbers of rows that differ by one at most; the product must not overflow.
    unit.begin = rows / units * i + std::min(i, rows % units);
    unit.end = unit.begin + rows / units + (i < rows % units ? 1 : 0);
    unit.num_rows = unit.end - unit.begin;
    unit.num_bytes = unit.num_rows * row_bytes;
  }
  return source;
}

}  // namespace headrace
