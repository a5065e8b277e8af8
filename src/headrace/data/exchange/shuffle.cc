#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/gather.h"

namespace headrace {

namespace {

constexpr std::int64_t kGatheredBatchBytes = 32 << 20;

class ShuffleStream : public BatchStream {
 public:
  ShuffleStream(StreamPtr input, Rng rng, const TaskContext& context)
      : input_(std::move(input)), rng_(rng), context_(context) {}

  Result<std::optional<Batch>> Next() override {
    if (input_) ARROW_RETURN_NOT_OK(Start());
    if (!gatherer_ || (next_ == rows_.size() && yielded_)) {
      gatherer_.reset();
      return std::nullopt;
    }
    ARROW_RETURN_NOT_OK(CheckCancelled(context_));
    const std::size_t begin = next_;
    next_ = std::min(rows_.size(), begin + batch_rows_);
    ARROW_ASSIGN_OR_RAISE(auto table, gatherer_->Gather({rows_.data() + begin, next_ - begin}));
    Batch batch;
    batch.block = Block(std::move(table), -1);
    batch.origin = origin_;
    yielded_ = true;
    return batch;
  }

 private:
  Status Start() {
    ARROW_ASSIGN_OR_RAISE(auto all, CollectRows(input_.get(), context_));
    input_.reset();
    if (!all) return Status::OK();
    origin_ = std::move(all->origin);
    ARROW_ASSIGN_OR_RAISE(gatherer_, RowGatherer::Make(std::move(all->table), context_.pool));
    batch_rows_ = static_cast<std::size_t>(RowsOfBytes(*gatherer_->table(), kGatheredBatchBytes));
    rows_.resize(static_cast<std::size_t>(gatherer_->table()->num_rows()));
    for (std::uint32_t row = 0; row < rows_.size(); ++row) {
      const auto chosen = static_cast<std::size_t>(rng_.Below(std::uint64_t{row} + 1));
      rows_[row] = rows_[chosen];
      rows_[chosen] = row;
    }
    return Status::OK();
  }

  StreamPtr input_;  // Null after its end.
  Rng rng_;
  const TaskContext context_;
  std::optional<RowGatherer> gatherer_;
  std::vector<std::uint32_t> rows_;
  std::size_t next_ = 0;
  std::size_t batch_rows_ = 1;
  bool yielded_ = false;
  Origin origin_;
};

}  // namespace

StreamPtr MakeShuffleStream(StreamPtr input, Rng rng, const TaskContext& context) {
  return std::make_unique<ShuffleStream>(std::move(input), rng, context);
}

}  // namespace headrace
