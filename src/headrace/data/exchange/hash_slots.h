#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "headrace/base/check.h"

// What the hash tables of grouping and joining are made of.

namespace headrace::group_table {

// ---- Hashes. They must not agree with key_hash.h: all rows of a bucket are alike in its high
// bits.

inline std::uint64_t Mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t HashBits(std::uint64_t bits) {
  return Mix(bits ^ 0x8F3B2C6D9A17E455ULL, 0xD6E8FEB86659FD93ULL);
}

inline std::uint64_t LoadWord(const char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

inline std::uint64_t LoadTail(const char* bytes, std::size_t size) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, size);
  return word;
}

inline std::uint64_t HashBytes(std::string_view bytes) {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t hash = 0x8F3B2C6D9A17E455ULL ^ (left * 0x9E3779B97F4A7C15ULL);
  for (; left > 8; left -= 8, at += 8) hash = Mix(hash ^ LoadWord(at), 0xD6E8FEB86659FD93ULL);
  const std::uint64_t tail = left == 8 ? LoadWord(at) : LoadTail(at, left);
  return Mix(hash ^ tail, 0xA0761D6478BD642FULL);
}

/// Open addressing over a power of two of slots, in order of the high bits of the hash: so growing
/// reads and writes memory from front to back. A `Slot` is plain data with a `number`; all of it is
/// 0 where nothing is in it.
template <class Slot>
class Slots {
 public:
  Slots() { Allocate(10); }
  ~Slots() { Free(slots_, mask_ + 1); }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;

  std::size_t IndexOf(std::uint64_t hash) const { return hash >> shift_; }
  std::size_t After(std::size_t index) const { return (index + 1) & mask_; }
  Slot& operator[](std::size_t index) { return slots_[index]; }
  const Slot& operator[](std::size_t index) const { return slots_[index]; }
  bool HasRoom(std::size_t groups) const { return groups * 8 <= (mask_ + 1) * 5; }

  /// Makes at least twice as many. `hash_of` returns the hash of a slot's key.
  template <class HashOf>
  void Grow(const HashOf& hash_of) {
    Slot* const old = slots_;
    const std::size_t count = mask_ + 1;
    const int bits = 64 - shift_;
    Allocate(bits + (bits < 18 ? 2 : 1));
    for (std::size_t i = 0; i < count; ++i) {
      if (old[i].number == 0) continue;
      std::size_t index = IndexOf(hash_of(old[i]));
      while (slots_[index].number != 0) index = After(index);
      slots_[index] = old[i];
    }
    Free(old, count);
  }

 private:
  static constexpr std::size_t kHugeBytes = 4U << 20;

  // Large tables come from the system, zeroed, in huge pages: they are read all over the place.
  void Allocate(int bits) {
    const std::size_t bytes = sizeof(Slot) << bits;
    void* memory;
    if (bytes < kHugeBytes) {
      memory = std::calloc(bytes, 1);
      HEADRACE_CHECK(memory != nullptr);
    } else {
      memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      HEADRACE_CHECK(memory != MAP_FAILED);
      madvise(memory, bytes, MADV_HUGEPAGE);
    }
    slots_ = static_cast<Slot*>(memory);
    shift_ = 64 - bits;
    mask_ = (std::size_t{1} << bits) - 1;
  }

  static void Free(Slot* slots, std::size_t count) {
    if (count * sizeof(Slot) < kHugeBytes) {
      std::free(slots);
    } else {
      munmap(slots, count * sizeof(Slot));
    }
  }

  Slot* slots_ = nullptr;
  std::size_t mask_ = 0;
  int shift_ = 0;
};

}  // namespace headrace::group_table
