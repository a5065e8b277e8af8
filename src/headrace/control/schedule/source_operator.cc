#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/task_operator.h"

namespace headrace {

SourceOperator::SourceOperator(const TaskOperator& spec, bool ordered, Ledger* ledger)
    : PhysicalOperator(ledger), spec_(spec), num_groups_(spec.unit_groups.size()) {
  if (ordered) order_.emplace();
}

void SourceOperator::OnInput(int, RefBundle::Item) { HEADRACE_CHECK(false); }
void SourceOperator::OnInputEnd(int) { HEADRACE_CHECK(false); }

void SourceOperator::OnBlock(std::uint64_t ordinal, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kOutputQueue);
  if (!order_) return Emit(std::move(block), Place::kOutputQueue);
  order_->Add(ordinal, std::move(block));
  EmitInOrder();
}

void SourceOperator::OnTaskEnd(std::uint64_t ordinal) {
  if (!order_ || closed_) return;
  order_->End(ordinal);
  EmitInOrder();
}

void SourceOperator::EmitInOrder() {
  while (order_->HasNext()) Emit(order_->TakeNext(), Place::kOutputQueue);
}

void SourceOperator::Close() {
  closed_ = true;
  num_groups_ = next_group_;
  if (order_) {
    for (RefBundle::Item& item : order_->TakeAll()) Discard(std::move(item), Place::kOutputQueue);
  }
  DiscardOutputs();
}

ProposedTask SourceOperator::TakeWork() {
  HEADRACE_CHECK(HasWork());
  const std::vector<std::uint32_t>& units = spec_.unit_groups[next_group_];
  ProposedTask work{.program = spec_.program, .held = {}, .units = &units, .position = {}};
  work.position.path = {units.empty() ? static_cast<std::uint32_t>(next_group_) : units.front()};
  ++next_group_;
  return work;
}

void SourceOperator::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  if (!order_) return;
  order_->ForEach([&](const RefBundle::Item& item) { AddItem(item, Place::kOutputQueue, book); });
}

}  // namespace headrace
