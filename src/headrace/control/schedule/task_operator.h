#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "headrace/base/small_vector.h"
#include "headrace/control/schedule/physical_operator.h"

namespace headrace {

/// A fused chain without an input: proposes one task per group of read units, in order.
class SourceOperator final : public PhysicalOperator {
 public:
  SourceOperator(const TaskOperator& spec, OutputOrder order, Ledger* ledger);

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override;
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  void Close() override;
  bool HasWork() const override { return next_group_ < num_groups_; }
  ProposedTask TakeWork() override;
  ProposedTask TakeAgain(std::uint64_t ordinal) override;
  bool exhausted() const override { return !HasWork(); }
  std::int64_t queued_blocks() const override { return 0; }
  std::int64_t queued_bytes() const override { return 0; }
  std::int64_t tasks_total() const override {
    return static_cast<std::int64_t>(spec_.unit_groups.size());
  }

 private:
  const TaskOperator& spec_;
  std::size_t next_group_ = 0;
  std::size_t num_groups_;
  bool closed_ = false;
};

/// A fused chain over one input, in stateless tasks or in actors: proposes one task per bundle.
///
/// Bundles: with min_bundle_rows, blocks are joined in the order in which they come until they
/// have that many rows; the last bundle may be smaller. So they depend on data and plan alone,
/// given that the input is ordered, which the scheduler sees to. Where large blocks come before
/// their turn (OrderBuffer), they stand alone, and small ones are joined with their neighbours.
/// With a piece_depth no bundle has blocks of two pieces.
class MapOperator final : public PhysicalOperator {
 public:
  MapOperator(const TaskOperator& spec, OutputOrder order, Ledger* ledger);

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override;
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  void Close() override;
  bool HasWork() const override { return !bundles_.empty(); }
  ProposedTask TakeWork() override;
  void KeepLineage(bool keep) override;
  ProposedTask TakeAgain(std::uint64_t ordinal) override;
  bool exhausted() const override { return input_ended_ && bundles_.empty(); }
  std::int64_t queued_blocks() const override { return queued_blocks_; }
  std::int64_t queued_bytes() const override { return queued_bytes_; }
  std::int64_t tasks_total() const override {
    return input_ended_ ? tasks_taken_ + static_cast<std::int64_t>(bundles_.size()) : -1;
  }
  void AddTo(std::vector<std::int64_t>* book) const override;

 private:
  /// What a task was, without the blocks.
  struct Lineage {
    Position position;
    SmallVector<BlockName, 1> inputs;
  };
  void ClosePartial();
  bool SamePiece(const Position& a, const Position& b) const;
  void DiscardBundle(RefBundle bundle);

  const TaskOperator& spec_;
  std::deque<RefBundle> bundles_;
  RefBundle partial_;  // Fewer rows than min_bundle_rows.
  std::int64_t partial_rows_ = 0;
  std::int64_t queued_blocks_ = 0;
  std::int64_t queued_bytes_ = 0;
  std::int64_t tasks_taken_ = 0;
  std::deque<Lineage> lineage_;  // Of each task, if it is kept.
  bool input_ended_ = false;
  bool closed_ = false;
};

}  // namespace headrace
