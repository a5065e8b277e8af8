#include "headrace/control/account/policy.h"

namespace headrace {

WaitReason ConcurrencyCapPolicy::MayStart(OperatorId op, const AccountView& view) const {
  const auto index = static_cast<std::size_t>(op.value);
  if (!caps_[index]) return WaitReason::kNone;
  const OperatorLoad& load = view.operators[index];
  return load.tasks_running + load.tasks_parked < *caps_[index] ? WaitReason::kNone
                                                                : WaitReason::kConcurrencyCap;
}

}  // namespace headrace
