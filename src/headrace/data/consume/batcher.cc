#include "headrace/data/consume/batcher.h"

#include <arrow/array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/datum.h>
#include <arrow/table.h>

#include <algorithm>
#include <deque>
#include <numeric>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/data/transform/arrow_init.h"

namespace headrace {
namespace {

Result<std::shared_ptr<arrow::Table>> Join(std::vector<std::shared_ptr<arrow::Table>> tables) {
  if (tables.size() == 1) return std::move(tables.front());
  arrow::ConcatenateTablesOptions options = arrow::ConcatenateTablesOptions::Defaults();
  options.unify_schemas = true;
  return arrow::ConcatenateTables(tables, options);
}

/// Keeps the order of the rows.
class OrderedBatcher : public Batcher {
 public:
  explicit OrderedBatcher(BatcherOptions options) : options_(options) {}

  void Add(Block block) override {
    if (block.num_rows() == 0 && options_.batch_rows > 0) return;
    rows_ += block.num_rows();
    blocks_.push_back(block.table());
  }

  void Finish() override { finished_ = true; }

  Result<std::optional<Block>> Next() override {
    if (blocks_.empty()) return std::nullopt;
    if (options_.batch_rows == 0) {
      rows_ -= blocks_.front()->num_rows();
      return Block(Take(blocks_.front()->num_rows()), -1);
    }
    std::int64_t want = options_.batch_rows;
    if (rows_ < want) {
      if (!finished_ || options_.drop_last || rows_ == 0) return std::nullopt;
      want = rows_;
    }
    rows_ -= want;
    std::vector<std::shared_ptr<arrow::Table>> parts;
    while (want > 0) {
      const std::int64_t left = blocks_.front()->num_rows() - begin_;
      const std::int64_t take = std::min(left, want);
      if (take > 0)
        parts.push_back(Take(take));
      else
        Take(0);
      want -= take;
    }
    ARROW_ASSIGN_OR_RAISE(auto table, Join(std::move(parts)));
    return Block(std::move(table), -1);
  }

 private:
  // Takes rows of the first block, and drops it when it is used up.
  std::shared_ptr<arrow::Table> Take(std::int64_t rows) {
    const std::shared_ptr<arrow::Table> front = blocks_.front();
    auto part = begin_ == 0 && rows == front->num_rows() ? front : front->Slice(begin_, rows);
    begin_ += rows;
    if (begin_ == front->num_rows()) {
      blocks_.pop_front();
      begin_ = 0;
    }
    return part;
  }

  const BatcherOptions options_;
  std::deque<std::shared_ptr<arrow::Table>> blocks_;
  std::int64_t begin_ = 0;  // Rows of the first block that are gone.
  std::int64_t rows_ = 0;   // That are left.
  bool finished_ = false;
};

/// Draws batches from a buffer of rows. The buffer is one table with an order drawn over its
/// rows; new blocks wait beside it, and are mixed in when the order is used up to the minimum.
class ShuffledBatcher : public Batcher {
 public:
  explicit ShuffledBatcher(BatcherOptions options) : options_(options), rng_(options.seed) {
    options_.batch_rows = std::max<std::int64_t>(options_.batch_rows, 1);
  }

  void Add(Block block) override {
    if (block.num_rows() == 0) return;
    waiting_rows_ += block.num_rows();
    waiting_.push_back(block.table());
  }

  void Finish() override { finished_ = true; }

  Result<std::optional<Block>> Next() override {
    const std::int64_t keep = std::max(options_.shuffle_min_rows, options_.batch_rows);
    if (left() < keep && waiting_rows_ > 0 && (finished_ || left() + waiting_rows_ >= keep)) {
      ARROW_RETURN_NOT_OK(Mix());
    }
    if (!finished_ && left() < keep) return std::nullopt;
    std::int64_t take = std::min(options_.batch_rows, left());
    if (take == 0 || (take < options_.batch_rows && options_.drop_last)) return std::nullopt;
    ARROW_ASSIGN_OR_RAISE(auto table, Gather(next_, take));
    next_ += take;
    return Block(std::move(table), -1);
  }

 private:
  std::int64_t left() const { return static_cast<std::int64_t>(order_.size()) - next_; }

  Result<std::shared_ptr<arrow::Table>> Gather(std::int64_t begin, std::int64_t rows) {
    auto indices = std::make_shared<arrow::Int64Array>(
        rows, arrow::Buffer::Wrap(order_.data() + begin, static_cast<std::size_t>(rows)));
    ARROW_RETURN_NOT_OK(InitializeArrow());
    ARROW_ASSIGN_OR_RAISE(auto taken, arrow::compute::Take(buffer_, arrow::Datum(indices)));
    return taken.table();
  }

  // Joins the rows that are left with those that wait, and draws a new order over them.
  Status Mix() {
    std::vector<std::shared_ptr<arrow::Table>> parts;
    if (left() > 0) {
      ARROW_ASSIGN_OR_RAISE(auto rest, Gather(next_, left()));
      parts.push_back(std::move(rest));
    }
    for (auto& table : waiting_) parts.push_back(std::move(table));
    waiting_.clear();
    waiting_rows_ = 0;
    ARROW_ASSIGN_OR_RAISE(auto joined, Join(std::move(parts)));
    ARROW_ASSIGN_OR_RAISE(buffer_, joined->CombineChunks());
    order_.resize(static_cast<std::size_t>(buffer_->num_rows()));
    std::iota(order_.begin(), order_.end(), 0);
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng_.Below(i)]);
    next_ = 0;
    return Status::OK();
  }

  BatcherOptions options_;
  Rng rng_;
  std::vector<std::shared_ptr<arrow::Table>> waiting_;
  std::int64_t waiting_rows_ = 0;
  std::shared_ptr<arrow::Table> buffer_;
  std::vector<std::int64_t> order_;  // Row numbers of the buffer; those before next_ are gone.
  std::int64_t next_ = 0;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<Batcher> Batcher::Make(BatcherOptions options) {
  if (options.shuffle_min_rows > 0) return std::make_unique<ShuffledBatcher>(options);
  return std::make_unique<OrderedBatcher>(options);
}

}  // namespace headrace
