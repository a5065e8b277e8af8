#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/base/status.h"
#include "headrace/block/bundle.h"
#include "headrace/control/account/ledger.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/output_order.h"
#include "headrace/protocol/event.h"

// The driver's half of an operator. The worker's half is a TaskProgram, run by data/.
//
//   open ── every input ended ──▶ draining ── no work, no tasks, no output ──▶ finished
//     └──────────── Close(): nobody wants more output ──────────────────────▶ (tasks end)
//
// An operator proposes work and the scheduler disposes of it. It starts nothing, waits for
// nothing, reads no clock and takes no lock; every method is O(1) in the volume of data.
//
// The methods come in five groups: A what it is, B what happened, C what it wants, D what it
// holds, E what was lost. After any call in B, the caller may use C until it says no.
//
// Accounts: a block given to OnInput stands in its owner's kInputQueue, one given to OnBlock or
// taken by TakeOutput in its owner's kOutputQueue; the operator makes the entries between. The
// caller moves what TakeWork gives from kInputQueue to kTaskInput.

namespace headrace {

/// Work that an operator proposes. The scheduler keeps `held` until the work ends for good, so
/// that inputs outlive their task and a task whose worker was lost can be ordered again. Inputs
/// that other tasks read too stay with the operator: until OnTaskEnd() at least.
struct ProposedTask {
  ProgramPtr program;
  RefBundle held;                       // Inputs; empty for sources.
  std::vector<ObjectId> shared{};       // Inputs that the operator holds.
  bool shared_first = false;            // They come before `held`, else after.
  std::vector<RowRange> ranges{};       // As in TaskOrder.
  std::uint32_t left_inputs = 0;        // As in TaskOrder.
  std::optional<KeyRange> keys{};       // As in TaskOrder.
  std::vector<ObjectId> side_inputs{};  // Inputs that exchanges hold, and
  std::vector<std::uint32_t> sides{};   // as in TaskOrder: how many of each.
  const UnitGroup* units = nullptr;     // Sources: the read units. In the plan.
  Position position;
};

class PhysicalOperator {
 public:
  explicit PhysicalOperator(Ledger* ledger, OutputOrder order = {}) : ledger_(ledger) {
    if (order.ordered) order_.emplace(order.large_rows);
  }
  virtual ~PhysicalOperator() = default;
  PhysicalOperator(const PhysicalOperator&) = delete;
  PhysicalOperator& operator=(const PhysicalOperator&) = delete;

  /// The outputs of its tasks leave in the tasks' order.
  bool ordered() const { return order_.has_value(); }

  // B. What happened.

  /// Takes a block of input number `input`.
  virtual void OnInput(int input, RefBundle::Item block) = 0;
  virtual void OnInputEnd(int input) = 0;
  /// Takes an output of the running task `ordinal`; a task's outputs come in order.
  virtual void OnBlock(std::uint64_t ordinal, RefBundle::Item block) = 0;
  /// The task is over for good, not to be retried. Tasks are numbered as TakeWork gave them.
  virtual void OnTaskEnd(std::uint64_t ordinal) = 0;

  /// Objects that ChooseSpills() gave are on disk, or stay. Others are ignored; false: all were.
  virtual bool OnSpilled(const event::ObjectsSpilled& e) { return false; }

  /// Nobody needs more output: drops what is queued, proposes no more work, passes nothing on.
  /// Idempotent.
  virtual void Close() = 0;

  // C. What it wants.

  virtual bool HasWork() const = 0;
  /// Gives away the next work, in order of position where the inputs are; the caller starts it.
  /// Requires: HasWork().
  [[nodiscard]] virtual ProposedTask TakeWork() = 0;

  /// False once no more input will be used: the caller closes what is upstream.
  virtual bool wants_input() const { return true; }

  /// Returns the number of the input that the operator cannot go on without. For liveness.
  virtual int needed_input() const { return 0; }

  /// Chooses blocks to spill of at least `bytes`, if there are so many, those that are needed last
  /// first; none that a task may be reading. The caller orders it.
  [[nodiscard]] virtual std::vector<ObjectId> ChooseSpills(std::int64_t bytes) { return {}; }

  bool HasOutput() const { return !outputs_.empty(); }
  /// Requires: HasOutput().
  [[nodiscard]] RefBundle::Item TakeOutput() {
    RefBundle::Item item = std::move(outputs_.front());
    outputs_.pop_front();
    return item;
  }

  // D. What it holds.

  /// True if no work and no output will come any more but by the tasks that run.
  virtual bool exhausted() const = 0;

  /// What waits for a task here.
  virtual std::int64_t queued_blocks() const = 0;
  virtual std::int64_t queued_bytes() const = 0;
  /// What ChooseSpills() could choose, what it chose that is on its way, and what it ever moved.
  virtual std::int64_t spillable_bytes() const { return 0; }
  virtual std::int64_t spilling_bytes() const { return 0; }
  virtual std::int64_t spilled_bytes_total() const { return 0; }

  /// Whether what its tasks yield now stays with it, and is no output.
  virtual bool keeps_outputs() const { return false; }

  /// An error if the inputs do not fit together. The caller ends the run.
  virtual Status status() const { return Status::OK(); }

  /// Tasks that the operator will have started in all, or -1 if that is not known yet.
  virtual std::int64_t tasks_total() const { return -1; }

