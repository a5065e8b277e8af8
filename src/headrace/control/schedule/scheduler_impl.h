#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "headrace/block/bundle.h"
#include "headrace/control/account/demand.h"
#include "headrace/control/account/job_memory.h"
#include "headrace/control/account/ledger.h"
#include "headrace/control/account/policy.h"
#include "headrace/control/account/reservation.h"
#include "headrace/control/schedule/actor_pool.h"
#include "headrace/control/schedule/physical_operator.h"
#include "headrace/control/schedule/remakes.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/control/schedule/task_table.h"

// The state of a Scheduler and its parts. Private to this folder.
//
//   scheduler.cc  the step: events in, actions out
//   dispatch.cc   which operator may run, and what a start or a grant charges
//   demand.cc     what tasks take, the credit that they get, what divides the budget
//   tasks.cc      what happened to tasks: yielded, parked, ended, lost
//   actors.cc     sizes of actor pools, lost actors
//   memory.cc     heaps of tasks and actors, where the job has a memory limit
//   spill.cc      which blocks go to disk, and when
//   side_joins.cc joins whose right side goes to the tasks that make the left one
//   remakes.cc    blocks that are lost, and the tasks that make them again
//   flow.cc       blocks between operators, the consumer, ends and closings
//   failures.cc   how a run fails, and what its failure says
//   liveness.cc   the only place that overrides credit
//   report.cc     snapshots, and the books compared
//
// Costs: an event takes time in the number of operators, never in that of tasks or blocks; but
// for ObjectsLost.

namespace headrace {

class ExchangeBlocks;

/// One operator of the plan while it runs.
struct OperatorRun {
  OperatorId id;
  const OperatorSpec* spec = nullptr;
  const TaskOperator* task_spec = nullptr;  // Null: an exchange, or passes blocks on.
  const ExchangeOperator* exchange = nullptr;
  bool runs_tasks = false;        // That take cpus and make rows; a limit's cut does neither.
  std::int32_t max_attempts = 1;  // Of its tasks.
  std::unique_ptr<PhysicalOperator> op;
  std::int32_t consumer = -1;  // Index of the operator that takes the output; -1: the consumer.
  std::int32_t consumer_input = 0;
  Resources task_cost;  // Of a task; none where the actor pays.
  TaskTable tasks;
  std::optional<ActorPoolState> pool;
  ExchangeBlocks* left_of = nullptr;   // The join whose left side it makes, if that may broadcast.
  ProgramPtr joined;                   // Its program, where joins broadcast; and
  std::vector<ExchangeBlocks*> sides;  // these joins.
  std::set<std::uint64_t> parked;      // Ordinals of tasks in kParked.
  std::set<std::uint64_t> retries;     // Ordinals of tasks in kRetry.
  std::int64_t remaking = 0;           // Tasks that run again, or are to.
  std::uint32_t last_attempt = 0;      // The highest of all its tasks.
  bool paused = false;                 // Blocks that its tasks read are lost: none may start.
  bool closed = false;                 // Nobody wants its output.
  bool finished = false;               // No task, no work; its consumer knows.
  WaitReason waits_for = WaitReason::kNoInput;
  OperatorState stats;
  Instant first_start;  // Of its first task.
  std::int64_t blocks_of_done_tasks = 0;
  TaskMeans means;                    // Of late; of a source: of its blocks.
  std::int64_t samples = 0;           // That went into them.
  std::int64_t block_bytes_mean = 0;  // Of late.
  std::int64_t ahead_factor = 0;      // Tasks to send ahead for each that a cpu runs; 0: not short.
  bool has_heap = false;              // Its tasks or actors have processes, and the job a limit.
  std::int64_t actor_heap_bytes = 0;  // Charged for each live actor.

  bool has_work() const { return !paused && (!retries.empty() || op->HasWork()); }
  /// No task of it will start any more, as far as one can tell.
  bool rests() const { return finished && remaking == 0; }
  /// Whether a lost task goes before those that wait for credit: what they yield would only wait
  /// for its outputs.
  bool retry_first() const {
    return op->ordered() && !paused && remaking == 0 && !retries.empty() && !parked.empty() &&
           *retries.begin() < *parked.begin() && (!pool || pool->free_slots() > 0);
  }
  std::size_t index() const { return static_cast<std::size_t>(id.value); }
  /// Of its tasks; null if it passes blocks on.
  const TaskProgram* program() const {
    if (task_spec != nullptr) return task_spec->program.get();
    return exchange != nullptr ? exchange->program.get() : nullptr;
  }
};

class SchedulerImpl {
 public:
  SchedulerImpl(PhysicalPlan plan, ExecutionOptions options, BackendTraits traits,
                std::vector<std::unique_ptr<BackpressurePolicy>> policies);
  ~SchedulerImpl();

