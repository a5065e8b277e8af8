#pragma once

#include <cstdint>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/control/account/ledger.h"

// How the budget for blocks is divided among operators.
//
//   budget = Σ shares of the eligible operators (budget × ratio / their number)  + the shared rest
//   share  = half for credit of tasks  + half for outputs
//
// A new task is paid from its operator's task half and the shared rest; a running task's further
// credit also from the output half. So new tasks cannot take the room that the running ones need
// to finish, and no operator can take another's share.
//
// Invariant: a charge of at most StartRoom() or GrantRoom() keeps the sum of all charges within
// the budget.

namespace headrace {

class Reservation {
 public:
  Reservation(const Ledger* ledger, std::int64_t budget_bytes, double ratio);

  /// An operator that is not eligible holds nothing in reserve. All are not at first.
  void SetEligible(OperatorId op, bool eligible);

  std::int64_t budget_bytes() const { return budget_bytes_; }

  /// The half of the operator's share that pays for its tasks' credit.
  std::int64_t task_share(OperatorId op) const;

  /// Bytes that a new task, or a running one, of `op` may be granted now. Never negative.
  std::int64_t StartRoom(OperatorId op) const;
  std::int64_t GrantRoom(OperatorId op) const;

 private:
  struct Use {
    std::int64_t tasks = 0;    // Charged against the task half: credit, and outputs over theirs.
    std::int64_t outputs = 0;  // Charged against the output half.
  };
  std::int64_t Half(OperatorId op) const {
    return eligible_[static_cast<std::size_t>(op.value)] ? half_share_ : 0;
  }
  Use UseOf(OperatorId op) const;
  std::int64_t SharedLeft() const;

  const Ledger* ledger_;
  std::int64_t budget_bytes_;
  double ratio_;
  std::vector<bool> eligible_;
  std::int64_t num_eligible_ = 0;
  std::int64_t half_share_ = 0;
  // SharedLeft() of the ledger's version `shared_version_`.
  mutable std::int64_t shared_left_ = 0;
  mutable std::uint64_t shared_version_ = 0;
};

}  // namespace headrace
