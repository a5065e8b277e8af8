#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "headrace/block/bundle.h"

namespace headrace {

/// Restores the order of an operator's outputs: blocks of task 0, then those of task 1, ...
/// whatever the order in which tasks yield and end.
///
/// Given inputs in order and tasks numbered in that order, the outputs are in order of position.
/// A block of the oldest task that has not ended passes at once; others wait.
class OrderBuffer {
 public:
  /// Takes a block of task `ordinal`. Requires: the task has not ended.
  void Add(std::uint64_t ordinal, RefBundle::Item block);
  /// No more blocks of task `ordinal` will come.
  void End(std::uint64_t ordinal);

  /// Returns true if a block may leave now.
  bool HasNext() const {
    return !slots_.empty() && slots_.front().next < slots_.front().blocks.size();
  }
  /// Requires: HasNext().
  [[nodiscard]] RefBundle::Item TakeNext();

  /// Takes everything, in order, as if all tasks had ended.
  [[nodiscard]] std::vector<RefBundle::Item> TakeAll();

  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Slot& slot : slots_) {
      for (std::size_t i = slot.next; i < slot.blocks.size(); ++i) visit(slot.blocks[i]);
    }
  }

 private:
  struct Slot {
    std::vector<RefBundle::Item> blocks;
    std::size_t next = 0;  // Blocks before it have left.
    bool ended = false;
  };
  Slot& SlotOf(std::uint64_t ordinal);
  /// Drops ended and empty slots from the front.
  void Advance();

  std::deque<Slot> slots_;   // Of tasks first_, first_ + 1, ...
  std::uint64_t first_ = 0;  // The oldest task that may still have something to give.
};

}  // namespace headrace
