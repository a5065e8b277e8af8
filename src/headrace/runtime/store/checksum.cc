#include "headrace/runtime/store/checksum.h"

#include <emmintrin.h>

#include <algorithm>
#include <cstring>

namespace headrace {

void Checksum::AddBlocks(const unsigned char* bytes, std::int64_t blocks) {
  constexpr int kWide = kLanes / 2;
  __m128i sums[kWide], sums_of_sums[kWide];
  std::memcpy(sums, sums_, sizeof sums);
  std::memcpy(sums_of_sums, sums_of_sums_, sizeof sums_of_sums);
  for (; blocks > 0; --blocks, bytes += kBlock) {
    const auto* words = reinterpret_cast<const __m128i*>(bytes);
    sums[0] = _mm_add_epi64(sums[0], _mm_loadu_si128(words));
    sums[1] = _mm_add_epi64(sums[1], _mm_loadu_si128(words + 1));
    sums[2] = _mm_add_epi64(sums[2], _mm_loadu_si128(words + 2));
    sums[3] = _mm_add_epi64(sums[3], _mm_loadu_si128(words + 3));
    sums_of_sums[0] = _mm_add_epi64(sums_of_sums[0], sums[0]);
    sums_of_sums[1] = _mm_add_epi64(sums_of_sums[1], sums[1]);
    sums_of_sums[2] = _mm_add_epi64(sums_of_sums[2], sums[2]);
    sums_of_sums[3] = _mm_add_epi64(sums_of_sums[3], sums[3]);
  }
  std::memcpy(sums_, sums, sizeof sums);
  std::memcpy(sums_of_sums_, sums_of_sums, sizeof sums_of_sums);
}

void Checksum::Update(const void* data, std::int64_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  num_bytes_ += size;
  if (in_rest_ > 0) {
    const std::int64_t part = std::min(size, kBlock - in_rest_);
    std::memcpy(rest_ + in_rest_, bytes, static_cast<std::size_t>(part));
    in_rest_ += part;
    bytes += part;
    size -= part;
    if (in_rest_ < kBlock) return;
    AddBlocks(rest_, 1);
    in_rest_ = 0;
  }
  AddBlocks(bytes, size / kBlock);
  in_rest_ = size % kBlock;
  if (in_rest_ > 0) {
    std::memcpy(rest_, bytes + (size - in_rest_), static_cast<std::size_t>(in_rest_));
  }
}

std::uint64_t Checksum::Finish() {
  if (in_rest_ > 0) {
    std::memset(rest_ + in_rest_, 0, static_cast<std::size_t>(kBlock - in_rest_));
    AddBlocks(rest_, 1);
  }
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15ULL;
  auto result = static_cast<std::uint64_t>(num_bytes_);
  for (int i = 0; i < kLanes; ++i) {
    result = (result ^ (result >> 29) ^ sums_[i]) * kFactor;
    result = (result ^ (result >> 32) ^ sums_of_sums_[i]) * kFactor;
  }
  *this = Checksum();
  return result;
}

}  // namespace headrace
