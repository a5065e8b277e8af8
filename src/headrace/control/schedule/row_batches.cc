#include "headrace/control/schedule/row_batches.h"

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"

namespace headrace {

RowBatches::RowBatches(const ExchangeOperator& spec, bool ordered, Ledger* ledger)
    : PhysicalOperator(ledger, {ordered}), spec_(spec) {
  HEADRACE_CHECK(spec.rows_per_partition > 0);
}

void RowBatches::OnInput(int, RefBundle::Item block) {
  // One block without rows serves where there is no other.
  const bool useless = block.info.num_rows == 0 && (tasks_taken_ > 0 || !held_.empty());
  if (closed_ || useless) return Discard(std::move(block), Place::kInputQueue);
  rows_left_ += block.info.num_rows;
  queued_bytes_ += block.info.num_bytes;
  held_.push_back({std::move(block)});
}

bool RowBatches::HasWork() const {
  if (closed_) return false;
  if (rows_left_ >= spec_.rows_per_partition) return true;
  return input_ended_ && (rows_left_ > 0 || (tasks_taken_ == 0 && !held_.empty()));
}

ProposedTask RowBatches::TakeWork() {
  HEADRACE_CHECK(HasWork());
  ProposedTask work{.program = spec_.program, .held = {}, .position = {}};
  std::int64_t wanted = std::min(rows_left_, spec_.rows_per_partition);
  while (wanted > 0 && At(next_).used_up()) ++next_;
  const std::uint64_t begin = next_;
  rows_left_ -= wanted;
  if (keeps_lineage()) lineage_.emplace_back();
  do {
    wanted -= Take(next_, wanted, &work);
    if (keeps_lineage()) {
      lineage_.back().push_back({At(next_).item.name(), work.ranges.back()});
    }
    if (wanted > 0) ++next_;
  } while (wanted > 0);
  work.left_inputs = static_cast<std::uint32_t>(work.shared.size());
  work.position.path = {static_cast<std::uint32_t>(tasks_taken_)};
  reading_.emplace(tasks_taken_++, std::pair{begin, next_ + 1});
  return work;
}

std::int64_t RowBatches::Take(std::uint64_t number, std::int64_t rows, ProposedTask* work) {
  Held& held = At(number);
  const std::int64_t taken = std::min(rows, held.item.info.num_rows - held.rows_taken);
  work->shared.push_back(held.item.object.id());
  work->ranges.push_back({held.rows_taken, held.rows_taken + taken});
  held.rows_taken += taken;
  ++held.readers;
  return taken;
}

void RowBatches::KeepLineage(bool keep) {
  PhysicalOperator::KeepLineage(keep);
  if (!keep) std::exchange(lineage_, {});
}

/// What the blocks that were shared are then, is its own.
ProposedTask RowBatches::TakeAgain(std::uint64_t ordinal) {
  ProposedTask work{.program = spec_.program, .held = {}, .position = {}};
  for (const auto& [name, rows] : lineage_[ordinal]) {
    work.held.items.push_back(Lost(name));
    work.ranges.push_back(rows);
  }
  work.left_inputs = static_cast<std::uint32_t>(work.held.items.size());
  work.position.path = {static_cast<std::uint32_t>(ordinal)};
  return work;
}

void RowBatches::OnBlock(std::uint64_t ordinal, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kOutputQueue);
  EmitOf(ordinal, std::move(block));
}

void RowBatches::OnTaskEnd(std::uint64_t ordinal) {
  const auto read = reading_.find(ordinal);
  HEADRACE_CHECK(read != reading_.end());
  const auto [begin, end] = read->second;
  for (std::uint64_t number = begin; number < end; ++number) --At(number).readers;
  reading_.erase(read);
  DropUsed();
  if (!closed_) EndOutputsOf(ordinal);
}

void RowBatches::DropUsed() {
  const auto unused = [this](const Held& held) {
    return held.readers == 0 && (closed_ || (held.used_up() && tasks_taken_ > 0));
  };
  while (!held_.empty() && unused(held_.front())) {
    queued_bytes_ -= held_.front().item.info.num_bytes;
    Discard(std::move(held_.front().item), Place::kInputQueue);
    held_.pop_front();
    ++first_;
  }
  next_ = std::max(next_, first_);
}

void RowBatches::Close() {
  closed_ = input_ended_ = true;
  rows_left_ = 0;
  DropUsed();
  DiscardOutputs();
}

std::int64_t RowBatches::tasks_total() const {
  if (!input_ended_) return -1;
  const std::int64_t batches =
      (rows_left_ + spec_.rows_per_partition - 1) / spec_.rows_per_partition;
  return static_cast<std::int64_t>(tasks_taken_) +
         std::max<std::int64_t>(batches, HasWork() ? 1 : 0);
}

void RowBatches::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  for (const Held& held : held_) AddItem(held.item, Place::kInputQueue, book);
}

}  // namespace headrace
