#include "headrace/control/schedule/exchange_plan.h"

#include <algorithm>

#include "headrace/control/schedule/exchange_plan_impl.h"
#include "headrace/protocol/program.h"

namespace headrace {

namespace {

constexpr std::int64_t kPartitionsWanted = 64;
constexpr std::int64_t kPartitionMinBytes = 1 << 20;
constexpr std::int64_t kPartitionFloorBytes = 64 << 10;
constexpr std::int64_t kPartitionMaxBytes = 32 << 20;

using Interval = std::pair<std::uint32_t, std::uint32_t>;

/// All blocks in one task.
class GatheredPlan final : public ExchangePlan {
 public:
  explicit GatheredPlan(std::vector<InputInfos> inputs) : blocks_(std::move(inputs)) {}
  std::uint32_t num_tasks() const override { return 1; }
  ExchangeWork WorkOf(std::uint32_t) const override {
    PartList parts(blocks_);
    for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
      parts.Add(block, 0, blocks_.info(block).num_rows);
    }
    return std::move(parts).Finish();
  }
  Interval TasksOf(std::uint32_t) const override { return {0, 0}; }

 private:
  BlockList blocks_;
};

/// Tasks that have rows [bounds[t], bounds[t + 1]) of each input, counted over all its blocks.
class RowsPlan final : public ExchangePlan {
 public:
  RowsPlan(std::vector<InputInfos> inputs, std::vector<std::int64_t> bounds)
      : blocks_(std::move(inputs)),
        bounds_(std::move(bounds)),
        has_empty_(std::adjacent_find(bounds_.begin(), bounds_.end()) != bounds_.end()) {
    first_rows_.reserve(blocks_.size());
    for (std::size_t input = 0; input < blocks_.num_inputs(); ++input) {
      std::int64_t row = 0;
      for (std::uint32_t block = blocks_.begin(input); block < blocks_.end(input); ++block) {
        first_rows_.push_back(row);
        row += blocks_.info(block).num_rows;
      }
    }
  }

  std::uint32_t num_tasks() const override {
    return static_cast<std::uint32_t>(bounds_.size()) - 1;
  }

  ExchangeWork WorkOf(std::uint32_t task) const override {
    const std::int64_t low = bounds_[task], high = bounds_[task + 1];
    PartList parts(blocks_);
    for (std::size_t input = 0; input < blocks_.num_inputs(); ++input) {
      const auto begin = first_rows_.begin() + blocks_.begin(input);
      const auto end = first_rows_.begin() + blocks_.end(input);
      auto at = std::upper_bound(begin, end, low);
      if (at != begin) --at;
      for (; at != end && *at < high; ++at) {
        const auto block = static_cast<std::uint32_t>(at - first_rows_.begin());
        const std::int64_t rows = blocks_.info(block).num_rows;
        parts.Add(block, std::clamp<std::int64_t>(low - *at, 0, rows), std::min(high - *at, rows));
      }
    }
    return std::move(parts).Finish();
  }

  Interval TasksOf(std::uint32_t block) const override {
    const std::int64_t low = first_rows_[block], rows = blocks_.info(block).num_rows;
    if (blocks_.is_first(block)) return {0, LastWith(low + std::max<std::int64_t>(rows, 1), true)};
    if (rows == 0) return {1, 0};
    return {LastWith(low + 1, false), LastWith(low + rows, false)};
  }

 private:
  // Returns the task that has row `end` - 1; with `all`, the last one where some have no rows.
  std::uint32_t LastWith(std::int64_t end, bool all) const {
    if (all && has_empty_) return num_tasks() - 1;
    const auto at = std::lower_bound(bounds_.begin() + 1, bounds_.end(), end);
    return std::min(static_cast<std::uint32_t>(at - bounds_.begin()), num_tasks()) - 1;
  }