  /// Adds the bytes held here, by place, to the accounts of their owners in `book`, which has
  /// kNumPlaces entries an operator. For Scheduler::CheckInvariants.
  virtual void AddTo(std::vector<std::int64_t>* book) const;

  // E. What was lost, and tasks that run again for it; see remakes.cc.

  /// Keeps what TakeAgain() needs of each task from now on, or drops it.
  virtual void KeepLineage(bool keep) { keeps_lineage_ = keep; }
  bool keeps_lineage() const { return keeps_lineage_; }
  /// Whether task `ordinal`, which has started once, can run again.
  virtual bool CanTakeAgain(std::uint64_t ordinal) const { return keeps_lineage_; }
  /// Gives the work of task `ordinal`, which has ended, once more. The blocks that it is to hold
  /// have no object, but their name; of those that the operator holds, it reads none until
  /// Reread(). Requires: CanTakeAgain().
  [[nodiscard]] virtual ProposedTask TakeAgain(std::uint64_t ordinal);
  /// A task that TakeAgain() gave is over.
  virtual void OnAgainEnd(std::uint64_t ordinal) {}

  /// The task does not read the blocks that the operator holds for it, and will again. With a null
  /// `work` it reads them only as far as the books go.
  virtual void Unread(std::uint64_t ordinal) {}
  virtual void Reread(std::uint64_t ordinal, ProposedTask* work) {}

  /// Notes which of the blocks held here for tasks are among `objects`, whose bytes are gone.
  /// Returns their names. Until all are restored, no task may start that reads any.
  virtual std::vector<BlockName> MarkLost(const std::vector<ObjectId>& objects) { return {}; }
  /// Gives those that lack, each once: lost ones that no task reads any more.
  [[nodiscard]] virtual std::vector<BlockName> TakeMissing() { return {}; }
  /// Takes a block that was made again and stands in its owner's kOutputQueue, in the place of the
  /// lost one. Fails if it is another one.
  virtual Status Restore(RefBundle::Item block);
  virtual std::int64_t lost_blocks() const { return 0; }

 protected:
  /// Passes a block on as output; `from` is where it stands.
  void Emit(RefBundle::Item item, Place from) {
    if (from != Place::kOutputQueue) {
      ledger_->Move(item.owner, from, Place::kOutputQueue, item.info.num_bytes);
    }
    outputs_.push_back(std::move(item));
  }
  /// Passes on an output of task `ordinal`, which stands in kOutputQueue, when its turn has come.
  void EmitOf(std::uint64_t ordinal, RefBundle::Item item) {
    if (!order_) return Emit(std::move(item), Place::kOutputQueue);
    order_->Add(ordinal, std::move(item));
    EmitInOrder();
  }
  /// No more outputs of task `ordinal` will come.
  void EndOutputsOf(std::uint64_t ordinal) {
    if (!order_) return;
    order_->End(ordinal);
    EmitInOrder();
  }
  /// Releases a block that nobody wants; `from` is where it stands.
  void Discard(RefBundle::Item item, Place from) {
    ledger_->Release(item.owner, from, item.info.num_bytes);
  }
  /// Releases all outputs, also those whose turn has not come.
  void DiscardOutputs() {
    if (order_) {
      for (RefBundle::Item& item : order_->TakeAll()) Discard(std::move(item), Place::kOutputQueue);
    }
    for (RefBundle::Item& item : outputs_) Discard(std::move(item), Place::kOutputQueue);
    outputs_.clear();
  }
  static void AddItem(const RefBundle::Item& item, Place place, std::vector<std::int64_t>* book) {
    (*book)[static_cast<std::size_t>(item.owner.value * kNumPlaces + static_cast<int>(place))] +=
        item.info.num_bytes;
  }

  /// A block that is to be made again.
  static RefBundle::Item Lost(const BlockName& name) {
    return {{}, {}, name.op, name.task, name.index};
  }

  Ledger* ledger_;

 private:
  bool keeps_lineage_ = false;

  void EmitInOrder() {
    while (order_->HasNext()) Emit(order_->TakeNext(), Place::kOutputQueue);
  }

  std::deque<RefBundle::Item> outputs_;
  std::optional<OrderBuffer> order_;
};

inline void PhysicalOperator::AddTo(std::vector<std::int64_t>* book) const {
  for (const RefBundle::Item& item : outputs_) AddItem(item, Place::kOutputQueue, book);
  if (!order_) return;
  order_->ForEach([&](const RefBundle::Item& item) { AddItem(item, Place::kOutputQueue, book); });
}

inline ProposedTask PhysicalOperator::TakeAgain(std::uint64_t) {
  HEADRACE_CHECK(false);
  return {};
}

inline Status PhysicalOperator::Restore(RefBundle::Item block) {
  Discard(std::move(block), Place::kOutputQueue);
  return Status::OK();
}

struct ExchangePlace;

/// Makes the driver's half of `spec`, which must outlive it. Ordered outputs leave in order of the
/// inputs, which come in order (but an exchange puts its own in order).
std::unique_ptr<PhysicalOperator> MakeOperator(const OperatorSpec& spec, OutputOrder order,
                                               const ExchangePlace& place, Ledger* ledger);

}  // namespace headrace
