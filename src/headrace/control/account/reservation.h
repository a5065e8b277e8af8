#pragma once

#include <cstdint>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/control/account/ledger.h"

// How the budget for blocks is divided among operators. By Division:
//
// kEqual: shares of the same size.
//
//   budget = Σ shares of the eligible operators (budget × ratio / their number)  + the shared rest
//   share  = half for credit of tasks  + half for outputs
//
//   A new task is paid from its operator's task half and the shared rest; a running task's further
//   credit also from the output half. So new tasks cannot take the room that the running ones need
//   to finish, and no operator can take another's share.
//
// kByNeed: what an operator's tasks need for credit (see demand.h) is kept free of the blocks of
//   all others but those that it takes its own input from: these, and their credit, come after it.
//   So upstream cannot fill the memory that those downstream need to empty it, and what nobody
//   needs is for all. An operator of which nothing is known yet needs a share as above.
//
// Invariant: a charge of at most StartRoom() or GrantRoom() keeps the sum of all charges within
// the budget.

namespace headrace {

enum class Division : std::uint8_t { kByNeed, kEqual };

class Reservation {
 public:
  /// `consumers`: by operator, the one that takes its output, which comes later; -1: none.
  Reservation(const Ledger* ledger, std::int64_t budget_bytes, double ratio, Division division,
              std::vector<std::int32_t> consumers);

  /// An operator that is not eligible holds nothing in reserve. All are not at first.
  void SetEligible(OperatorId op, bool eligible);
  bool eligible(OperatorId op) const { return eligible_[static_cast<std::size_t>(op.value)]; }

  /// Sets what the operators' tasks need; see CreditNeeds(). For kByNeed.
  void SetNeeds(std::vector<std::int64_t> needs);

  /// What an operator needs of which nothing is known yet.
  std::int64_t unknown_need() const { return half_share_; }

  std::int64_t budget_bytes() const { return budget_bytes_; }
  Division division() const { return division_; }

  /// The most that one task is to be granted at once: what pays for its operator's credit if all
  /// others use what is theirs.
  std::int64_t task_share(OperatorId op) const;

  /// Bytes that a new task, or a running one, of `op` may be granted now. Never negative.
  std::int64_t StartRoom(OperatorId op) const;
  std::int64_t GrantRoom(OperatorId op) const;

 private:
  struct Use {
    std::int64_t tasks = 0;    // Charged against the task half: credit, and outputs over theirs.
    std::int64_t outputs = 0;  // Charged against the output half.
  };
  std::int64_t Half(OperatorId op) const { return eligible(op) ? half_share_ : 0; }
  Use UseOf(OperatorId op) const;
  std::int64_t SharedLeft() const;
  std::int64_t RoomByNeed(OperatorId op) const;

  const Ledger* ledger_;
  std::int64_t budget_bytes_;
  double ratio_;
  Division division_;
  std::vector<std::int32_t> consumers_;
  std::vector<bool> eligible_;
  std::vector<std::int64_t> needs_;
  std::int64_t num_eligible_ = 0;
  std::int64_t half_share_ = 0;
  // Of the ledger's version `shared_version_`: SharedLeft(), or RoomByNeed() of each operator.
  mutable std::int64_t shared_left_ = 0;
  mutable std::vector<std::int64_t> rooms_;
  mutable std::uint64_t shared_version_ = 0;
};

}  // namespace headrace
