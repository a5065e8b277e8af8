#include <arrow/type.h>

#include <algorithm>
#include <string>

#include "headrace/control/schedule/exchange_plan_impl.h"
#include "headrace/control/schedule/merge_pass.h"
#include "headrace/protocol/program.h"

// Sorted runs: ranges of keys. A run is what one task sorted: blocks whose positions differ in
// their last number only. Runs are numbered in order of position, so that the merge is stable.

namespace headrace {
namespace {

/// The order of (key, run), without copies.
bool IsBefore(const std::string& key, std::uint32_t run, const RunBound& bound) {
  const int order = key.compare(bound.key);
  return order != 0 ? order < 0 : run < bound.run;
}

class RunsPlan final : public ExchangePlan {
 public:
  RunsPlan(BlockList blocks, std::vector<std::uint32_t> runs, std::vector<RunBound> bounds)
      : blocks_(std::move(blocks)), runs_(std::move(runs)), bounds_(std::move(bounds)) {
    std::vector<const arrow::Schema*> seen;
    for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
      const arrow::Schema* schema = blocks_.info(block).schema.get();
      const bool known = std::any_of(seen.begin(), seen.end(), [&](const arrow::Schema* other) {
        return other == schema || (other && schema && other->Equals(*schema, false));
      });
      if (known) continue;
      seen.push_back(schema);
      first_of_schema_.push_back(block);
    }
  }

  std::uint32_t num_tasks() const override {
    return static_cast<std::uint32_t>(bounds_.size()) + 1;
  }

  ExchangeWork WorkOf(std::uint32_t task) const override {
    KeyRange keys;
    if (task > 0) keys.low = bounds_[task - 1];
    if (task < bounds_.size()) keys.high = bounds_[task];
    PartList parts(blocks_);
    for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
      const std::int64_t begin = keys.low ? CountBefore(block, *keys.low, false) : 0;
      const std::int64_t end =
          keys.high ? CountBefore(block, *keys.high, true) : blocks_.info(block).num_rows;
      if (begin < end || !IsFirstOfItsSchema(block)) {
        parts.Add(block, begin, end);
      } else {
        parts.AddEmpty(block);
      }
    }
    ExchangeWork work = std::move(parts).Finish();
    for (const BlockPart& part : work.parts) keys.runs.push_back(runs_[part.block]);
    work.keys = std::move(keys);
    return work;
  }

  std::pair<std::uint32_t, std::uint32_t> TasksOf(std::uint32_t block) const override {
    if (IsFirstOfItsSchema(block)) return {0, num_tasks() - 1};
    const BlockIndex* index = blocks_.info(block).index.get();
    if (blocks_.info(block).num_rows == 0) return {1, 0};
    return {TaskOf(index->keys.front(), runs_[block]), TaskOf(index->keys.back(), runs_[block])};
  }

 private:
  // Each task gets a block of each schema, perhaps without rows: so that all of them unify the
  // schemas alike, or say that keys of their types have no common order.
  bool IsFirstOfItsSchema(std::uint32_t block) const {
    return std::binary_search(first_of_schema_.begin(), first_of_schema_.end(), block);
  }

  std::uint32_t TaskOf(const std::string& key, std::uint32_t run) const {
    const auto at = std::upper_bound(
        bounds_.begin(), bounds_.end(), key,
        [run](const std::string& k, const RunBound& bound) { return IsBefore(k, run, bound); });
    return static_cast<std::uint32_t>(at - bounds_.begin());
  }

  // Returns a row such that all rows from it on are not before `bound` (`at_most`), or all rows
  // before it are before `bound`: as near to the bound as the index tells.
  std::int64_t CountBefore(std::uint32_t block, const RunBound& bound, bool at_most) const {
    const BlockInfo& info = blocks_.info(block);
    if (info.num_rows == 0) return 0;
    const BlockIndex& index = *info.index;
    const auto first_after = std::partition_point(
        index.keys.begin(), index.keys.end(),
        [&](const std::string& key) { return IsBefore(key, runs_[block], bound); });
    if (first_after == index.keys.end()) return info.num_rows;
    const auto sample = static_cast<std::int64_t>(first_after - index.keys.begin());
    if (at_most) return RowOf(sample, info);
    return sample == 0 ? 0 : RowOf(sample - 1, info) + 1;
  }

