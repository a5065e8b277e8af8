#include <algorithm>
#include <utility>

#include "headrace/data/transform/step.h"

namespace headrace {

namespace {

class LimitStream : public BatchStream {
 public:
  LimitStream(StreamPtr input, std::int64_t rows) : input_(std::move(input)), left_(rows) {}

  Result<std::optional<Batch>> Next() override {
    if (left_ <= 0 && yielded_) return std::nullopt;
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (!batch) return std::nullopt;
    yielded_ = true;
    const std::int64_t rows = batch->block.num_rows();
    const std::int64_t taken = std::min(rows, std::max<std::int64_t>(left_, 0));
    left_ -= taken;
    if (taken < rows) {
      batch->block = batch->block.Slice(0, taken);
      batch->origin = SliceOrigin(batch->origin, rows, 0, taken);
    }
    return batch;
  }

 private:
  StreamPtr input_;
  std::int64_t left_;
  bool yielded_ = false;
};

}  // namespace

StreamPtr MakeLimitStream(StreamPtr input, std::int64_t rows) {
  return std::make_unique<LimitStream>(std::move(input), rows);
}

}  // namespace headrace
