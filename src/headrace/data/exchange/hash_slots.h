#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "headrace/base/check.h"

// What the hash tables of grouping and joining are made of.

namespace headrace::group_table {

// ---- Hashes. They must not agree with key_hash.h: all rows of a bucket are alike in its high
// bits. To differ in what is added to a number is not enough for that: by one factor, numbers close
// together keep their distances, and those of a bucket would crowd in a few places of the table.

inline std::uint64_t Mix(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t HashBits(std::uint64_t bits) {
  return Mix(bits ^ 0x8F3B2C6D9A17E455ULL, 0xA0761D6478BD642FULL);
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

/// Plain values, at first all 0, that are read all over the place: many come from the system, in
/// huge pages, and those pages that are not touched cost nothing.
template <class T>
class Zeroed {
 public:
  explicit Zeroed(std::size_t size) : size_(size) {
    const std::size_t bytes = size * sizeof(T);
    void* memory;
    if (bytes < kHugeBytes) {
      memory = std::calloc(bytes + 1, 1);  // Of nothing, it may be null.
      HEADRACE_CHECK(memory != nullptr);
    } else {
      memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      HEADRACE_CHECK(memory != MAP_FAILED);
      madvise(memory, bytes, MADV_HUGEPAGE);
    }
    data_ = static_cast<T*>(memory);
  }
  ~Zeroed() {
    if (size_ * sizeof(T) < kHugeBytes) {
      std::free(data_);
    } else {
      munmap(data_, size_ * sizeof(T));
    }
  }
  Zeroed(const Zeroed&) = delete;
  Zeroed& operator=(const Zeroed&) = delete;
  void Swap(Zeroed* other) {
    std::swap(data_, other->data_);
    std::swap(size_, other->size_);
  }

  std::size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }

 private:
  static constexpr std::size_t kHugeBytes = 4U << 20;

  T* data_;
  std::size_t size_;
};

/// Open addressing over a power of two of slots, in order of the high bits of the hash: so growing
/// reads and writes memory from front to back. A `Slot` is plain data with a `number`; all of it is
/// 0 where nothing is in it.
template <class Slot>
class Slots {
 public:
  std::size_t IndexOf(std::uint64_t hash) const { return hash >> shift_; }
  std::size_t After(std::size_t index) const { return (index + 1) & mask_; }
  Slot& operator[](std::size_t index) { return slots_.data()[index]; }
  const Slot& operator[](std::size_t index) const { return slots_.data()[index]; }

  /// Returns IndexOf(hash), and has the slot fetched meanwhile.
  std::size_t Seek(std::uint64_t hash) const {
    const std::size_t index = IndexOf(hash);
    __builtin_prefetch(&(*this)[index]);
    return index;
  }

  /// Makes room for so many groups. `hash_of` returns the hash of a slot's key.
  template <class HashOf>
  void Reserve(std::size_t groups, const HashOf& hash_of) {
    while (groups * 8 > (mask_ + 1) * 5) Grow(hash_of);
  }

 private:
  static constexpr int kFirstBits = 10;

  // Makes at least twice as many.
  template <class HashOf>
  void Grow(const HashOf& hash_of) {
    const int bits = 64 - shift_;
    const int more = bits + (bits < 18 ? 2 : 1);
    Zeroed<Slot> old(std::size_t{1} << more);
    slots_.Swap(&old);
    shift_ = 64 - more;
    mask_ = slots_.size() - 1;
    for (std::size_t i = 0; i < old.size(); ++i) {
      const Slot& slot = old.data()[i];
      if (slot.number == 0) continue;
      std::size_t index = IndexOf(hash_of(slot));
      while ((*this)[index].number != 0) index = After(index);
      (*this)[index] = slot;
    }
  }

  Zeroed<Slot> slots_{std::size_t{1} << kFirstBits};
  std::size_t mask_ = (std::size_t{1} << kFirstBits) - 1;
  int shift_ = 64 - kFirstBits;
};

/// A slot of a key that stands in it.
template <class Key>
struct KeySlot {
  Key key;
  std::uint32_t number;  // The group's, and 1.
};

/// Returns the group of `key`, looked for from `index` on. Where it has none: with const `slots`
/// GroupTable::kNoGroup, else `add()`, which makes it one.
template <class Slots, class Key, class Same, class Add>
std::uint32_t GroupOf(Slots& slots, const Key& key, std::size_t index, const Same& same,
                      const Add& add) {
  for (;; index = slots.After(index)) {
    auto& slot = slots[index];
    if (slot.number == 0) {
      if constexpr (!std::is_const_v<Slots>) {
        slot.key = key;
        slot.number = add() + 1;
      }
      return slot.number - 1;  // Of 0, kNoGroup.
    }
    if (same(slot.key, key)) return slot.number - 1;
  }
}

}  // namespace headrace::group_table