  static std::int64_t RowOf(std::int64_t sample, const BlockInfo& info) {
    return std::min(sample * info.index->stride, info.num_rows - 1);
  }

  BlockList blocks_;
  std::vector<std::uint32_t> runs_;             // By block.
  std::vector<RunBound> bounds_;                // Between the tasks, ascending.
  std::vector<std::uint32_t> first_of_schema_;  // Blocks, ascending.
};

/// A key of some block's index, and the bytes of the rows from it to the next one.
struct Sample {
  const std::string* key;
  std::uint32_t run;
  double bytes;
};

std::vector<Sample> CollectSamples(const BlockList& blocks, const std::vector<std::uint32_t>& runs,
                                   double* total) {
  std::vector<Sample> samples;
  for (std::uint32_t block = 0; block < blocks.size(); ++block) {
    const BlockInfo& info = blocks.info(block);
    if (info.num_rows == 0) continue;
    const BlockIndex& index = *info.index;
    const double row_bytes =
        static_cast<double>(info.num_bytes) / static_cast<double>(info.num_rows);
    std::int64_t row = 0;
    for (const std::string& key : index.keys) {
      const std::int64_t next = std::min(row + index.stride, info.num_rows);
      samples.push_back({&key, runs[block], row_bytes * static_cast<double>(next - row)});
      row = next;
    }
    *total += static_cast<double>(info.num_bytes);
  }
  std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) {
    const int order = a.key->compare(*b.key);
    return order != 0 ? order < 0 : a.run < b.run;
  });
  return samples;
}

// Returns bounds between parts of about `target` bytes each.
std::vector<RunBound> ChooseBounds(const std::vector<Sample>& samples, double total,
                                   double target) {
  if (total <= 0) return {};
  const double parts = std::max(1.0, total / target);
  const double each = total / static_cast<double>(static_cast<std::int64_t>(parts + 0.999));
  std::vector<RunBound> bounds;
  double before = 0;
  RunBound last;
  if (!samples.empty()) last = {*samples.front().key, samples.front().run};
  for (const Sample& sample : samples) {
    // The last key of a block has no rows behind it: a part of its own is not worth a task.
    if (before >= each && sample.bytes > 0 && !IsBefore(*sample.key, sample.run, last)) {
      RunBound bound{*sample.key, sample.run};
      if (last < bound) {
        last = bound;
        bounds.push_back(std::move(bound));
        before -= each;
      }
    }
    before += sample.bytes;
  }
  return bounds;
}

}  // namespace

Result<std::unique_ptr<ExchangePlan>> MakeRunsPlan(const ExchangeOperator& spec,
                                                   std::vector<InputInfos> inputs,
                                                   const ExchangePlace& place) {
  const std::vector<std::uint32_t> firsts = FindRuns(inputs.front());
  BlockList blocks(std::move(inputs));
  std::vector<std::uint32_t> runs;
  for (std::uint32_t block = 0; block < blocks.size(); ++block) {
    const BlockInfo& info = blocks.info(block);
    const BlockIndex* index = info.index.get();
    const bool sorted = index != nullptr && !index->keys.empty() && index->stride > 0;
    if (info.num_rows > 0 && !sorted) {
      return Status::Invalid("a block at ", info.position.ToString(), " is not sorted");
    }
    const auto after = std::upper_bound(firsts.begin(), firsts.end(), block);
    runs.push_back(static_cast<std::uint32_t>(after - firsts.begin()) - 1);
  }
  std::vector<RunBound> bounds;
  if (!spec.boundaries.empty()) {
    for (const std::string& key : spec.boundaries) bounds.push_back({key, 0});
  } else {
    double total = 0;
    const std::vector<Sample> samples = CollectSamples(blocks, runs, &total);
    const std::int64_t target = PartitionBytes(spec, static_cast<std::int64_t>(total), place);
    bounds = ChooseBounds(samples, total, static_cast<double>(target));
  }
  return std::make_unique<RunsPlan>(std::move(blocks), std::move(runs), std::move(bounds));
}

}  // namespace headrace
