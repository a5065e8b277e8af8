#pragma once

#include <cstdint>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/control/account/ledger.h"

// What the whole job may hold, where it has a limit: one book over blocks and heaps.
//
//   limit = what is not this run's: the engine, other runs, files and code in memory   (measured)
//         + blocks, and what tasks may still yield                                     (the ledger)
//         + the heaps of this run's tasks and actors                        (learned, charged here)
//         + room
//
// A heap is charged before it exists: with what the operator's tasks were seen to use, which is
// measured in their processes. What the job may have in all, available(), follows from each
// measurement: what this run holds by then, and what is free beside it.
//
// Threads: belongs to one scheduler.

namespace headrace {

class JobMemory {
 public:
  /// `free_bytes`: of the limit, before the run holds anything. `ledger` must outlive this.
  JobMemory(const Ledger* ledger, bool limited, std::int64_t free_bytes);

  /// False: nothing below means anything, and nothing is charged.
  bool limited() const { return limited_; }

  /// What this run may hold in all, and what of it is not charged. Below 0: too much is held.
  std::int64_t available() const { return available_; }
  std::int64_t room() const { return available_ - ledger_->charged() - charged_; }
  std::int64_t charged() const { return charged_; }

  void Charge(std::int64_t bytes) { charged_ += bytes; }
  void Release(std::int64_t bytes);

  /// Says what tasks (or actors) of `op` ask for by themselves.
  void SetDeclared(OperatorId op, std::int64_t bytes) { at(op).declared = bytes; }

  /// Takes in what a task or an actor of `op` used: a maximum that is forgotten by an eighth with
  /// each one that uses less. 0: unknown.
  void Learn(OperatorId op, std::int64_t peak_bytes);

  /// Takes in that one of `op` uses this much, and may use more yet.
  void Raise(OperatorId op, std::int64_t bytes);

  bool known(OperatorId op) const { return at(op).learned > 0 || at(op).declared > 0; }

  /// Returns what to charge for the next one of `op`; `guess` where nothing is known.
  std::int64_t Expected(OperatorId op, std::int64_t guess) const;

  /// Takes in a measurement; see event::MemoryMeasured.
  void Measured(std::int64_t free_bytes, std::int64_t heap_bytes);

 private:
  struct Use {
    std::int64_t declared = 0;
    std::int64_t learned = 0;
  };
  Use& at(OperatorId op) { return uses_[static_cast<std::size_t>(op.value)]; }
  const Use& at(OperatorId op) const { return uses_[static_cast<std::size_t>(op.value)]; }

  const Ledger* ledger_;
  bool limited_;
  std::int64_t available_;
  std::int64_t charged_ = 0;
  std::vector<Use> uses_;
};

}  // namespace headrace
