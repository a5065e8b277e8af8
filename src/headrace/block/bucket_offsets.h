#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace headrace {

/// Where the rows of each bucket lie in a scattered block: those of bucket b are [at(b), at(b +
/// 1)). Buckets without rows take no memory, for there may be many more buckets than rows.
class BucketOffsets {
 public:
  BucketOffsets() = default;

  /// Requires: ascending offsets from 0, one more than there are buckets.
  explicit BucketOffsets(std::span<const std::int64_t> offsets)
      : num_buckets_(static_cast<std::uint32_t>(offsets.size() - 1)) {
    for (std::uint32_t bucket = 0; bucket < num_buckets_; ++bucket) {
      if (offsets[bucket] < offsets[bucket + 1]) Add(bucket, offsets[bucket + 1]);
    }
  }
  explicit BucketOffsets(std::uint32_t num_buckets) : num_buckets_(num_buckets) {}

  /// Appends a bucket that has rows, up to row `end`. Requires: ascending buckets and ends.
  void Add(std::uint32_t bucket, std::int64_t end) {
    filled_.push_back(bucket);
    ends_.push_back(end);
  }

  std::uint32_t num_buckets() const { return num_buckets_; }
  std::int64_t num_rows() const { return ends_.empty() ? 0 : ends_.back(); }

  /// Returns the number of rows in buckets before `bucket`; takes time in the logarithm of buckets.
  std::int64_t at(std::uint32_t bucket) const {
    const auto at = std::lower_bound(filled_.begin(), filled_.end(), bucket);
    return at == filled_.begin() ? 0 : ends_[static_cast<std::size_t>(at - filled_.begin()) - 1];
  }

  /// The buckets that have rows, ascending, and up to which row.
  const std::vector<std::uint32_t>& filled() const { return filled_; }
  const std::vector<std::int64_t>& ends() const { return ends_; }

  bool operator==(const BucketOffsets&) const = default;

 private:
  std::uint32_t num_buckets_ = 0;
  std::vector<std::uint32_t> filled_;
  std::vector<std::int64_t> ends_;
};

}  // namespace headrace
