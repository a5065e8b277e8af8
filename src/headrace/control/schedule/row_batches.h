#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "headrace/base/small_vector.h"
#include "headrace/control/schedule/physical_operator.h"

namespace headrace {

/// Cuts its input, which comes in order, into batches of so many rows each: proposes a task for a
/// batch as soon as its rows are there (ExchangeKind::kRowBatches). The last batch may be smaller;
/// input without a row makes one task, for the schema.
///
/// Tasks share blocks, so the operator holds them, at kInputQueue, until the last task that reads
/// them has ended; the tasks hold nothing.
class RowBatches final : public PhysicalOperator {
 public:
  RowBatches(const ExchangeOperator& spec, bool ordered, Ledger* ledger);

  void OnInput(int input, RefBundle::Item block) override;
  void OnInputEnd(int input) override { input_ended_ = true; }
  void OnBlock(std::uint64_t ordinal, RefBundle::Item block) override;
  void OnTaskEnd(std::uint64_t ordinal) override;
  void Close() override;
  bool HasWork() const override;
  ProposedTask TakeWork() override;
  void KeepLineage(bool keep) override;
  ProposedTask TakeAgain(std::uint64_t ordinal) override;
  bool exhausted() const override { return input_ended_ && !HasWork(); }
  std::int64_t queued_blocks() const override { return static_cast<std::int64_t>(held_.size()); }
  std::int64_t queued_bytes() const override { return queued_bytes_; }
  std::int64_t tasks_total() const override;
  void AddTo(std::vector<std::int64_t>* book) const override;

 private:
  struct Held {
    RefBundle::Item item;
    std::int64_t rows_taken = 0;
    std::uint32_t readers = 0;  // Tasks that were proposed and have not ended.

    bool used_up() const { return rows_taken == item.info.num_rows; }
  };
  struct Part {
    BlockName name;
    RowRange rows;
  };
  /// Blocks are numbered in the order in which they came.
  Held& At(std::uint64_t number) { return held_[number - first_]; }
  /// Gives the task the next rows of block `number`, at most `rows`; returns how many.
  std::int64_t Take(std::uint64_t number, std::int64_t rows, ProposedTask* work);
  /// Releases blocks from the front that nobody reads or will read.
  void DropUsed();

  const ExchangeOperator& spec_;
  std::deque<Held> held_;       // Blocks first_, first_ + 1, ...
  std::uint64_t first_ = 0;     // The oldest block held.
  std::uint64_t next_ = 0;      // The first block with rows that no task has.
  std::int64_t rows_left_ = 0;  // That no task has.
  std::int64_t queued_bytes_ = 0;
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>>
      reading_;  // Task: blocks [a, b).
  std::uint64_t tasks_taken_ = 0;
  std::deque<SmallVector<Part, 2>> lineage_;  // Of each task, if it is kept.
  bool input_ended_ = false;
  bool closed_ = false;
};

}  // namespace headrace
