#include <arrow/table.h>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/block/block_builder.h"
#include "headrace/data/transform/step.h"

namespace headrace {

namespace {

// Returns rows [begin, end) unmeasured: the bytes of a batch between steps matter to nobody.
Block SliceUnmeasured(const Block& block, std::int64_t begin, std::int64_t end) {
  if (begin == 0 && end == block.num_rows()) return block;
  return Block(block.table()->Slice(begin, end - begin), -1);
}

class RebatchStream : public BatchStream {
 public:
  RebatchStream(StreamPtr input, std::int64_t rows, const TaskContext& context)
      : input_(std::move(input)), rows_(rows), pool_(context.pool) {
    HEADRACE_CHECK(rows_ > 0);
  }

  Result<std::optional<Batch>> Next() override {
    while (!ended_ && buffered_rows_ < rows_) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) {
        ended_ = true;
      } else if (batch->block.num_rows() > 0) {
        buffered_rows_ += batch->block.num_rows();
        buffered_.push_back(*std::move(batch));
      }
    }
    if (buffered_.empty()) return std::nullopt;
    return Take(std::min(rows_, buffered_rows_));
  }

 private:
  Result<std::optional<Batch>> Take(std::int64_t rows) {
    buffered_rows_ -= rows;
    std::vector<Block> pieces;
    std::vector<Origin> origins;
    while (rows > 0) {
      Batch& front = buffered_.front();
      const std::int64_t available = front.block.num_rows() - offset_;
      const std::int64_t taken = std::min(rows, available);
      const std::int64_t end = offset_ + taken;
      origins.push_back(SliceOrigin(front.origin, front.block.num_rows(), offset_, end));
      pieces.push_back(SliceUnmeasured(front.block, offset_, end));
      rows -= taken;
      offset_ = end;
      if (taken == available) {
        buffered_.pop_front();
        offset_ = 0;
      }
    }
    Batch batch;
    batch.origin = MergeOrigins(origins);
    ARROW_ASSIGN_OR_RAISE(batch.block, JoinBlocks(pieces, pool_));
    return batch;
  }

  StreamPtr input_;
  const std::int64_t rows_;
  arrow::MemoryPool* const pool_;
  std::deque<Batch> buffered_;
  std::int64_t offset_ = 0;  // Rows of the first that were taken.
  std::int64_t buffered_rows_ = 0;
  bool ended_ = false;
};

class JoinStream : public BatchStream {
 public:
  JoinStream(StreamPtr input, std::int64_t target_min_bytes, const TaskContext& context)
      : input_(std::move(input)), builder_(target_min_bytes, INT64_MAX / 2, true, context.pool) {}

  Result<std::optional<Batch>> Next() override {
    while (!ended_ && !builder_.has_next()) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) {
        ended_ = true;
        ARROW_RETURN_NOT_OK(builder_.Finish());
      } else if (batch->block.num_rows() > 0) {
        const std::int64_t rows = batch->block.num_rows();
        ARROW_RETURN_NOT_OK(builder_.Add(std::move(batch->block), batch->origin.files));
        pending_.push_back({rows, std::move(batch->origin)});
      }
    }
    if (!builder_.has_next()) return std::nullopt;
    Batch joined;
    joined.block = builder_.Next().block;
    // The builder never splits here, so a joined block has a whole number of pieces.
    std::int64_t rows = joined.block.num_rows();
    std::vector<Origin> origins;
    while (rows > 0) {
      rows -= pending_.front().first;
      origins.push_back(std::move(pending_.front().second));
      pending_.pop_front();
    }
    joined.origin = MergeOrigins(origins);
    return joined;
  }

 private:
  StreamPtr input_;
  BlockBuilder builder_;
  std::deque<std::pair<std::int64_t, Origin>> pending_;
  bool ended_ = false;
};

}  // namespace

Origin MergeOrigins(const std::vector<Origin>& parts) {
  Origin merged = parts.front();
  if (parts.size() == 1) return merged;
  std::vector<FileList> files;
  bool same_rows = true;  // All count rows of one file, or all of the task's input.
  for (const Origin& part : parts) {
    files.push_back(part.files);
    same_rows = same_rows && part.first_row >= 0 && part.rows_of_file == merged.rows_of_file &&
                (!part.rows_of_file || part.files == parts.front().files);
    merged.first_row = std::min(merged.first_row, part.first_row);
    merged.end_row = std::max(merged.end_row, part.end_row);
  }
  merged.files = MergeFiles(files);
  if (!same_rows) {
    merged.first_row = -1;
    merged.end_row = -1;
    merged.rows_of_file = false;
  }
  return merged;
}

Origin SliceOrigin(const Origin& origin, std::int64_t rows, std::int64_t begin, std::int64_t end) {
  Origin slice = origin;
  // Where rows were filtered out, nobody knows which of the range are left.
  if (origin.first_row >= 0 && origin.end_row - origin.first_row == rows) {
    slice.first_row = origin.first_row + begin;
    slice.end_row = origin.first_row + end;
  }
  return slice;
}

StreamPtr MakeRebatchStream(StreamPtr input, std::int64_t rows, const TaskContext& context) {
  return std::make_unique<RebatchStream>(std::move(input), rows, context);
}

StreamPtr MakeJoinStream(StreamPtr input, std::int64_t target_min_bytes,
                         const TaskContext& context) {
  return std::make_unique<JoinStream>(std::move(input), target_min_bytes, context);
}

}  // namespace headrace
