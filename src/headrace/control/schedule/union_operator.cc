#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/stream_operators.h"

namespace headrace {

UnionBlocks::UnionBlocks(int num_inputs, bool ordered, Ledger* ledger)
    : PhysicalOperator(ledger),
      inputs_(static_cast<std::size_t>(num_inputs)),
      ordered_(ordered),
      inputs_open_(num_inputs) {}

void UnionBlocks::OnInput(int input, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kInputQueue);
  auto& path = block.info.position.path;
  path.insert(path.begin(), static_cast<std::uint32_t>(input));
  if (!ordered_ || static_cast<std::size_t>(input) == current_) {
    return Emit(std::move(block), Place::kInputQueue);
  }
  ++queued_blocks_;
  queued_bytes_ += block.info.num_bytes;
  inputs_[static_cast<std::size_t>(input)].waiting.push_back(std::move(block));
}

void UnionBlocks::OnInputEnd(int input) {
  Input& entry = inputs_[static_cast<std::size_t>(input)];
  if (entry.ended) return;
  entry.ended = true;
  --inputs_open_;
  if (!closed_) PassOn();
}

void UnionBlocks::PassOn() {
  if (!ordered_) return;
  while (current_ < inputs_.size() && inputs_[current_].ended) {
    if (++current_ == inputs_.size()) return;
    for (RefBundle::Item& item : inputs_[current_].waiting) {
      --queued_blocks_;
      queued_bytes_ -= item.info.num_bytes;
      Emit(std::move(item), Place::kInputQueue);
    }
    inputs_[current_].waiting.clear();
  }
}

int UnionBlocks::needed_input() const {
  for (std::size_t i = ordered_ ? current_ : 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].ended) return static_cast<int>(i);
  }
  return 0;
}

void UnionBlocks::OnBlock(std::uint64_t, RefBundle::Item) { HEADRACE_CHECK(false); }
void UnionBlocks::OnTaskEnd(std::uint64_t) { HEADRACE_CHECK(false); }

ProposedTask UnionBlocks::TakeWork() {
  HEADRACE_CHECK(false);
  return {};
}

void UnionBlocks::Close() {
  closed_ = true;
  inputs_open_ = 0;
  for (Input& input : inputs_) {
    input.ended = true;
    for (RefBundle::Item& item : input.waiting) Discard(std::move(item), Place::kInputQueue);
    input.waiting.clear();
  }
  queued_blocks_ = queued_bytes_ = 0;
  DiscardOutputs();
}

void UnionBlocks::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  for (const Input& input : inputs_) {
    for (const RefBundle::Item& item : input.waiting) AddItem(item, Place::kInputQueue, book);
  }
}

}  // namespace headrace
