#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/resources.h"
#include "headrace/control/account/wait_reason.h"
#include "headrace/protocol/event.h"

// Reasons to hold back, as plug-ins. The ledger decides what is possible; a policy may only say
// "not now" or "take less".

namespace headrace {

/// What a policy sees of one operator.
struct OperatorLoad {
  std::string_view name;           // As in the plan; lives as long as the run.
  Resources cost;                  // Of one task, or of one actor.
  std::int64_t tasks_running = 0;  // Started, not ended, not parked.
  std::int64_t tasks_parked = 0;   // Waiting for credit.
  std::int64_t tasks_done = 0;
  std::int64_t input_blocks = 0;  // Waiting in its input queue.
  std::int64_t queued_bytes = 0;  // Its outputs that no task and no consumer has taken.
  std::int64_t held_bytes = 0;    // All that is charged to it.
  std::int64_t expected_block_bytes = 0;
};

/// What a policy sees of the run.
struct AccountView {
  std::span<const OperatorLoad> operators;  // By OperatorId.
  std::int64_t budget_bytes = 0;
  std::int64_t charged_bytes = 0;
};

/// One reason to hold back. Policies combine by the strictest answer, so each stays simple.
///
/// Equal views should give equal answers, so that equal events give an equal run; the event log
/// keeps what a user's policy said, and replays that. A policy never guarantees progress; that is
/// the one job of schedule/liveness.h, which overrides policies when nothing else can run.
///
/// Threads: each run has policies of its own, called by its driver alone.
class BackpressurePolicy {
 public:
  virtual ~BackpressurePolicy() = default;
  virtual std::string_view name() const = 0;

  /// May `op` start one more task? kNone: yes.
  virtual WaitReason MayStart(OperatorId op, const AccountView& view) const = 0;

  /// Returns how many of the `offered` bytes of credit a task of `op` should get now.
  /// More than was offered counts as all, less than 1 as "not now".
  virtual std::int64_t CreditBytes(OperatorId op, std::int64_t offered,
                                   const AccountView& view) const {
    return offered;
  }

  /// Returns why this policy cannot go on, as one whose user's code failed: the run ends with it.
  /// Asked after every decision. Unset: all is well.
  virtual std::optional<Failure> failure() const { return std::nullopt; }
};

/// Caps the tasks of an operator that are running or parked. One cap an operator; unset: none.
class ConcurrencyCapPolicy final : public BackpressurePolicy {
 public:
  explicit ConcurrencyCapPolicy(std::vector<std::optional<std::int32_t>> caps)
      : caps_(std::move(caps)) {}
  std::string_view name() const override { return "concurrency cap"; }
  WaitReason MayStart(OperatorId op, const AccountView& view) const override;

 private:
  std::vector<std::optional<std::int32_t>> caps_;
};

}  // namespace headrace
