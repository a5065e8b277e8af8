#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/control/schedule/exchange_plan.h"
#include "headrace/control/schedule/merge_pass.h"
#include "headrace/control/schedule/physical_operator.h"

namespace headrace {

/// The driver's half of an exchange: holds all blocks of its inputs and, when these have ended,
/// proposes tasks over row ranges of them.
///
///   gathering ── every input ended: the plan ──▶ sharing out ── last task ended ──▶ exhausted
///       └─ too many runs ─▶ a pass of merges ─┘ (its outputs are blocks here; there may be more)
///
/// Tasks share blocks, so the operator holds them, at kInputQueue, until the last task that may
/// read them has ended; the tasks hold nothing. What it holds may go to disk (kSpilled).
///
/// Two kinds differ. kBroadcast gathers its small input only, and then proposes a task for each
/// block of the other as it comes. kPermuted has no tasks: its blocks are its output, all at once,
/// so it spills none.
///
/// A join that may broadcast its right input (ExchangeOperator::broadcast_bytes) decides when that
/// one has ended. If it does, it is a side() of the tasks that make the left input: what these
/// yield is the exchange's output, and it has no tasks of its own.
///
/// Every method takes constant time, but for the last OnInputEnd(), TakeWork(), ChooseSpills() and
/// MarkLost(), which take time in the number of blocks, and OnTaskEnd(), in that of the blocks that
/// it read.
///
/// Lost blocks (exchange_losses.cc). A lost block keeps its place in the plan and waits there for
/// one that was made again. Blocks that were dropped come back the same way, where a task is to run
/// again that reads them.
class ExchangeBlocks final : public PhysicalOperator {
 public:
  ExchangeBlocks(const ExchangeOperator& spec, std::size_t num_inputs, bool ordered,
                 const ExchangePlace& place, Ledger* ledger);

  /// Lets the right input's size decide. Requires: broadcast_bytes, and no input yet.
  void MayBroadcast() { choice_ = Choice::kOpen; }
  /// Whether that is still open, and whether the right input is a side.
  bool undecided() const { return choice_ == Choice::kOpen; }
  bool broadcasts() const { return choice_ == Choice::kBroadcast; }
  /// Gives a task the right input, all blocks in order; they live until as many ReturnSide() came
  /// and the left input has ended. Requires: broadcasts().
  void TakeSide(ProposedTask* work);
  void ReturnSide();
  /// For a task that runs again: as TakeSide() and then UnreadSide().
  void TakeSideAgain();
  /// As Unread() and Reread(), of one task.
  void UnreadSide();
  void RereadSide(ProposedTask* work);

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override;
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  bool OnSpilled(const event::ObjectsSpilled& e) override;
  void Close() override;

  bool HasWork() const override;
  ProposedTask TakeWork() override;
  int needed_input() const override;
  std::vector<ObjectId> ChooseSpills(std::int64_t bytes) override;

  bool exhausted() const override { return inputs_open_ == 0 && !pass_ && !HasWork(); }
  bool keeps_outputs() const override { return pass_.has_value(); }
  std::int64_t queued_blocks() const override { return queued_blocks_; }
  std::int64_t queued_bytes() const override { return queued_bytes_; }
  std::int64_t tasks_total() const override;
  std::int64_t spillable_bytes() const override { return spillable_bytes_; }
  std::int64_t spilling_bytes() const override { return spilling_bytes_; }
  std::int64_t spilled_bytes_total() const override { return spilled_bytes_total_; }
  Status status() const override { return status_; }
  void AddTo(std::vector<std::int64_t>* book) const override;

  void KeepLineage(bool keep) override;
  bool CanTakeAgain(std::uint64_t ordinal) const override;
  ProposedTask TakeAgain(std::uint64_t ordinal) override;
  void OnAgainEnd(std::uint64_t ordinal) override;
  void Unread(std::uint64_t ordinal) override;
  void Reread(std::uint64_t ordinal, ProposedTask* work) override;
  std::vector<BlockName> MarkLost(const std::vector<ObjectId>& objects) override;
  std::vector<BlockName> TakeMissing() override;
  Status Restore(RefBundle::Item block) override;
  std::int64_t lost_blocks() const override { return static_cast<std::int64_t>(lost_.size()); }

