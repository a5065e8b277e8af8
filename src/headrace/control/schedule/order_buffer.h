#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "headrace/block/bundle.h"

namespace headrace {

/// Restores the order of an operator's outputs: blocks of task 0, then those of task 1, ...
/// whatever the order in which tasks yield and end.
///
/// Given inputs in order and tasks numbered in that order, the outputs are in order of position.
/// A block of the oldest task that has not ended passes at once; others wait, unless they are
/// large: a slow task then holds back no more than the small blocks behind it. Large and small
/// blocks say when they leave how they may be joined, and that depends on the data alone, not on
/// the time.
class OrderBuffer {
 public:
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

  /// Blocks of `large_rows` and more pass at once. kNone: none does, and blocks leave as they came.
  explicit OrderBuffer(std::int64_t large_rows = kNone) : large_rows_(large_rows) {}

  /// Takes a block of task `ordinal`. Requires: the task has not ended.
  void Add(std::uint64_t ordinal, RefBundle::Item block);
  /// No more blocks of task `ordinal` will come.
  void End(std::uint64_t ordinal);

  /// Returns true if a block may leave now.
  bool HasNext() const {
    return !ahead_.empty() ||
           (!slots_.empty() && slots_.front().next < slots_.front().blocks.size());
  }
  /// Requires: HasNext().
  [[nodiscard]] RefBundle::Item TakeNext();

  /// Takes everything, in order, as if all tasks had ended.
  [[nodiscard]] std::vector<RefBundle::Item> TakeAll();

  template <class Visit>
  void ForEach(Visit visit) const {
    for (const RefBundle::Item& block : ahead_) visit(block);
    for (const Slot& slot : slots_) {
      for (std::size_t i = slot.next; i < slot.blocks.size(); ++i) {
        if (!HasLeft(slot.blocks[i])) visit(slot.blocks[i]);
      }
    }
  }

 private:
  struct Slot {
    std::vector<RefBundle::Item> blocks;
    std::size_t next = 0;  // Blocks before it have left.
    bool ended = false;
  };
  /// Of what stands in a slot for a block that left before its turn.
  static bool HasLeft(const RefBundle::Item& block) { return block.stands_alone; }
  Slot& SlotOf(std::uint64_t ordinal);
  /// Drops what has left, and ended tasks without more, from the front.
  void Advance();

  const std::int64_t large_rows_;
  std::deque<Slot> slots_;             // Of tasks first_, first_ + 1, ...
  std::uint64_t first_ = 0;            // The oldest task that may still have something to give.
  std::deque<RefBundle::Item> ahead_;  // Large blocks.
  bool gap_ = false;                   // The last one in order has left before its turn.
};

}  // namespace headrace
