#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

// One side: its batch at hand, and how much of it is used.
struct Side {
  StreamPtr stream;
  std::optional<Batch> batch;
  std::int64_t used = 0;
  std::int64_t rows = 0;  // Of all batches so far.

  std::int64_t left() const { return batch ? batch->block.num_rows() - used : 0; }

  // Pulls until there are rows, or the end; a batch without rows is kept for its schema.
  Status Fill() {
    while (stream && left() == 0) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> next, stream->Next());
      if (!next) {
        stream.reset();
      } else if (!batch || next->block.num_rows() > 0) {
        rows += next->block.num_rows();
        batch = std::move(next);
        used = 0;
      }
    }
    return Status::OK();
  }

  Status CountRest() {
    used = left() + used;
    while (stream) {
      ARROW_RETURN_NOT_OK(Fill());
      used += left();
    }
    return Status::OK();
  }
};

class ZipStream : public BatchStream {
 public:
  ZipStream(StreamPtr left, StreamPtr right, const TaskContext& context) : context_(context) {
    left_.stream = std::move(left);
    right_.stream = std::move(right);
  }

  Result<std::optional<Batch>> Next() override {
    ARROW_RETURN_NOT_OK(CheckCancelled(context_));
    ARROW_RETURN_NOT_OK(left_.Fill());
    ARROW_RETURN_NOT_OK(right_.Fill());
    const std::int64_t rows = std::min(left_.left(), right_.left());
    if (rows == 0) {
      if (left_.left() != right_.left()) return FailOnCounts();
      if (yielded_ || !left_.batch || !right_.batch) return std::nullopt;
    }
    yielded_ = true;
    return Join(rows);
  }

 private:
  Status FailOnCounts() {
    ARROW_RETURN_NOT_OK(left_.CountRest());
    ARROW_RETURN_NOT_OK(right_.CountRest());
    return Status::Invalid("cannot zip: there are ", left_.rows, " rows on the left and ",
                           right_.rows, " on the right; they must be as many");
  }

  Result<std::optional<Batch>> Join(std::int64_t rows) {
    const auto left = left_.batch->block.table()->Slice(left_.used, rows);
    const auto right = right_.batch->block.table()->Slice(right_.used, rows);
    ARROW_ASSIGN_OR_RAISE(auto schema, ZipSchema(*left->schema(), *right->schema()));
    arrow::ChunkedArrayVector columns = left->columns();
    columns.insert(columns.end(), right->columns().begin(), right->columns().end());
    Batch batch;
    batch.block = Block(arrow::Table::Make(std::move(schema), std::move(columns), rows), -1);
    Origin right_origin = SliceOrigin(right_.batch->origin, right_.batch->block.num_rows(),
                                      right_.used, right_.used + rows);
    batch.origin = MergeOrigins({SliceOrigin(left_.batch->origin, left_.batch->block.num_rows(),
                                             left_.used, left_.used + rows),
                                 std::move(right_origin)});
    left_.used += rows;
    right_.used += rows;
    return batch;
  }

  const TaskContext context_;
  Side left_;
  Side right_;
  bool yielded_ = false;
};

}  // namespace

StreamPtr MakeZipStream(StreamPtr left, StreamPtr right, const TaskContext& context) {
  return std::make_unique<ZipStream>(std::move(left), std::move(right), context);
}

}  // namespace headrace
