#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "headrace/control/schedule/exchange_plan.h"

// What the plans of the kinds of exchange have in common. Private to this folder.

namespace headrace {

/// The blocks of all inputs by their index.
class BlockList {
 public:
  explicit BlockList(std::vector<InputInfos> inputs) : begins_{0} {
    for (const InputInfos& input : inputs) {
      infos_.insert(infos_.end(), input.begin(), input.end());
      begins_.push_back(static_cast<std::uint32_t>(infos_.size()));
    }
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(infos_.size()); }
  std::size_t num_inputs() const { return begins_.size() - 1; }
  std::uint32_t begin(std::size_t input) const { return begins_[input]; }
  std::uint32_t end(std::size_t input) const { return begins_[input + 1]; }
  const BlockInfo& info(std::uint32_t block) const { return *infos_[block]; }
  /// Returns true for the first block of an input.
  bool is_first(std::uint32_t block) const {
    for (std::size_t input = 0; input < num_inputs(); ++input) {
      if (begin(input) == block) return true;
    }
    return false;
  }

 private:
  InputInfos infos_;
  std::vector<std::uint32_t> begins_;  // By input, and the end of the last.
};

/// Gathers the parts of a task, in order of the blocks; see ExchangePlan::WorkOf.
class PartList {
 public:
  explicit PartList(const BlockList& blocks) : blocks_(blocks) {}

  void Add(std::uint32_t block, std::int64_t begin, std::int64_t end) {
    if (begin >= end) return;
    CloseInputsBefore(block);
    work_.parts.push_back({block, {begin, end}});
    has_rows_ = true;
  }

  /// Adds the block without rows, for its schema.
  void AddEmpty(std::uint32_t block) {
    CloseInputsBefore(block);
    work_.parts.push_back({block, {0, 0}});
    has_rows_ = true;
  }

  /// Returns true if the input that is being added has a part.
  bool has_rows() const { return has_rows_; }

  ExchangeWork Finish() && {
    CloseInputsBefore(blocks_.size());
    if (input_ == 0) work_.left_parts = static_cast<std::uint32_t>(work_.parts.size());
    return std::move(work_);
  }

 private:
  // An input without rows here gives its first block, for the schema.
  void CloseInputsBefore(std::uint32_t block) {
    while (input_ < blocks_.num_inputs() && blocks_.end(input_) <= block) {
      if (!has_rows_ && blocks_.begin(input_) < blocks_.end(input_)) {
        work_.parts.push_back({blocks_.begin(input_), {0, 0}});
      }
      has_rows_ = false;
      if (input_ == 0) work_.left_parts = static_cast<std::uint32_t>(work_.parts.size());
      ++input_;
    }
  }

  const BlockList& blocks_;
  ExchangeWork work_;
  std::size_t input_ = 0;
  bool has_rows_ = false;
};

/// Returns the bytes that a partition of `total_bytes` should have; see exchange_plan.h.
std::int64_t PartitionBytes(const ExchangeOperator& spec, std::int64_t total_bytes,
                            const ExchangePlace& place);

Result<std::unique_ptr<ExchangePlan>> MakeBucketsPlan(const ExchangeOperator& spec,
                                                      std::vector<InputInfos> inputs,
                                                      const ExchangePlace& place);
Result<std::unique_ptr<ExchangePlan>> MakeRunsPlan(const ExchangeOperator& spec,
                                                   std::vector<InputInfos> inputs,
                                                   const ExchangePlace& place);

}  // namespace headrace
