#include <algorithm>
#include <cstddef>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/task_operator.h"

namespace headrace {

MapOperator::MapOperator(const TaskOperator& spec, OutputOrder order, Ledger* ledger)
    : PhysicalOperator(ledger, order), spec_(spec) {}

void MapOperator::OnInput(int, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kInputQueue);
  if (!partial_.items.empty() &&
      (block.ends_bundle || !SamePiece(partial_.position(), block.info.position))) {
    ClosePartial();
  }
  ++queued_blocks_;
  queued_bytes_ += block.info.num_bytes;
  if (block.stands_alone) {
    bundles_.emplace_back().items.push_back(std::move(block));
    return;
  }
  partial_rows_ += block.info.num_rows;
  partial_.items.push_back(std::move(block));
  if (partial_rows_ >= spec_.min_bundle_rows) ClosePartial();
}

void MapOperator::OnInputEnd(int) {
  input_ended_ = true;
  if (!partial_.items.empty()) ClosePartial();
}

void MapOperator::ClosePartial() {
  bundles_.push_back(std::exchange(partial_, {}));
  partial_rows_ = 0;
}

bool MapOperator::SamePiece(const Position& a, const Position& b) const {
  const auto depth = static_cast<std::size_t>(spec_.piece_depth);
  const auto& left = a.path;
  const auto& right = b.path;
  return std::equal(
      left.begin(), left.begin() + static_cast<std::ptrdiff_t>(std::min(depth, left.size())),
      right.begin(), right.begin() + static_cast<std::ptrdiff_t>(std::min(depth, right.size())));
}

void MapOperator::OnBlock(std::uint64_t ordinal, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kOutputQueue);
  EmitOf(ordinal, std::move(block));
}

void MapOperator::OnTaskEnd(std::uint64_t ordinal) {
  if (!closed_) EndOutputsOf(ordinal);
}

void MapOperator::DiscardBundle(RefBundle bundle) {
  for (RefBundle::Item& item : bundle.items) Discard(std::move(item), Place::kInputQueue);
}

void MapOperator::Close() {
  closed_ = true;
  input_ended_ = true;
  for (RefBundle& bundle : bundles_) DiscardBundle(std::move(bundle));
  bundles_.clear();
  DiscardBundle(std::exchange(partial_, {}));
  queued_blocks_ = queued_bytes_ = 0;
  DiscardOutputs();
}

ProposedTask MapOperator::TakeWork() {
  HEADRACE_CHECK(HasWork());
  ProposedTask work{.program = spec_.program, .held = std::move(bundles_.front()), .position = {}};
  bundles_.pop_front();
  work.position = work.held.position();
  queued_blocks_ -= static_cast<std::int64_t>(work.held.items.size());
  queued_bytes_ -= work.held.num_bytes();
  ++tasks_taken_;
  if (keeps_lineage()) {
    Lineage& lineage = lineage_.emplace_back(work.position, SmallVector<BlockName, 1>());
    lineage.inputs.reserve(work.held.items.size());
    for (const RefBundle::Item& item : work.held.items) lineage.inputs.push_back(item.name());
  }
  return work;
}

void MapOperator::KeepLineage(bool keep) {
  PhysicalOperator::KeepLineage(keep);
  if (!keep) std::exchange(lineage_, {});
}

ProposedTask MapOperator::TakeAgain(std::uint64_t ordinal) {
  const Lineage& lineage = lineage_[ordinal];
  ProposedTask work{.program = spec_.program, .held = {}, .position = lineage.position};
  for (const BlockName& name : lineage.inputs) work.held.items.push_back(Lost(name));
  return work;
}

void MapOperator::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  for (const RefBundle& bundle : bundles_) {
    for (const RefBundle::Item& item : bundle.items) AddItem(item, Place::kInputQueue, book);
  }
  for (const RefBundle::Item& item : partial_.items) AddItem(item, Place::kInputQueue, book);
}

}  // namespace headrace
