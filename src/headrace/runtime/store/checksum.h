#pragma once

#include <cstdint>

namespace headrace {

/// A checksum of bytes in memory that costs little more than reading them: it finds bytes that
/// changed or moved by accident, and guards against nobody. Equal for equal bytes, however they are
/// cut into calls of Update().
class Checksum {
 public:
  void Update(const void* data, std::int64_t size);
  /// Returns the checksum of all bytes since the last call, and begins anew.
  std::uint64_t Finish();

 private:
  static constexpr int kLanes = 8;
  static constexpr std::int64_t kBlock = kLanes * 8;

  void AddBlocks(const unsigned char* bytes, std::int64_t blocks);

  std::uint64_t sums_[kLanes] = {};          // Of the words at each place of a block.
  std::uint64_t sums_of_sums_[kLanes] = {};  // So that their order counts.
  unsigned char rest_[kBlock] = {};          // Of a block that is not whole yet.
  std::int64_t in_rest_ = 0;
  std::int64_t num_bytes_ = 0;
};

}  // namespace headrace
