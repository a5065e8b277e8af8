#include "headrace/control/account/reservation.h"

#include <algorithm>
#include <utility>

namespace headrace {

Reservation::Reservation(const Ledger* ledger, std::int64_t budget_bytes, double ratio,
                         Division division, std::vector<std::int32_t> consumers)
    : ledger_(ledger),
      budget_bytes_(std::max<std::int64_t>(budget_bytes, 0)),
      ratio_(std::clamp(ratio, 0.0, 1.0)),
      division_(division),
      consumers_(std::move(consumers)),
      eligible_(static_cast<std::size_t>(ledger->num_operators()), false),
      needs_(eligible_.size(), 0),
      rooms_(eligible_.size(), 0) {}

void Reservation::SetEligible(OperatorId op, bool eligible) {
  const auto index = static_cast<std::size_t>(op.value);
  if (eligible_[index] == eligible) return;
  eligible_[index] = eligible;
  num_eligible_ += eligible ? 1 : -1;
  const double reserved = static_cast<double>(budget_bytes_) * ratio_;
  half_share_ = num_eligible_ == 0 ? 0 : static_cast<std::int64_t>(reserved) / (2 * num_eligible_);
  shared_version_ = 0;
}

void Reservation::SetNeeds(std::vector<std::int64_t> needs) {
  needs_ = std::move(needs);
  shared_version_ = 0;
}

std::int64_t Reservation::task_share(OperatorId op) const {
  return division_ == Division::kEqual ? Half(op) : 2 * Half(op);
}

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

std::int64_t Reservation::RoomByNeed(OperatorId op) const {
  if (shared_version_ != ledger_->version()) {
    // Of the needs, what is not in use yet; of each operator and all that feed it, then of all.
    std::int64_t unused_of_all = 0;
    std::fill(rooms_.begin(), rooms_.end(), 0);
    for (std::size_t i = 0; i < rooms_.size(); ++i) {
      const std::int64_t credit =
          ledger_->held(OperatorId{static_cast<std::int32_t>(i)}, Place::kCredit);
      const std::int64_t unused = eligible_[i] ? std::max<std::int64_t>(0, needs_[i] - credit) : 0;
      unused_of_all += unused;
      rooms_[i] += unused;
      if (consumers_[i] >= 0) rooms_[static_cast<std::size_t>(consumers_[i])] += rooms_[i];
    }
    const std::int64_t left = budget_bytes_ - ledger_->charged() - unused_of_all;
    for (std::int64_t& room : rooms_) room = std::max<std::int64_t>(0, left + room);
    shared_version_ = ledger_->version();
  }
  return rooms_[static_cast<std::size_t>(op.value)];
}

std::int64_t Reservation::StartRoom(OperatorId op) const {
  if (division_ != Division::kEqual) return RoomByNeed(op);
  const std::int64_t own = std::max<std::int64_t>(0, Half(op) - UseOf(op).tasks);
  return std::max<std::int64_t>(0, own + SharedLeft());
}

std::int64_t Reservation::GrantRoom(OperatorId op) const {
  if (division_ != Division::kEqual) return RoomByNeed(op);
  const Use use = UseOf(op);
  const std::int64_t half = Half(op);
  const std::int64_t own = std::max<std::int64_t>(0, half - use.tasks) + (half - use.outputs);
  return std::max<std::int64_t>(0, own + SharedLeft());
}

}  // namespace headrace
