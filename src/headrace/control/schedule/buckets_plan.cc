#include <algorithm>

#include "headrace/control/schedule/exchange_plan_impl.h"
#include "headrace/protocol/program.h"

// Scattered blocks: neighbouring buckets make one partition.

namespace headrace {
namespace {

/// Buckets [begin, end); of the input that is shared out, if one is, blocks [first, last) only.
struct BucketTask {
  std::uint32_t begin = 0, end = 0;
  std::int32_t shared_out = -1;
  std::uint32_t first = 0, last = 0;
};

class BucketsPlan final : public ExchangePlan {
 public:
  BucketsPlan(BlockList blocks, std::vector<BucketTask> tasks)
      : blocks_(std::move(blocks)), tasks_(std::move(tasks)) {}

  std::uint32_t num_tasks() const override { return static_cast<std::uint32_t>(tasks_.size()); }

  ExchangeWork WorkOf(std::uint32_t number) const override {
    const BucketTask& task = tasks_[number];
    PartList parts(blocks_);
    for (std::size_t input = 0; input < blocks_.num_inputs(); ++input) {
      const bool some = task.shared_out == static_cast<std::int32_t>(input);
      const std::uint32_t last = some ? task.last : blocks_.end(input);
      for (std::uint32_t block = some ? task.first : blocks_.begin(input); block < last; ++block) {
        const BlockIndex* index = blocks_.info(block).index.get();
        if (index == nullptr) continue;
        parts.Add(block, index->buckets.at(task.begin), index->buckets.at(task.end));
      }
    }
    return std::move(parts).Finish();
  }

  std::pair<std::uint32_t, std::uint32_t> TasksOf(std::uint32_t) const override {
    return {0, num_tasks() - 1};
  }

 private:
  BlockList blocks_;
  std::vector<BucketTask> tasks_;
};

/// What lies in each bucket.
class BucketSizes {
 public:
  explicit BucketSizes(const BlockList& blocks) : blocks_(blocks) {}

  Status Measure() {
    bytes_.resize(blocks_.num_inputs());
    for (std::size_t input = 0; input < blocks_.num_inputs(); ++input) {
      for (std::uint32_t block = blocks_.begin(input); block < blocks_.end(input); ++block) {
        ARROW_RETURN_NOT_OK(Add(input, blocks_.info(block)));
      }
    }
    for (auto& sizes : bytes_) sizes.resize(num_buckets_, 0);
    return Status::OK();
  }

  std::uint32_t num_buckets() const { return static_cast<std::uint32_t>(num_buckets_); }
  double at(std::size_t input, std::uint32_t bucket) const { return bytes_[input][bucket]; }
  double at(std::uint32_t bucket) const {
    double sum = 0;
    for (const auto& sizes : bytes_) sum += sizes[bucket];
    return sum;
  }
  double total() const { return total_; }

 private:
  Status Add(std::size_t input, const BlockInfo& info) {
    if (info.num_rows == 0) return Status::OK();
    const BlockIndex* index = info.index.get();
    if (index == nullptr || index->buckets.num_rows() != info.num_rows) {
      return Status::Invalid("a block at ", info.position.ToString(), " is not scattered");
    }
    const std::size_t buckets = index->buckets.num_buckets();
    if (num_buckets_ == 0) num_buckets_ = buckets;
    if (buckets != num_buckets_) {
      return Status::Invalid("blocks are scattered to ", num_buckets_, " and to ", buckets,
                             " buckets");
    }
    std::vector<double>& sizes = bytes_[input];
    sizes.resize(num_buckets_, 0);
    const double row_bytes =
        static_cast<double>(info.num_bytes) / static_cast<double>(info.num_rows);
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < index->buckets.filled().size(); ++i) {
      const std::int64_t end = index->buckets.ends()[i];
      sizes[index->buckets.filled()[i]] += row_bytes * static_cast<double>(end - begin);
      begin = end;
    }
    total_ += static_cast<double>(info.num_bytes);
    return Status::OK();
  }

