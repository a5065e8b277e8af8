#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/control/account/policy.h"
#include "headrace/control/account/wait_reason.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/event.h"

// Decides what runs: a pure state machine. Events in, actions out.
//
// One step: take the events of one instant → credit finished and yielded work to its operator →
// move outputs to the next operator → update the ledger → while some operator may run: choose,
// submit, charge.
//
// The scheduler does no I/O, starts no thread, reads no clock, takes no lock and makes no random
// number: equal events give equal actions. It holds references to blocks, never blocks.

namespace headrace {

/// What the scheduler must know of the backend that will perform its actions.
struct BackendTraits {
  Resources total;                      // What there is, less what the options exclude.
  std::int64_t object_store_bytes = 0;  // The budget for blocks.
  bool parks_waiting_tasks = true;      // A task without credit gives its cpu back.
  std::int64_t memory_bytes = 0;        // Where the job has a memory limit: what the engine leaves
  std::int64_t memory_free_bytes = 0;   // of it to runs, and of that, other runs.
  std::int64_t task_bytes = 0;          // With fewer, a task costs more to start than to run.
  std::optional<Resources> possible{};  // As `total`, of what there may be later. Unset: no more.
};

/// Returns the budget for blocks: at most half of what is free below a memory limit, so that the
/// other half is for heaps; where others hold most of it, an eighth of what there will be.
std::int64_t BlockBudget(const ExecutionOptions& options, const BackendTraits& traits);
/// Returns the budget that exchanges plan with: from settings alone, so that the same plan makes
/// the same partitions each time.
std::int64_t ExchangeBudget(const ExecutionOptions& options, const BackendTraits& traits);

/// The least, the most and the sum of some amounts.
struct Spread {
  std::int64_t count = 0, min = 0, max = 0, total = 0;

  void Add(std::int64_t amount) {
    min = count == 0 || amount < min ? amount : min;
    max = count == 0 || amount > max ? amount : max;
    total += amount;
    ++count;
  }
  double mean() const {
    return count == 0 ? 0 : static_cast<double>(total) / static_cast<double>(count);
  }
};

/// What one operator did and holds; for progress, statistics and tests.
struct OperatorState {
  std::string name;
  std::int64_t tasks_started = 0, tasks_running = 0, tasks_parked = 0, tasks_done = 0,
               tasks_failed = 0, tasks_retried = 0, tasks_total = -1;  // -1: not known yet.
  std::int64_t actors_ready = 0, actors_starting = 0;
  std::int64_t input_blocks = 0, input_bytes = 0;                     // Waiting in its input queue.
  std::int64_t output_blocks = 0, output_rows = 0, output_bytes = 0;  // Yielded so far.
  std::int64_t held_bytes = 0;     // Charged to it in the ledger now.
  std::int64_t spilled_bytes = 0;  // Of its inputs, written to disk so far.
  std::int64_t blocks_remade = 0;  // Of its outputs, since they were lost.
  std::int64_t wall_nanos = 0, cpu_nanos = 0, function_nanos = 0;
  std::int64_t peak_heap_bytes = 0;
  std::int64_t input_rows = 0;                     // Taken in by ended tasks.
  std::int64_t errored_rows = 0, letter_rows = 0;  // Left out by functions in ended tasks, and kept
                                                   // elsewhere; see TaskStats.
  Spread task_wall_nanos, task_cpu_nanos, task_function_nanos, task_rows;  // Of done tasks.
  Spread block_rows, block_bytes;                                          // Of yielded blocks.
  std::int64_t active_nanos = 0;  // From the first task's start to the last's end.
  WaitReason waits_for = WaitReason::kNone;
  std::int64_t wait_nanos[kNumWaitReasons] = {};  // By WaitReason, while no task could start.
};

class SchedulerImpl;

/// Runs one physical plan. Threads: one.
class Scheduler {
 public:
  /// Fails if the plan cannot run with what there is (see CheckFeasible). `policies` may hold
  /// work back; see control/account/policy.h.
  static Result<std::unique_ptr<Scheduler>> Make(
      PhysicalPlan plan, ExecutionOptions options, BackendTraits traits,
      std::vector<std::unique_ptr<BackpressurePolicy>> policies = {});
  ~Scheduler();

  /// Takes in what happened at `now`, in order, then decides once. Time must not go back.
  /// An event about a task or object that the scheduler does not know is ignored, and its object
  /// released.
  void Step(std::span<Event> events, Instant now);
  void Step(Event event, Instant now) { Step(std::span(&event, 1), now); }

  /// Gives the actions to perform, in order, that no call gave before; nothing more until the next
  /// Step(). The first actions are there before any Step(). What was in `actions` is gone.
  void TakeActions(std::vector<Action>* actions);
  [[nodiscard]] std::vector<Action> TakeActions() {
    std::vector<Action> actions;
    TakeActions(&actions);
    return actions;
  }

  /// Returns when to send TimePassed if no event comes before. Nothing today: no decision
  /// depends on time alone.
  std::optional<Instant> NextDeadline() const;

  /// True once Finish was taken, the last of all actions.
  bool finished() const;

  std::vector<OperatorState> Snapshot() const;

  /// What waits for resources, by operator; there may be no credit yet for all of it.
  std::vector<ResourceDemand> Demands() const;

  /// Bytes charged in the ledger, against the budget; the most there ever were.
  std::int64_t charged_bytes() const;
  std::int64_t peak_charged_bytes() const;

  /// Bytes of heap charged to tasks and actors; 0 without a memory limit.
  std::int64_t charged_heap_bytes() const;

  /// How often credit was granted beyond the budget, one block each time, because nothing else
  /// could run.
  std::int64_t liveness_overrides() const;

  /// Stops the process if the books disagree: sums of the accounts against live references.
  void CheckInvariants() const;

 private:
  explicit Scheduler(std::unique_ptr<SchedulerImpl> impl);
  std::unique_ptr<SchedulerImpl> impl_;
};

}  // namespace headrace
