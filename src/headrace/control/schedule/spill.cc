#include <algorithm>

#include "headrace/control/schedule/scheduler_impl.h"

// Which blocks go to disk, and when: those that exchanges hold, where some operator has no credit.
//
// It is no override: what is spilled leaves the budget, and the credit is granted from what is then
// free. A piece of the budget at a time is on its way, so that the disk is busy while tasks run,
// but what turns out not to be needed on disk stays in memory.

namespace headrace {
namespace {

constexpr std::int64_t kPiecesOfBudget = 8;

}  // namespace

void SchedulerImpl::On(event::ObjectsSpilled& e) {
  OperatorRun* asked = nullptr;
  for (const std::size_t index : exchanges_) {
    if (runs_[index].op->OnSpilled(e)) asked = &runs_[index];
  }
  if (e.failure && !exchanges_.empty()) {
    FailRun(asked ? *asked : runs_[exchanges_.front()], *e.failure);
  }
}

bool SchedulerImpl::IsSpilling() const {
  return std::any_of(exchanges_.begin(), exchanges_.end(),
                     [this](std::size_t index) { return runs_[index].op->spilling_bytes() > 0; });
}

void SchedulerImpl::OrderSpills() {
  if (exchanges_.empty()) return;
  const bool starved = std::any_of(runs_.begin(), runs_.end(), [this](const OperatorRun& run) {
    if (run.waits_for == WaitReason::kNoMemory && memory_.limited()) {
      return memory_.room() < NextHeap(run, false) + ExpectedBytes(run, 0);
    }
    if (run.waits_for != WaitReason::kNoCredit) return false;
    const std::int64_t room = run.parked.empty() ? StartRoom(run) : GrantRoom(run);
    return room < ExpectedBytes(run, 0);  // Else a parked task waits for something else.
  });
  if (!starved) return;
  const std::int64_t piece =
      std::max<std::int64_t>(1, reservation_.budget_bytes() / kPiecesOfBudget);
  // Upstream first: what is held there is needed last.
  for (const std::size_t index : exchanges_) {
    PhysicalOperator& op = *runs_[index].op;
    if (op.spillable_bytes() == 0 || 2 * op.spilling_bytes() > piece) continue;
    std::vector<ObjectId> objects = op.ChooseSpills(piece);
    if (objects.empty()) continue;
    Push(action::SpillObjects{std::move(objects)});
    return;
  }
}

}  // namespace headrace