  const BlockList& blocks_;
  std::size_t num_buckets_ = 0;
  std::vector<std::vector<double>> bytes_;  // By input and bucket.
  double total_ = 0;
};

// Returns which input's rows of one bucket may be joined in several tasks, each with all of the
// other's, or -1.
std::int32_t InputToShareOut(const ExchangeOperator& spec, double left, double right) {
  if (spec.program->steps.empty()) return -1;
  const auto* join = std::get_if<JoinStep>(&spec.program->steps.front());
  if (join == nullptr) return -1;
  switch (join->kind) {
    case JoinKind::kInner:
      return left >= right ? 0 : 1;
    case JoinKind::kLeftOuter:
    case JoinKind::kLeftSemi:
    case JoinKind::kLeftAnti:
      return 0;
    case JoinKind::kRightOuter:
    case JoinKind::kRightSemi:
    case JoinKind::kRightAnti:
      return 1;
    case JoinKind::kFullOuter:
      break;
  }
  return -1;
}

/// Cuts the buckets into tasks.
class TaskCutter {
 public:
  TaskCutter(const ExchangeOperator& spec, const BlockList& blocks, const BucketSizes& sizes,
             double target)
      : spec_(spec), blocks_(blocks), sizes_(sizes), target_(target) {}

  std::vector<BucketTask> ByNumber(std::uint32_t partitions) && {
    const std::uint64_t buckets = sizes_.num_buckets();
    for (std::uint64_t p = 0; p < partitions; ++p) {
      tasks_.push_back({static_cast<std::uint32_t>(buckets * p / partitions),
                        static_cast<std::uint32_t>(buckets * (p + 1) / partitions)});
    }
    return std::move(tasks_);
  }

  std::vector<BucketTask> BySize() && {
    std::uint32_t begin = 0;
    double bytes = 0;
    for (std::uint32_t b = 0; b < sizes_.num_buckets(); ++b) {
      const double its = sizes_.at(b);
      // Rows may have no bytes: what is left out goes by buckets, never by bytes.
      if (begin < b && bytes + its > target_) {
        tasks_.push_back({begin, b});
        begin = b;
        bytes = 0;
      }
      if (its > 2 * target_ && ShareOut(b)) {
        begin = b + 1;
        bytes = 0;
        continue;
      }
      bytes += its;
    }
    if (begin < sizes_.num_buckets() || tasks_.empty()) {
      tasks_.push_back({begin, sizes_.num_buckets()});
    }
    return std::move(tasks_);
  }

 private:
  // Makes several tasks of bucket `b`; returns false if that does not help.
  bool ShareOut(std::uint32_t b) {
    if (blocks_.num_inputs() != 2) return false;
    const std::int32_t side = InputToShareOut(spec_, sizes_.at(0, b), sizes_.at(1, b));
    if (side < 0) return false;
    const auto input = static_cast<std::size_t>(side);
    if (sizes_.at(1 - input, b) > target_) return false;
    BucketTask task{b, b + 1, side, blocks_.begin(input), blocks_.begin(input)};
    double bytes = 0;
    for (std::uint32_t block = task.first; block < blocks_.end(input); ++block) {
      const BlockInfo& info = blocks_.info(block);
      task.last = block + 1;
      if (info.num_rows == 0) continue;
      const BucketOffsets& buckets = info.index->buckets;
      bytes += static_cast<double>(info.num_bytes) *
               static_cast<double>(buckets.at(b + 1) - buckets.at(b)) /
               static_cast<double>(info.num_rows);
      if (bytes < target_) continue;
      tasks_.push_back(task);
      task.first = task.last;
      bytes = 0;
    }
    if (task.first < task.last) tasks_.push_back(task);
    return true;
  }

  const ExchangeOperator& spec_;
  const BlockList& blocks_;
  const BucketSizes& sizes_;
  const double target_;
  std::vector<BucketTask> tasks_;
};

}  // namespace

Result<std::unique_ptr<ExchangePlan>> MakeBucketsPlan(const ExchangeOperator& spec,
                                                      std::vector<InputInfos> inputs,
                                                      const ExchangePlace& place) {
  BlockList blocks(std::move(inputs));
  BucketSizes sizes(blocks);
  ARROW_RETURN_NOT_OK(sizes.Measure());
  const std::int64_t target = PartitionBytes(spec, static_cast<std::int64_t>(sizes.total()), place);
  TaskCutter cutter(spec, blocks, sizes, static_cast<double>(target));
  std::vector<BucketTask> tasks =
      spec.partitions > 0 ? std::move(cutter).ByNumber(static_cast<std::uint32_t>(spec.partitions))
                          : std::move(cutter).BySize();
  return std::make_unique<BucketsPlan>(std::move(blocks), std::move(tasks));
}

}  // namespace headrace