  // scheduler.cc
  void Begin();
  void Step(std::span<Event> events, Instant now);
  void TakeActions(std::vector<Action>* actions);
  bool finished() const { return finish_pushed_ && actions_.empty(); }

  // report.cc
  std::vector<OperatorState> Snapshot() const;
  std::vector<ResourceDemand> Demands() const;
  void CheckInvariants() const;
  const Ledger& ledger() const { return ledger_; }
  const JobMemory& memory() const { return memory_; }
  std::int64_t overrides() const { return overrides_; }

 private:
  friend class Liveness;

  // scheduler.cc
  void On(event::BlockYielded& e);
  void On(event::TaskParked& e);
  void On(event::TaskEnded& e);
  void On(event::ActorReady& e);
  void On(event::ActorLost& e);
  void On(event::OutputWanted& e);
  void On(event::OutputConsumed& e);
  void On(event::ObjectsSpilled& e);
  void On(event::CapacityChanged& e);
  void On(event::TimePassed& e) {}
  void On(event::StopRequested& e);
  void On(event::MemoryMeasured& e);
  void On(event::ObjectsLost& e);
  void AdvanceTime(Instant now);
  void Decide();
  void CheckPolicies();
  template <class A>
  void Push(A&& action) {
    actions_.emplace_back(std::forward<A>(action));
  }

  // dispatch.cc
  struct Candidate {
    WaitReason reason = WaitReason::kNoInput;  // kNone: may start.
    std::int64_t credit_bytes = 0;
    std::int64_t heap_bytes = 0;
  };
  Candidate MayStart(const OperatorRun& run, bool ahead) const;
  WaitReason CreditReason(const OperatorRun& run) const;
  std::int64_t ByPolicies(const OperatorRun& run, std::int64_t offered) const;
  void RefreshView() const;
  AccountView View() const { return {loads_, reservation_.budget_bytes(), ledger_.charged()}; }
  OperatorRun* Choose(bool ahead, Candidate* chosen);
  bool MaySendAhead() const;
  bool StartOne();
  void Start(OperatorRun& run, std::int64_t credit_bytes, std::int64_t heap_bytes);
  TaskRecord& TakeTask(OperatorRun& run);
  TaskOrder OrderOf(const OperatorRun& run, const TaskRecord& task) const;
  void GrantParked();
  void Grant(OperatorRun& run, TaskRecord& task, std::int64_t bytes);
  bool Fits(const Resources& cost) const { return (used_ + cost).FitsIn(total_); }

  // demand.cc
  std::int64_t BlocksPerTask(const OperatorRun& run) const;
  std::int64_t ExpectedBytes(const OperatorRun& run, std::int64_t taken) const;
  std::int64_t BytesToCome(const OperatorRun& run) const;
  void MeasureBlock(OperatorRun& run, TaskRecord& task, std::int64_t bytes);
  void MeasureTask(OperatorRun& run, const TaskRecord& task);
  void AddSample(OperatorRun& run, std::int64_t nanos, std::int64_t held_bytes,
                 std::int64_t output_bytes);
  void RefreshNeeds();

  // memory.cc
  void FindHeap(OperatorRun& run);
  std::int64_t StartRoom(const OperatorRun& run) const;
  std::int64_t GrantRoom(const OperatorRun& run) const;
  std::int64_t HeapGuess(const OperatorRun& run) const;
  std::int64_t NextHeap(const OperatorRun& run, bool ahead) const;
  std::uint64_t NextRetry(const OperatorRun& run) const;
  bool MustDrain(const OperatorRun& run) const;
  void ChargeHeap(TaskRecord& task, std::int64_t bytes);
  void SetActorHeap(OperatorRun& run, std::int64_t bytes);
  void StopIdleActorsBut(const OperatorRun& run);
  void LearnHeap(OperatorRun& run, std::int64_t peak_bytes);
  std::int64_t Allowance(std::int64_t bytes) const;
  std::int64_t MissingForActor(const OperatorRun& run) const;
  void NoteActorStopped(OperatorRun& run, std::uint32_t actor, std::int64_t heap_bytes);
  bool RetryAfterStop(OperatorRun& run, TaskRecord& task, std::int64_t peak_bytes);

  // side_joins.cc
  void FindSideJoins();
  bool AwaitsChoice(const OperatorRun& run) const;
  void AddSides(OperatorRun& run, ProposedTask* work);

  // tasks.cc
  TaskRecord* FindTask(const TaskId& id);
  void TopUp(OperatorRun& run, TaskRecord& task);
  void Account(OperatorRun& run, const TaskRecord& task, const event::TaskEnded& e);
  void MeasureAhead(OperatorRun& run);
  void LeaveSlot(OperatorRun& run, TaskRecord& task, bool worker_lost);
  void Retry(OperatorRun& run, TaskRecord& task);
  void EndForGood(OperatorRun& run, TaskRecord& task);
  void HandleFailure(OperatorRun& run, TaskRecord& task, const event::TaskEnded& e);

