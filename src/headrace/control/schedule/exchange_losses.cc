#include <arrow/type.h>

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/exchange_operator.h"

// Blocks of an exchange that are lost, and tasks that run again.
//
//   live ──MarkLost──▶ lost ──no task reads it──▶ without an object ──Restore──▶ live
//   dropped ──a task is to run again that reads it──────────┘
//
// What a task read is not written down anywhere: the plan tells it a second time.

namespace headrace {

/// Notes that the block, which is live, is lost.
void ExchangeBlocks::Lose(Held& held) {
  StopSpilling(held);
  Update(held, [&] { held.lost = true; });
  lost_.emplace(held.item.name(), &held);
}

/// Gives up a lost block, and asks for it, unless a task still reads it.
void ExchangeBlocks::Detach(Held& held) {
  if (!held.lost || held.readers != held.waiting || held.item.object.empty()) return;
  const std::int64_t bytes = std::exchange(held.item.info.num_bytes, 0);
  queued_bytes_ -= bytes;
  ledger_->Release(held.item.owner, place_of(held), bytes);
  held.spilled = false;
  held.item.object = {};
  missing_.push_back(held.item.name());
}

/// Brings the place of a block back that was dropped.
void ExchangeBlocks::TakeBack(Held& held) {
  if (held.is_live) return;
  held.is_live = true;
  held.spilled = false;
  held.item.info.num_bytes = 0;
  ++queued_blocks_;
  Lose(held);
  missing_.push_back(held.item.name());
}

std::vector<BlockName> ExchangeBlocks::MarkLost(const std::vector<ObjectId>& objects) {
  std::vector<BlockName> names;
  for (auto& input : inputs_) {
    for (Held& held : input) {
      if (!held.is_live || held.lost || held.item.object.empty()) continue;
      if (std::find(objects.begin(), objects.end(), held.item.object.id()) == objects.end()) {
        continue;
      }
      names.push_back(held.item.name());
      Lose(held);
      Detach(held);
    }
  }
  return names;
}

std::vector<BlockName> ExchangeBlocks::TakeMissing() {
  std::vector<BlockName> missing = std::exchange(missing_, {});
  std::erase_if(missing, [this](const BlockName& name) { return !lost_.contains(name); });
  return missing;
}

Status ExchangeBlocks::Restore(RefBundle::Item block) {
  const auto at = lost_.find(block.name());
  if (at == lost_.end() || !at->second->item.object.empty()) {  // Nobody waits for it any more.
    Discard(std::move(block), Place::kOutputQueue);
    return Status::OK();
  }
  Held& held = *at->second;
  const BlockInfo& before = held.item.info;
  const bool same_schema =
      before.schema == block.info.schema || before.schema == nullptr ||
      (block.info.schema != nullptr && before.schema->Equals(*block.info.schema));
  const bool same_index =
      before.index == block.info.index || (before.index != nullptr && block.info.index != nullptr &&
                                           *before.index == *block.info.index);
  if (before.num_rows != block.info.num_rows || !same_schema || !same_index) {
    const std::int64_t rows = block.info.num_rows;
    Discard(std::move(block), Place::kOutputQueue);
    return Status::Invalid("it was made again with ", rows, " rows",
                           rows == before.num_rows ? ", of other values" : "", ", not with the ",
                           before.num_rows,
                           " that it had: a function or a file is not the same "
                           "each time");
  }
  lost_.erase(at);
  const std::int64_t bytes = block.info.num_bytes;
  ledger_->Move(block.owner, Place::kOutputQueue, Place::kInputQueue, bytes);
  queued_bytes_ += bytes;
  held.item.object = std::move(block.object);
  held.item.info.num_bytes = bytes;
  held.refused = 0;
  Update(held, [&] { held.lost = false; });
  return Status::OK();
}

// ---- Tasks that read them ---------------------------------------------------------------------

void ExchangeBlocks::KeepLineage(bool keep) {
  PhysicalOperator::KeepLineage(keep);
  if (!keep) std::exchange(lineage_, {});
}

bool ExchangeBlocks::CanTakeAgain(std::uint64_t ordinal) const {
  const bool merges = !streams() && (pass_ || ordinal < pass_tasks_);  // What they read is gone.
  return keeps_lineage() && !merges;
}

ProposedTask ExchangeBlocks::TakeAgain(std::uint64_t ordinal) {
  ProposedTask work{.program = spec_.program, .held = {}, .position = {}};
  std::vector<std::uint32_t>& reads = reading_[ordinal];
  if (streams()) {
    const Streamed& task = lineage_[ordinal];
    work.position = task.position;
    work.held.items.push_back(Lost(task.input));
    work.shared_first = spec_.small_input == 0;
    work.left_inputs = work.shared_first ? static_cast<std::uint32_t>(blocks_.size()) : 1;
    for (std::uint32_t block = 0; block < blocks_.size(); ++block) reads.push_back(block);
    work.ranges.resize(blocks_.size() + 1);
  } else {
    const auto number = static_cast<std::uint32_t>(ordinal - pass_tasks_);
    ExchangeWork planned = plan_->WorkOf(number);
    for (const BlockPart& part : planned.parts) {
      reads.push_back(part.block);
      work.ranges.push_back(part.range);
    }
    work.left_inputs = planned.left_parts;
    work.keys = std::move(planned.keys);
    work.position.path = {number};
  }
  for (const std::uint32_t block : reads) {
    Held& held = *blocks_[block];
    TakeBack(held);
    ++held.readers;
    ++held.waiting;
  }
  return work;
}

void ExchangeBlocks::OnAgainEnd(std::uint64_t ordinal) {
  EndReading(ordinal);
  DropSmallIfDone();
}

void ExchangeBlocks::Unread(std::uint64_t ordinal) {
  const auto at = reading_.find(ordinal);
  if (at == reading_.end()) return;
  for (const std::uint32_t block : at->second) {
    Held& held = *blocks_[block];
    Update(held, [&] { ++held.waiting; });
    Detach(held);
  }
}

void ExchangeBlocks::Reread(std::uint64_t ordinal, ProposedTask* work) {
  const auto at = reading_.find(ordinal);
  if (at == reading_.end()) return;
  if (work != nullptr) work->shared.clear();
  for (const std::uint32_t block : at->second) {
    Held& held = *blocks_[block];
    Update(held, [&] { --held.waiting; });
    if (work != nullptr) work->shared.push_back(held.item.object.id());
  }
}

void ExchangeBlocks::TakeSideAgain() {
  HEADRACE_CHECK(broadcasts());
  for (Held* held : blocks_) {
    TakeBack(*held);
    ++held->readers;
    ++held->waiting;
  }
}

void ExchangeBlocks::UnreadSide() {
  for (Held* held : blocks_) {
    ++held->waiting;
    Detach(*held);
  }
}

void ExchangeBlocks::RereadSide(ProposedTask* work) {
  for (Held* held : blocks_) {
    --held->waiting;
    if (work != nullptr) work->side_inputs.push_back(held->item.object.id());
  }
  if (work != nullptr) work->sides.push_back(static_cast<std::uint32_t>(blocks_.size()));
}

}  // namespace headrace
