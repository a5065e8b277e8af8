#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/task_operator.h"

namespace headrace {

SourceOperator::SourceOperator(const TaskOperator& spec, OutputOrder order, Ledger* ledger)
    : PhysicalOperator(ledger, order), spec_(spec), num_groups_(spec.unit_groups.size()) {}

void SourceOperator::OnInput(int, RefBundle::Item) { HEADRACE_CHECK(false); }
void SourceOperator::OnInputEnd(int) { HEADRACE_CHECK(false); }

void SourceOperator::OnBlock(std::uint64_t ordinal, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kOutputQueue);
  EmitOf(ordinal, std::move(block));
}

void SourceOperator::OnTaskEnd(std::uint64_t ordinal) {
  if (!closed_) EndOutputsOf(ordinal);
}

void SourceOperator::Close() {
  closed_ = true;
  num_groups_ = next_group_;
  DiscardOutputs();
}

ProposedTask SourceOperator::TakeWork() {
  HEADRACE_CHECK(HasWork());
  return TakeAgain(next_group_++);
}

ProposedTask SourceOperator::TakeAgain(std::uint64_t ordinal) {
  const UnitGroup& units = spec_.unit_groups[ordinal];
  ProposedTask work{.program = spec_.program, .held = {}, .units = &units, .position = {}};
  work.position.path = {units.empty() ? static_cast<std::uint32_t>(ordinal) : units.front()};
  return work;
}

}  // namespace headrace
