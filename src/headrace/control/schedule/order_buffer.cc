#include "headrace/control/schedule/order_buffer.h"

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
  slot.blocks.push_back(std::move(block));
}

void OrderBuffer::End(std::uint64_t ordinal) {
  SlotOf(ordinal).ended = true;
  Advance();
}

RefBundle::Item OrderBuffer::TakeNext() {
  HEADRACE_CHECK(HasNext());
  Slot& slot = slots_.front();
  RefBundle::Item item = std::move(slot.blocks[slot.next++]);
  if (slot.next == slot.blocks.size()) {
    slot.blocks.clear();
    slot.next = 0;
    Advance();
  }
  return item;
}

void OrderBuffer::Advance() {
  while (!slots_.empty() && slots_.front().ended && slots_.front().blocks.empty()) {
    slots_.pop_front();
    ++first_;
  }
}

std::vector<RefBundle::Item> OrderBuffer::TakeAll() {
  std::vector<RefBundle::Item> items;
  for (Slot& slot : slots_) {
    for (std::size_t i = slot.next; i < slot.blocks.size(); ++i) {
      items.push_back(std::move(slot.blocks[i]));
    }
    slot.blocks.clear();
    slot.next = 0;
  }
  Advance();
  return items;
}

}  // namespace headrace
