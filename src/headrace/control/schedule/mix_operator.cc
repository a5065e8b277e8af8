#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/stream_operators.h"

namespace headrace {

MixBlocks::MixBlocks(const MixOperator& spec, Ledger* ledger)
    : PhysicalOperator(ledger),
      stop_on_shortest_(spec.stop_on_shortest),
      inputs_(spec.weights.size()) {
  double all = 0;
  for (const double weight : spec.weights) all += weight;
  for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i].share = spec.weights[i] / all;
}

void MixBlocks::OnInput(int input, RefBundle::Item block) {
  if (done_) return Discard(std::move(block), Place::kInputQueue);
  ++queued_blocks_;
  queued_bytes_ += block.info.num_bytes;
  inputs_[static_cast<std::size_t>(input)].waiting.push_back(std::move(block));
  PassOn();
}

void MixBlocks::OnInputEnd(int input) {
  inputs_[static_cast<std::size_t>(input)].ended = true;
  if (!done_) PassOn();
}

void MixBlocks::PassOn() {
  int next = Next();
  for (; next >= 0; next = Next()) {
    Input& input = inputs_[static_cast<std::size_t>(next)];
    if (input.waiting.empty()) return;
    RefBundle::Item item = std::move(input.waiting.front());
    input.waiting.pop_front();
    --queued_blocks_;
    queued_bytes_ -= item.info.num_bytes;
    input.rows += item.info.num_rows;
    rows_ += item.info.num_rows;
    auto& path = item.info.position.path;
    path.insert(path.begin(), turns_++);
    Emit(std::move(item), Place::kInputQueue);
  }
  Finish();
}

int MixBlocks::Next() const {
  if (stop_on_shortest_) {
    // What is used up must be known before the next turn, or the result would depend on timing.
    int unknown = -1;
    for (std::size_t i = inputs_.size(); i-- > 0;) {
      if (inputs_[i].used_up()) return -1;
      if (inputs_[i].waiting.empty()) unknown = static_cast<int>(i);
    }
    if (unknown >= 0) return unknown;
  }
  int neediest = -1;
  double most = 0;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (input.used_up()) continue;
    const double lack = input.share * static_cast<double>(rows_) - static_cast<double>(input.rows);
    if (neediest >= 0) {
      const double share = inputs_[static_cast<std::size_t>(neediest)].share;
      if (lack < most || (lack == most && input.share <= share)) continue;
    }
    neediest = static_cast<int>(i);
    most = lack;
  }
  return neediest;
}

void MixBlocks::OnBlock(std::uint64_t, RefBundle::Item) { HEADRACE_CHECK(false); }
void MixBlocks::OnTaskEnd(std::uint64_t) { HEADRACE_CHECK(false); }

ProposedTask MixBlocks::TakeWork() {
  HEADRACE_CHECK(false);
  return {};
}

void MixBlocks::Finish() {
  done_ = true;
  for (Input& input : inputs_) {
    for (RefBundle::Item& item : input.waiting) Discard(std::move(item), Place::kInputQueue);
    input.waiting.clear();
  }
  queued_blocks_ = queued_bytes_ = 0;
}

void MixBlocks::Close() {
  Finish();
  DiscardOutputs();
}

void MixBlocks::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  for (const Input& input : inputs_) {
    for (const RefBundle::Item& item : input.waiting) AddItem(item, Place::kInputQueue, book);
  }
}

}  // namespace headrace