  BlockList blocks_;
  std::vector<std::int64_t> bounds_;
  const bool has_empty_;                  // Some task has no rows.
  std::vector<std::int64_t> first_rows_;  // By block: in its input.
};

std::int64_t RowsOf(const InputInfos& blocks) {
  std::int64_t rows = 0;
  for (const BlockInfo* info : blocks) rows += info->num_rows;
  return rows;
}

std::vector<std::int64_t> BoundsByNumber(std::int64_t rows, std::int64_t partitions) {
  std::vector<std::int64_t> bounds(static_cast<std::size_t>(partitions) + 1);
  for (std::int64_t i = 0; i <= partitions; ++i) {
    bounds[static_cast<std::size_t>(i)] =
        static_cast<std::int64_t>(static_cast<__int128>(rows) * i / partitions);
  }
  return bounds;
}

// Blocks of the left input, tiny ones together.
std::vector<std::int64_t> BoundsByBlocks(const InputInfos& blocks) {
  std::vector<std::int64_t> bounds{0};
  std::int64_t row = 0, bytes = 0;
  for (const BlockInfo* info : blocks) {
    row += info->num_rows;
    bytes += info->num_bytes;
    if (bytes < kPartitionMinBytes || row == bounds.back()) continue;
    bounds.push_back(row);
    bytes = 0;
  }
  if (row > bounds.back() || bounds.size() == 1) bounds.push_back(row);
  return bounds;
}

Result<std::unique_ptr<ExchangePlan>> MakeAligned(std::vector<InputInfos> inputs) {
  const std::int64_t left = RowsOf(inputs[0]), right = RowsOf(inputs[1]);
  if (left != right) {
    return Status::Invalid("Cannot zip datasets of different number of rows: ", left, ", ", right);
  }
  std::vector<std::int64_t> bounds = BoundsByBlocks(inputs[0]);
  return std::make_unique<RowsPlan>(std::move(inputs), std::move(bounds));
}

}  // namespace

std::int64_t PartitionBytes(const ExchangeOperator& spec, std::int64_t total_bytes,
                            const ExchangePlace& place) {
  const bool shuffles =
      !spec.program->steps.empty() && std::holds_alternative<ShuffleStep>(spec.program->steps[0]);
  std::int64_t least = kPartitionMinBytes;
  std::int64_t most = std::min(kPartitionMaxBytes, spec.target_partition_bytes);
  if (!shuffles) {
    const std::int64_t cpus = std::max<std::int64_t>(place.cpus, 1);
    least = std::max(least, std::min(place.task_bytes, total_bytes / (2 * cpus)));
    most = std::min(most, place.budget_bytes / (4 * cpus));
  }
  most = std::max(most, kPartitionFloorBytes);
  return std::clamp(total_bytes / kPartitionsWanted, std::min(least, most), most);
}

Result<std::unique_ptr<ExchangePlan>> MakeExchangePlan(const ExchangeOperator& spec,
                                                       std::vector<InputInfos> inputs,
                                                       const ExchangePlace& place) {
  switch (spec.kind) {
    case ExchangeKind::kGathered:
      return std::make_unique<GatheredPlan>(std::move(inputs));
    case ExchangeKind::kRows: {
      auto bounds =
          BoundsByNumber(RowsOf(inputs.front()), std::max<std::int64_t>(1, spec.partitions));
      return std::make_unique<RowsPlan>(std::move(inputs), std::move(bounds));
    }
    case ExchangeKind::kAligned:
      return MakeAligned(std::move(inputs));
    case ExchangeKind::kBuckets:
      return MakeBucketsPlan(spec, std::move(inputs), place);
    case ExchangeKind::kRuns:
      return MakeRunsPlan(spec, std::move(inputs), place);
    case ExchangeKind::kBroadcast:
    case ExchangeKind::kPermuted:
    case ExchangeKind::kRowBatches:
      break;
  }
  return Status::Invalid("this kind of exchange has no plan");
}

}  // namespace headrace
