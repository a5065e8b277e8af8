#include "headrace/runtime/store/span_allocator.h"

#include <algorithm>
#include <bit>

#include "headrace/base/check.h"

namespace headrace {

// ---- FreeSpans ------------------------------------------------------------------------------

void FreeSpans::Insert(Span span) {
  by_offset_.emplace(span.offset, span.size);
  by_size_.emplace(span.size, span.offset);
  bytes_ += span.size;
}

void FreeSpans::Erase(std::map<std::int64_t, std::int64_t>::iterator it) {
  by_size_.erase({it->second, it->first});
  bytes_ -= it->second;
  by_offset_.erase(it);
}

void FreeSpans::Add(Span span) {
  if (span.size == 0) return;
  auto next = by_offset_.lower_bound(span.offset);
  if (next != by_offset_.end() && next->first == span.offset + span.size) {
    span.size += next->second;
    auto joined = next++;
    Erase(joined);
  }
  if (next != by_offset_.begin()) {
    auto prev = std::prev(next);
    HEADRACE_CHECK(prev->first + prev->second <= span.offset);
    if (prev->first + prev->second == span.offset) {
      span.offset = prev->first;
      span.size += prev->second;
      Erase(prev);
    }
  }
  Insert(span);
}

std::int64_t FreeSpans::TakeBestFit(std::int64_t size) {
  auto it = by_size_.lower_bound({size, 0});
  if (it == by_size_.end()) return -1;
  const Span span{it->second, it->first};
  Erase(by_offset_.find(span.offset));
  if (span.size > size) Insert({span.offset + size, span.size - size});
  return span.offset;
}

bool FreeSpans::TakeAt(std::int64_t offset, std::int64_t size) {
  auto it = by_offset_.find(offset);
  if (it == by_offset_.end() || it->second < size) return false;
  const std::int64_t rest = it->second - size;
  Erase(it);
  if (rest > 0) Insert({offset + size, rest});
  return true;
}

Span FreeSpans::TakeLast(std::int64_t size) {
  auto it = std::prev(by_offset_.end());
  const Span span{it->first, it->second};
  Erase(it);
  if (span.size <= size) return span;
  Insert({span.offset, span.size - size});
  return {span.offset + span.size - size, size};
}

Span FreeSpans::TakeEndingAt(std::int64_t end) {
  auto it = by_offset_.lower_bound(end);
  if (it == by_offset_.begin()) return {};
  --it;
  if (it->first + it->second != end) return {};
  const Span span{it->first, it->second};
  Erase(it);
  return span;
}

// ---- Spans ----------------------------------------------------------------------------------

std::int64_t SpanAllocator::AllocateSpan(std::int64_t size, std::int64_t alignment) {
  const std::int64_t padded = alignment > kPage ? size + alignment - kPage : size;
  std::int64_t offset = warm_.TakeBestFit(padded);
  bool warm = true;
  if (offset < 0) {
    warm = false;
    offset = cold_.TakeBestFit(padded);
  }
  if (offset < 0) {
    if (size_ - top_ < padded) return -1;
    offset = top_;
    top_ += padded;
  }
  if (padded > size) {
    FreeSpans& rest = warm ? warm_ : cold_;
    const std::int64_t aligned = (offset + alignment - 1) & ~(alignment - 1);
    rest.Add({offset, aligned - offset});
    rest.Add({aligned + size, offset + padded - aligned - size});
    offset = aligned;
  }
  used_ += size;
  return offset;
}

void SpanAllocator::FreeSpan(std::int64_t offset, std::int64_t size) {
  used_ -= size;
  warm_.Add({offset, size});
}

std::vector<Span> SpanAllocator::TakeExcess(std::int64_t keep) {
  std::vector<Span> spans;
  while (warm_.bytes() > keep) spans.push_back(warm_.TakeLast(warm_.bytes() - keep));
  return spans;
}

void SpanAllocator::AddCold(Span span) {
  cold_.Add(span);
  const Span last = cold_.TakeEndingAt(top_);
  top_ -= last.size;
}

// ---- Slabs ----------------------------------------------------------------------------------

std::int32_t SpanAllocator::ClassOf(std::int64_t size) {
  if (size <= 512) return static_cast<std::int32_t>((size + 63) / 64 - 1);
  // (2^k, 2^(k+1)] in four steps, k >= 9.
  const auto k = 63 - std::countl_zero(static_cast<std::uint64_t>(size - 1));
  const std::int64_t step = std::int64_t{1} << (k - 2);
  const std::int64_t quarter = (size - 1 - (std::int64_t{1} << k)) / step;
  return static_cast<std::int32_t>(8 + 4 * (k - 9) + quarter);
}

std::int64_t SpanAllocator::SlotSize(std::int32_t slot_class) {
  if (slot_class < 8) return 64 * (slot_class + 1);
  const int k = 9 + (slot_class - 8) / 4;
  return (std::int64_t{1} << k) + ((slot_class - 8) % 4 + 1) * (std::int64_t{1} << (k - 2));
}

void SpanAllocator::Link(std::int32_t slab) {
  Slab& s = slabs_[slab];
  std::int32_t& head = partial_[s.slot_class];
  s.prev = -1;
  s.next = head;
  if (head >= 0) slabs_[head].prev = slab;
  head = slab;
}

void SpanAllocator::Unlink(std::int32_t slab) {
  Slab& s = slabs_[slab];
  if (s.prev >= 0) {
    slabs_[s.prev].next = s.next;
  } else {
    partial_[s.slot_class] = s.next;
  }
  if (s.next >= 0) slabs_[s.next].prev = s.prev;
}

bool SpanAllocator::AddSlab(std::int32_t slot_class) {
  const std::int64_t offset = AllocateSpan(kSlab, kSlab);
  if (offset < 0) return false;
  const auto index = static_cast<std::int32_t>(offset / kSlab);
  if (static_cast<std::size_t>(index) >= slabs_.size()) slabs_.resize(index + 1);
  Slab& slab = slabs_[index];
  slab.slot_class = slot_class;
  slab.used = 0;
  const auto slots = static_cast<std::int32_t>(kSlab / SlotSize(slot_class));
  slab.free.resize(slots);
  for (std::int32_t i = 0; i < slots; ++i) {
    slab.free[i] = static_cast<std::uint16_t>(slots - 1 - i);
  }
  Link(index);
  return true;
}

std::int64_t SpanAllocator::AllocateSlot(std::int32_t slot_class) {
  if (partial_[slot_class] < 0 && !AddSlab(slot_class)) return -1;
  const std::int32_t index = partial_[slot_class];
  Slab& slab = slabs_[index];
  const std::int64_t slot = slab.free.back();
  slab.free.pop_back();
  ++slab.used;
  if (slab.free.empty()) Unlink(index);
  return index * kSlab + slot * SlotSize(slot_class);
}

void SpanAllocator::FreeSlot(std::int64_t offset) {
  const auto index = static_cast<std::int32_t>(offset / kSlab);
  Slab& slab = slabs_[index];
  HEADRACE_CHECK(slab.slot_class >= 0 && slab.used > 0);
  const std::int64_t slot = (offset - index * kSlab) / SlotSize(slab.slot_class);
  if (slab.free.empty()) Link(index);
  slab.free.push_back(static_cast<std::uint16_t>(slot));
  --slab.used;
  const bool only_one = partial_[slab.slot_class] == index && slab.next < 0;
  if (slab.used == 0 && !only_one) {
    Unlink(index);
    slab.slot_class = -1;
    slab.free = {};
    FreeSpan(index * kSlab, kSlab);
  }
}

// ---- The whole ------------------------------------------------------------------------------

std::int64_t SpanAllocator::Allocate(std::int64_t size) {
  HEADRACE_CHECK(size > 0);
  if (size <= kMaxSmall) return AllocateSlot(ClassOf(size));
  if (size > size_) return -1;
  return AllocateSpan(RoundToPage(size), kPage);
}

void SpanAllocator::Free(std::int64_t offset, std::int64_t size) {
  if (size <= kMaxSmall) {
    FreeSlot(offset);
  } else {
    FreeSpan(offset, RoundToPage(size));
  }
}

bool SpanAllocator::Resize(std::int64_t offset, std::int64_t old_size, std::int64_t new_size) {
  if (old_size <= kMaxSmall || new_size <= kMaxSmall) {
    return old_size <= kMaxSmall && new_size <= kMaxSmall && ClassOf(old_size) == ClassOf(new_size);
  }
  const std::int64_t old_span = RoundToPage(old_size);
  if (new_size > size_) return false;
  const std::int64_t new_span = RoundToPage(new_size);
  if (new_span < old_span) {
    FreeSpan(offset + new_span, old_span - new_span);
    return true;
  }
  const std::int64_t more = new_span - old_span;
  const std::int64_t end = offset + old_span;
  if (more == 0 || warm_.TakeAt(end, more) || cold_.TakeAt(end, more)) {
    used_ += more;
    return true;
  }
  if (end != top_ || size_ - top_ < more) return false;
  top_ += more;
  used_ += more;
  return true;
}

}  // namespace headrace
