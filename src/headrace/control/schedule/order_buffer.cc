#include "headrace/control/schedule/order_buffer.h"

#include <iterator>
#include <utility>

#include "headrace/base/check.h"

namespace headrace {

OrderBuffer::Slot& OrderBuffer::SlotOf(std::uint64_t ordinal) {
  HEADRACE_CHECK(ordinal >= first_);
  const std::uint64_t index = ordinal - first_;
  while (slots_.size() <= index) slots_.emplace_back();
  return slots_[index];
}

void OrderBuffer::Add(std::uint64_t ordinal, RefBundle::Item block) {
  Slot& slot = SlotOf(ordinal);
  HEADRACE_CHECK(!slot.ended);
  if (block.info.num_rows < large_rows_) {
    slot.blocks.push_back(std::move(block));
    return;
  }
  block.stands_alone = true;
  if (ordinal == first_ && slot.blocks.empty()) {
    block.ends_bundle = true;  // It is its turn.
    gap_ = false;
  } else {
    RefBundle::Item left;
    left.stands_alone = true;
    slot.blocks.push_back(std::move(left));
  }
  ahead_.push_back(std::move(block));
}

void OrderBuffer::End(std::uint64_t ordinal) {
  SlotOf(ordinal).ended = true;
  Advance();
}

RefBundle::Item OrderBuffer::TakeNext() {
  HEADRACE_CHECK(HasNext());
  if (!ahead_.empty()) {
    RefBundle::Item item = std::move(ahead_.front());
    ahead_.pop_front();
    return item;
  }
  Slot& slot = slots_.front();
  RefBundle::Item item = std::move(slot.blocks[slot.next++]);
  item.ends_bundle = std::exchange(gap_, false);
  Advance();
  return item;
}

void OrderBuffer::Advance() {
  while (!slots_.empty()) {
    Slot& slot = slots_.front();
    for (; slot.next < slot.blocks.size() && HasLeft(slot.blocks[slot.next]); ++slot.next) {
      gap_ = true;
    }
    if (slot.next < slot.blocks.size()) return;
    slot.blocks.clear();
    slot.next = 0;
    if (!slot.ended) return;
    slots_.pop_front();
    ++first_;
  }
}

std::vector<RefBundle::Item> OrderBuffer::TakeAll() {
  std::vector<RefBundle::Item> items(std::make_move_iterator(ahead_.begin()),
                                     std::make_move_iterator(ahead_.end()));
  ahead_.clear();
  for (Slot& slot : slots_) {
    for (std::size_t i = slot.next; i < slot.blocks.size(); ++i) {
      if (!HasLeft(slot.blocks[i])) items.push_back(std::move(slot.blocks[i]));
    }
    slot.blocks.clear();
    slot.next = 0;
  }
  Advance();
  return items;
}

}  // namespace headrace
