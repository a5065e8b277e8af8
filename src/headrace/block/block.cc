#include "headrace/block/block.h"

#include <arrow/table.h>
#include <arrow/util/byte_size.h>

#include "headrace/base/check.h"

namespace headrace {

std::int64_t MeasureBytes(const arrow::Table& table) {
  // ReferencedBufferSize counts the ranges that the rows use, also below slices and offsets;
  // it refuses a few exotic types, for which whole buffers are the next best answer.
  auto referenced = arrow::util::ReferencedBufferSize(table);
  return referenced.ok() ? *referenced : arrow::util::TotalBufferSize(table);
}

Block::Block(std::shared_ptr<arrow::Table> table)
    : table_(std::move(table)), num_rows_(table_->num_rows()), num_bytes_(MeasureBytes(*table_)) {}

Block::Block(std::shared_ptr<arrow::Table> table, std::int64_t num_bytes)
    : table_(std::move(table)), num_rows_(table_->num_rows()), num_bytes_(num_bytes) {}

Block Block::Slice(std::int64_t begin, std::int64_t end) const {
  HEADRACE_CHECK(0 <= begin && begin <= end && end <= num_rows_);
  if (begin == 0 && end == num_rows_) return *this;
  return Block(table_->Slice(begin, end - begin));
}

}  // namespace headrace