  // actors.cc
  void ScalePools();
  void ScalePool(OperatorRun& run);
  void StartActor(OperatorRun& run);
  void StopActor(OperatorRun& run, std::uint32_t ordinal);
  void StopIdleActors(OperatorRun& run, std::int32_t keep);
  bool LeavesRoom(const OperatorRun& run) const;

  // spill.cc
  void OrderSpills();
  bool IsSpilling() const;

  // remakes.cc
  void FindLineage();
  void DropLineage();
  void ReleaseObjects();
  bool MayMakeAgain(const BlockName& name, const OperatorRun& reader);
  bool AwaitInputs(OperatorRun& run, TaskRecord& task);
  void Unread(OperatorRun& run, TaskRecord& task);
  void Reread(OperatorRun& run, TaskRecord& task, bool ends);
  void RefreshPaused();
  void WantMissing(OperatorRun& run, bool nested);
  void Want(const BlockName& name, const Remakes::Claim& claim, bool nested);
  void SupplyInput(const BlockName& name, const Remakes::Claim& claim);
  bool StartRemakes(bool force);
  void GiveUpRemakes();
  bool IsClosed(const Remakes::Claim& claim);
  void DropClosedClaims(Remakes::Remake* remake);
  void StartRemake(OperatorRun& run, std::uint64_t ordinal, Remakes::Remake* remake);
  void EnterRetry(OperatorRun& run, TaskRecord& task);
  void OnMadeAgain(OperatorRun& run, TaskRecord& task, event::BlockYielded& e);
  void Supply(const Remakes::Claim& claim, RefBundle::Item item);
  void FailRemake(const OperatorRun& run, const std::string& why);
  void EndAgain(OperatorRun& run, TaskRecord& task, const event::TaskEnded& e);
  void EndRemake(OperatorRun& run, std::uint64_t ordinal);
  void CloseRemakes();
  void DropRemakes();

  // flow.cc
  void NoteInput(OperatorRun& run);
  void Flush(OperatorRun& run);
  void CheckFinished(OperatorRun& run);
  void CloseOperator(OperatorRun& run);
  void CloseAboveLimits();
  void Deliver();
  void CloseAll();
  void FinishIfDone();

  // failures.cc
  void FailRun(const OperatorRun& run, Failure failure, const TaskRecord* task = nullptr);
  Failure OverLimit(const OperatorRun& run, std::int64_t peak_bytes, const char* noun,
                    const TaskRecord* task) const;

  OperatorRun& run(OperatorId id) { return runs_[static_cast<std::size_t>(id.value)]; }
  OperatorRun& last() { return runs_.back(); }
  bool IsOperator(OperatorId id) const {
    return id.value >= 0 && id.value < static_cast<std::int32_t>(runs_.size());
  }

  PhysicalPlan plan_;
  ExecutionOptions options_;
  BackendTraits traits_;
  std::int64_t errored_blocks_max_;

  RefLedger refs_;  // Outlives the operators' references.
  Ledger ledger_;
  JobMemory memory_;
  Reservation reservation_;
  ConcurrencyCapPolicy caps_;
  std::vector<std::unique_ptr<BackpressurePolicy>> policies_;  // The user's.
  mutable std::vector<OperatorLoad> loads_;  // Counters are kept; byte amounts by RefreshView.
  std::vector<OperatorRun> runs_;
  std::vector<std::size_t> exchanges_;  // Indices of exchange operators; and of those that may
  std::vector<std::size_t> spillers_;   // spill, as long as lineage is kept for them.
  std::vector<std::size_t> limits_;     // Indices of operators that may close their inputs.

  Resources total_;
  Resources used_;
  bool needs_stale_ = true;       // What is measured, or who may run, has changed.
  bool has_short_tasks_ = false;  // Some operator has an ahead_factor.
  bool actor_waits_ = false;      // A pool would start an actor but for resources.
  std::set<std::pair<std::size_t, std::uint64_t>> alone_;  // Retries that are to run alone:
                                                           // operator, ordinal.
  std::int64_t num_active_ = 0;                            // Tasks in kRunning.
  std::int64_t num_parked_ = 0;

  Remakes remakes_;
  std::map<ObjectId, std::int64_t> inputs_kept_;  // Blocks from before the run that may be needed
                                                  // again: how many references nobody else has.

  std::int64_t wanted_ = 0;  // Blocks that the consumer still asks for.
  std::deque<std::pair<OperatorId, std::int64_t>> delivered_;  // Charged to kConsumer, in order.

  std::int64_t errored_blocks_ = 0;
  std::optional<Failure> failure_;
  bool stopping_ = false;
  bool finish_pushed_ = false;
  std::int64_t overrides_ = 0;

  std::optional<Instant> now_;      // Of the last event.
  std::vector<ObjectId> unwanted_;  // Objects of events that were ignored.
  std::vector<Action> actions_;
};

}  // namespace headrace
