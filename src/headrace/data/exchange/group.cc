#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/sort_key.h"
#include "headrace/data/exchange/sort_rows.h"

namespace headrace {

namespace {

class GroupStream : public BatchStream {
 public:
  GroupStream(StreamPtr input, const GroupStep& step, std::int64_t target_bytes,
              const TaskContext& context)
      : input_(std::move(input)), target_bytes_(target_bytes), context_(context) {
    for (const std::string& key : step.keys) keys_.push_back(SortKey{key});
  }

  Result<std::optional<Batch>> Next() override {
    if (input_) ARROW_RETURN_NOT_OK(Start());
    if (!gatherer_ || (next_ == rows_.size() && yielded_)) {
      encoder_.reset();
      gatherer_.reset();
      return std::nullopt;
    }
    ARROW_RETURN_NOT_OK(CheckCancelled(context_));
    const std::size_t begin = next_;
    next_ = EndOfGroup(std::min(rows_.size(), begin + batch_rows_));
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
    ARROW_RETURN_NOT_OK(CheckSortKeys(keys_, *all->table->schema(), /*any_type=*/true));
    ARROW_ASSIGN_OR_RAISE(gatherer_, RowGatherer::Make(std::move(all->table), context_.pool));
    const arrow::Table& table = *gatherer_->table();
    batch_rows_ = static_cast<std::size_t>(RowsOfBytes(table, target_bytes_));
    ARROW_ASSIGN_OR_RAISE(rows_, SortRows(table, keys_, context_.pool));
    ARROW_ASSIGN_OR_RAISE(encoder_, SortKeyEncoder::Make(table, keys_, context_.pool));
    return Status::OK();
  }

  std::string KeyAt(std::size_t place) const {
    std::string key;
    encoder_->Append(rows_[place], &key);
    return key;
  }

  // Returns the end of the group that the row before `end` is of: doubling steps, then halving.
  std::size_t EndOfGroup(std::size_t end) const {
    if (end == 0) return 0;
    const std::string key = KeyAt(end - 1);
    std::size_t beyond = end;
    for (std::size_t step = 1; beyond < rows_.size() && KeyAt(beyond) == key; step *= 2) {
      end = beyond + 1;
      beyond = std::min(rows_.size(), end + step);
    }
    while (end < beyond) {
      const std::size_t middle = end + (beyond - end) / 2;
      if (KeyAt(middle) == key) {
        end = middle + 1;
      } else {
        beyond = middle;
      }
    }
    return end;
  }

  StreamPtr input_;  // Null after its end.
  std::vector<SortKey> keys_;
  const std::int64_t target_bytes_;
  const TaskContext context_;
  std::optional<RowGatherer> gatherer_;
  std::optional<SortKeyEncoder> encoder_;
  std::vector<std::uint32_t> rows_;
  std::size_t next_ = 0;
  std::size_t batch_rows_ = 1;
  bool yielded_ = false;
  Origin origin_;
};

}  // namespace

StreamPtr MakeGroupStream(StreamPtr input, GroupStep step, std::int64_t target_bytes,
                          const TaskContext& context) {
  return std::make_unique<GroupStream>(std::move(input), step, target_bytes, context);
}

}  // namespace headrace
