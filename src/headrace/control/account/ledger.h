#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/base/id.h"

// Who occupies what: a double-entry book over operators.
//
// Every byte in the object store, and every byte that a running task may still put there, stands
// in exactly one account of exactly one operator, its maker, until it is released:
//
//   Charge ──▶ kCredit ──▶ kOutputQueue ──▶ kInputQueue ──▶ kTaskInput ──▶ Release
//              a running    at its maker     at the next     in a task      or kConsumer
//              task may     (order buffer,   operator        of the next    until the consumer
//              yield it     output)                          operator       lets go
//
// A block in an operator's input queue may go to disk: kSpilled. It is still held, and stands in
// the book, but it is not charged: the budget is for memory.
//
// An entry is one Charge, Move or Release. Nothing is recomputed from the operators, so the book
// can be checked against them (Scheduler::CheckInvariants).
//
// Threads: belongs to one scheduler.

namespace headrace {

enum class Place : std::uint8_t {
  kCredit,
  kOutputQueue,
  kInputQueue,
  kTaskInput,
  kConsumer,
  kSpilled
};
inline constexpr int kNumPlaces = 6;

class Ledger {
 public:
  explicit Ledger(int num_operators) : accounts_(static_cast<std::size_t>(num_operators)) {}

  /// Marks an operator whose blocks existed before the run (a materialized input): they are in
  /// the book, but not in charged(). Requires: nothing is charged to it.
  void SetBorrowed(OperatorId op) { at(op).borrowed = true; }

  // Entries. Amounts are never negative, and an account never becomes so.
  void Charge(OperatorId op, Place to, std::int64_t bytes);
  void Move(OperatorId op, Place from, Place to, std::int64_t bytes);
  void Release(OperatorId op, Place from, std::int64_t bytes);

  // Balances.
  std::int64_t held(OperatorId op, Place place) const {
    return at(op).bytes[static_cast<std::size_t>(place)];
  }
  /// All that is charged to `op`: without what is spilled.
  std::int64_t usage(OperatorId op) const { return at(op).total; }
  bool borrowed(OperatorId op) const { return at(op).borrowed; }
  int num_operators() const { return static_cast<int>(accounts_.size()); }

  /// The sum that the budget bounds, and the most that it ever was.
  std::int64_t charged() const { return charged_; }
  std::int64_t peak_charged() const { return peak_charged_; }

  /// Bytes of blocks that the scheduler holds references to: all places but kCredit and kConsumer.
  std::int64_t stored() const { return stored_; }

  /// Grows with every entry that changes a balance between operators or places.
  std::uint64_t version() const { return version_; }

  /// Stops the process if an account is negative or the sums disagree.
  void CheckInvariants() const;

 private:
  struct Account {
    std::array<std::int64_t, kNumPlaces> bytes{};
    std::int64_t total = 0;
    bool borrowed = false;
  };
  static bool IsCharged(Place place) { return place != Place::kSpilled; }
  static bool IsStored(Place place) { return place != Place::kCredit && place != Place::kConsumer; }
  Account& at(OperatorId op) { return accounts_[static_cast<std::size_t>(op.value)]; }
  const Account& at(OperatorId op) const { return accounts_[static_cast<std::size_t>(op.value)]; }

  std::vector<Account> accounts_;
  std::int64_t charged_ = 0;
  std::int64_t peak_charged_ = 0;
  std::int64_t stored_ = 0;
  std::uint64_t version_ = 1;
};

}  // namespace headrace
