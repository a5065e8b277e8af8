#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "headrace/control/schedule/physical_operator.h"

// Operators that pass blocks on and need no tasks of their own (the limit: at most one).

namespace headrace {

/// Blocks that existed before the run. They are the operator's output from the start.
class InputBlocks final : public PhysicalOperator {
 public:
  using PhysicalOperator::PhysicalOperator;

  /// Gives the operator its next block, which stands in its owner's kOutputQueue.
  void Add(RefBundle::Item item) { Emit(std::move(item), Place::kOutputQueue); }

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override;
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  void Close() override { DiscardOutputs(); }
  bool HasWork() const override { return false; }
  ProposedTask TakeWork() override;
  bool exhausted() const override { return true; }
  std::int64_t queued_blocks() const override { return 0; }
  std::int64_t queued_bytes() const override { return 0; }
  std::int64_t tasks_total() const override { return 0; }
};

/// Passes the first rows, in the order in which its input comes; cuts the last block by a task.
class LimitBlocks final : public PhysicalOperator {
 public:
  LimitBlocks(const LimitOperator& spec, Ledger* ledger)
      : PhysicalOperator(ledger), spec_(spec), rows_left_(spec.rows) {}

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override { input_ended_ = true; }
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override {}
  void Close() override;
  bool HasWork() const override { return cut_.has_value(); }
  ProposedTask TakeWork() override;
  ProposedTask TakeAgain(std::uint64_t ordinal) override;
  bool wants_input() const override { return rows_left_ > 0 && !closed_; }
  bool exhausted() const override { return (input_ended_ || !wants_input()) && !cut_; }
  std::int64_t queued_blocks() const override { return cut_ ? 1 : 0; }
  std::int64_t queued_bytes() const override { return cut_ ? cut_->info.num_bytes : 0; }
  void AddTo(std::vector<std::int64_t>* book) const override;

 private:
  const LimitOperator& spec_;
  std::int64_t rows_left_;
  std::optional<RefBundle::Item> cut_;  // The block to cut.
  std::int64_t cut_rows_ = 0;           // Rows to keep of it.
  Position cut_position_;               // Of the task,
  BlockName cut_name_;                  // and what it cuts.
  bool input_ended_ = false;
  bool closed_ = false;
};

/// Passes the blocks of all inputs; `ordered`: those of input 0 first, then those of input 1, ...
/// Positions get the input's number as first part.
class UnionBlocks final : public PhysicalOperator {
 public:
  UnionBlocks(int num_inputs, bool ordered, Ledger* ledger);

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override;
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  void Close() override;
  bool HasWork() const override { return false; }
  ProposedTask TakeWork() override;
  int needed_input() const override;
  bool exhausted() const override { return inputs_open_ == 0; }
  std::int64_t queued_blocks() const override { return queued_blocks_; }
  std::int64_t queued_bytes() const override { return queued_bytes_; }
  void AddTo(std::vector<std::int64_t>* book) const override;

 private:
  struct Input {
    std::deque<RefBundle::Item> waiting;
    bool ended = false;
  };
  void PassOn();

  std::vector<Input> inputs_;
  bool ordered_;
  std::size_t current_ = 0;  // Ordered: the input whose blocks pass now.
  int inputs_open_;
  std::int64_t queued_blocks_ = 0;
  std::int64_t queued_bytes_ = 0;
  bool closed_ = false;
};

/// Passes blocks of its inputs by turns; see MixOperator. A block waits here until its turn.
class MixBlocks final : public PhysicalOperator {
 public:
  /// Requires: `spec` outlives the operator.
  MixBlocks(const MixOperator& spec, Ledger* ledger);

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override;
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  void Close() override;
  bool HasWork() const override { return false; }
  ProposedTask TakeWork() override;
  bool wants_input() const override { return !done_; }
  int needed_input() const override { return std::max(Next(), 0); }
  bool exhausted() const override { return done_; }
  std::int64_t queued_blocks() const override { return queued_blocks_; }
  std::int64_t queued_bytes() const override { return queued_bytes_; }
  void AddTo(std::vector<std::int64_t>* book) const override;

 private:
  struct Input {
    double share = 0;  // Of all rows.
    std::int64_t rows = 0;
    std::deque<RefBundle::Item> waiting;
    bool ended = false;

    bool used_up() const { return ended && waiting.empty(); }
  };

  /// Passes what has its turn now.
  void PassOn();
  /// Returns the number of the input that has its turn, whether or not it has a block; -1 at the
  /// end.
  int Next() const;
  /// Ends the output: drops what waits.
  void Finish();

  bool stop_on_shortest_;
  std::vector<Input> inputs_;
  std::uint32_t turns_ = 0;
  std::int64_t rows_ = 0;  // That have passed.
  std::int64_t queued_blocks_ = 0;
  std::int64_t queued_bytes_ = 0;
  bool done_ = false;
};

}  // namespace headrace
