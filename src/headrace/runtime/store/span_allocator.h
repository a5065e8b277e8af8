#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace headrace {

/// A range [offset, offset + size) of an arena.
struct Span {
  std::int64_t offset = 0;
  std::int64_t size = 0;
};

/// Free ranges of an arena, by offset and by size. Neighbours are joined. Not thread-safe.
class FreeSpans {
 public:
  /// Adds `span`, joined with its neighbours. Requires: it overlaps no free span.
  void Add(Span span);

  /// Takes the smallest range of `size` bytes that fits; its offset, or -1.
  std::int64_t TakeBestFit(std::int64_t size);

  /// Takes [offset, offset + size) if all of it is free and a free span begins there.
  bool TakeAt(std::int64_t offset, std::int64_t size);

  /// Takes up to `size` bytes from the end of the span with the highest offset.
  /// Requires: bytes() > 0.
  Span TakeLast(std::int64_t size);

  /// Takes the span that ends at `end`; size 0 if there is none.
  Span TakeEndingAt(std::int64_t end);

  std::int64_t bytes() const { return bytes_; }

 private:
  void Insert(Span span);
  void Erase(std::map<std::int64_t, std::int64_t>::iterator it);

  std::map<std::int64_t, std::int64_t> by_offset_;           // offset → size
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;  // (size, offset)
  std::int64_t bytes_ = 0;
};

/// Gives out ranges of one large address range, without touching it. Not thread-safe.
///
/// Small requests (up to kMaxSmall) come from slabs of equal slots; others are spans of whole
/// pages. Free memory is warm (its pages exist: preferred, they are cheap to write) or cold.
///
///   [ used | warm | used | cold | used | cold … to the end, above top_ ]
///
/// Invariant: every byte below top_ is used, warm, cold, or taken by TakeExcess().
class SpanAllocator {
 public:
  static constexpr std::int64_t kPage = 4096;
  static constexpr std::int64_t kSlab = 256 * 1024;
  static constexpr std::int64_t kMaxSmall = 32 * 1024;
  static constexpr std::int64_t kAlignment = 64;

  explicit SpanAllocator(std::int64_t size) : size_(size) {}

  /// Returns the offset of `size` bytes, aligned to kAlignment (small) or kPage, or -1 if no
  /// range is large enough. Requires: size > 0.
  std::int64_t Allocate(std::int64_t size);

  /// Returns what Allocate(size) gave.
  void Free(std::int64_t offset, std::int64_t size);

  /// Changes the size in place if that is possible.
  bool Resize(std::int64_t offset, std::int64_t old_size, std::int64_t new_size);

  /// Takes warm spans until at most `keep` bytes of warm memory are left. The caller gives their
  /// pages back, then calls AddCold() with each.
  std::vector<Span> TakeExcess(std::int64_t keep);
  void AddCold(Span span);

  std::int64_t warm_bytes() const { return warm_.bytes(); }
  /// Bytes in use, rounded up to slots and pages; a slab counts as a whole.
  std::int64_t used_bytes() const { return used_; }

 private:
  struct Slab {
    std::int32_t slot_class = -1;  // -1: no slab here.
    std::int32_t used = 0;
    std::vector<std::uint16_t> free;
    std::int32_t prev = -1;  // In the list of slabs of this class that have a free slot.
    std::int32_t next = -1;
  };

  static std::int32_t ClassOf(std::int64_t size);
  static std::int64_t SlotSize(std::int32_t slot_class);
  static std::int64_t RoundToPage(std::int64_t size) { return (size + kPage - 1) & ~(kPage - 1); }

  std::int64_t AllocateSpan(std::int64_t size, std::int64_t alignment);
  void FreeSpan(std::int64_t offset, std::int64_t size);
  std::int64_t AllocateSlot(std::int32_t slot_class);
  void FreeSlot(std::int64_t offset);
  bool AddSlab(std::int32_t slot_class);
  void Link(std::int32_t slab);
  void Unlink(std::int32_t slab);

  static constexpr std::int32_t kClasses = 8 + 4 * 6;  // To 512 by 64; then 4 per doubling.
  std::int64_t size_;
  std::int64_t top_ = 0;
  std::int64_t used_ = 0;
  FreeSpans warm_;
  FreeSpans cold_;
  std::vector<Slab> slabs_;  // By offset / kSlab.
  std::int32_t partial_[kClasses] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
};

}  // namespace headrace