 private:
  struct Held {
    RefBundle::Item item;
    bool is_live = true;          // Not yet discarded.
    std::uint32_t readers = 0;    // Tasks that were proposed and have not ended; of these
    std::uint32_t waiting = 0;    // so many do not read it now, as blocks are lost.
    std::uint32_t last_task = 0;  // No task after it reads the block.
    bool lost = false;            // It is live; without an object, once no task reads it.
    bool spilling = false;
    bool spilled = false;
    std::uint8_t refused = 0;  // How often it was to be spilled and stayed.
  };

  /// A task over a block of the streamed input, without the block.
  struct Streamed {
    Position position;
    BlockName input;
  };

  enum class Choice : std::uint8_t { kNone, kOpen, kScatter, kBroadcast };

  bool streams() const { return spec_.kind == ExchangeKind::kBroadcast; }
  void Choose();
  Place place_of(const Held& held) const {
    return held.spilled ? Place::kSpilled : Place::kInputQueue;
  }
  /// Whether it counts in spillable_bytes_.
  bool MaySpill(const Held& held) const;
  /// Changes `held`, and what is counted of it.
  template <class Change>
  void Update(Held& held, Change change) {
    const std::int64_t bytes = held.item.info.num_bytes;
    if (MaySpill(held)) spillable_bytes_ -= bytes;
    change();
    if (MaySpill(held)) spillable_bytes_ += bytes;
  }

  void StopSpilling(Held& held);
  void Drop(Held& held);
  void DropIfDone(Held& held);
  void DropAll();
  void DropSmallIfDone();
  void EndReading(std::uint64_t ordinal);
  void Lose(Held& held);
  void Detach(Held& held);
  void TakeBack(Held& held);
  Status CheckTypes(const std::vector<InputInfos>& inputs) const;
  void Plan();
  void PlanNext(std::vector<InputInfos> infos);
  template <class TasksOf>
  void Await(const TasksOf& tasks_of);
  void KeepOutput(std::uint64_t ordinal, RefBundle::Item block);
  void EndPass();
  std::uint32_t num_planned() const;
  void EmitPermuted();
  ProposedTask TakePlanned();
  ProposedTask TakeStreamed();
  void AddInput(std::uint32_t block, const RowRange& range, ProposedTask* work);

  const ExchangeOperator& spec_;
  const ExchangePlace place_;
  const ProgramPtr merges_;               // Of passes; null: there are none.
  std::vector<std::deque<Held>> inputs_;  // Gathered, by input; sorted by the plan.
  std::vector<bool> ended_;
  int inputs_open_;
  std::vector<Held*> blocks_;  // By the plan's index.
  std::deque<Held*> by_last_task_;
  std::unique_ptr<ExchangePlan> plan_;
  std::optional<MergePass> pass_;                                // Before the plan.
  std::uint32_t passes_ = 0;                                     // That have ended; and
  std::uint64_t pass_tasks_ = 0;                                 // the tasks that they had.
  std::map<std::uint64_t, std::vector<Held*>> pass_outputs_;     // Of the pass, by task.
  std::uint32_t next_task_ = 0;                                  // Of the pass, or the plan.
  std::deque<RefBundle::Item> streamed_;                         // kBroadcast: waiting.
  std::map<std::uint64_t, std::vector<std::uint32_t>> reading_;  // By running task.
  std::map<ObjectId, std::vector<Held*>> spilling_;
  std::map<BlockName, Held*> lost_;
  std::vector<BlockName> missing_;  // Not given by TakeMissing() yet.
  std::deque<Streamed> lineage_;    // Of each task, if it is kept; kBroadcast.
  std::int64_t queued_blocks_ = 0;
  std::int64_t queued_bytes_ = 0;
  std::int64_t spillable_bytes_ = 0;
  std::int64_t spilling_bytes_ = 0;
  std::int64_t spilled_bytes_total_ = 0;
  std::uint64_t tasks_taken_ = 0;
  Status status_;
  Choice choice_ = Choice::kNone;
  bool closed_ = false;
};

}  // namespace headrace
