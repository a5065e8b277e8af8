#include "headrace/control/account/reservation.h"

#include <algorithm>

namespace headrace {

Reservation::Reservation(const Ledger* ledger, std::int64_t budget_bytes, double ratio)
    : ledger_(ledger),
      budget_bytes_(std::max<std::int64_t>(budget_bytes, 0)),
      ratio_(std::clamp(ratio, 0.0, 1.0)),
      eligible_(static_cast<std::size_t>(ledger->num_operators()), false) {}

void Reservation::SetEligible(OperatorId op, bool eligible) {
  const auto index = static_cast<std::size_t>(op.value);
  if (eligible_[index] == eligible) return;
  eligible_[index] = eligible;
  num_eligible_ += eligible ? 1 : -1;
  const double reserved = static_cast<double>(budget_bytes_) * ratio_;
  half_share_ = num_eligible_ == 0 ? 0 : static_cast<std::int64_t>(reserved) / (2 * num_eligible_);
  shared_version_ = 0;
}

std::int64_t Reservation::task_share(OperatorId op) const { return Half(op); }

Reservation::Use Reservation::UseOf(OperatorId op) const {
  if (ledger_->borrowed(op)) return {};
  const std::int64_t credit = ledger_->held(op, Place::kCredit);
  const std::int64_t outputs = ledger_->usage(op) - credit;
  const std::int64_t half = Half(op);
  return {.tasks = credit + std::max<std::int64_t>(0, outputs - half),
          .outputs = std::min(outputs, half)};
}

std::int64_t Reservation::SharedLeft() const {
  if (shared_version_ == ledger_->version()) return shared_left_;
  std::int64_t left = budget_bytes_ - 2 * half_share_ * num_eligible_;
  for (int i = 0; i < ledger_->num_operators(); ++i) {
    const OperatorId op{i};
    left -= std::max<std::int64_t>(0, UseOf(op).tasks - Half(op));
  }
  shared_left_ = left;
  shared_version_ = ledger_->version();
  return left;
}

std::int64_t Reservation::StartRoom(OperatorId op) const {
  const std::int64_t own = std::max<std::int64_t>(0, Half(op) - UseOf(op).tasks);
  return std::max<std::int64_t>(0, own + SharedLeft());
}

std::int64_t Reservation::GrantRoom(OperatorId op) const {
  const Use use = UseOf(op);
  const std::int64_t half = Half(op);
  const std::int64_t own = std::max<std::int64_t>(0, half - use.tasks) + (half - use.outputs);
  return std::max<std::int64_t>(0, own + SharedLeft());
}

}  // namespace headrace
