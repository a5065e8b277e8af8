#include "headrace/control/schedule/exchange_operator.h"

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/base/rng.h"
#include "headrace/block/unify.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {
namespace {

// The share of the budget that the sides of one join may have.
constexpr std::int64_t kSideShare = 16;

// How often a block may be asked for that then stays in memory.
constexpr std::uint8_t kRefusalsMax = 3;

// The columns by which the reduce side compares the rows of one input.
std::vector<std::string> KeysOf(const Step& step, std::size_t input) {
  if (const auto* merge = std::get_if<MergeStep>(&step)) return NamesOf(merge->keys);
  if (const auto* group = std::get_if<GroupStep>(&step)) return group->keys;
  if (const auto* fold = std::get_if<AggregateStep>(&step)) return fold->keys;
  if (const auto* join = std::get_if<JoinStep>(&step)) {
    return input == 0 ? join->left_keys : join->right_keys;
  }
  return {};
}

}  // namespace

ExchangeBlocks::ExchangeBlocks(const ExchangeOperator& spec, std::size_t num_inputs, bool ordered,
                               const ExchangePlace& place, Ledger* ledger)
    : PhysicalOperator(ledger, {ordered && spec.program != nullptr}),
      spec_(spec),
      place_(place),
      merges_(spec.kind == ExchangeKind::kRuns ? MergeProgram(spec) : nullptr),
      inputs_(num_inputs),
      ended_(num_inputs, false),
      inputs_open_(static_cast<int>(num_inputs)) {}

bool ExchangeBlocks::MaySpill(const Held& held) const {
  return held.is_live && held.readers == held.waiting && !held.lost && !held.spilling &&
         !held.spilled && held.refused < kRefusalsMax && held.item.info.num_bytes > 0 &&
         !streams() && !broadcasts() && spec_.kind != ExchangeKind::kPermuted &&
         !ledger_->borrowed(held.item.owner);
}

// ---- What happened ----------------------------------------------------------------------------

void ExchangeBlocks::OnInput(int input, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kInputQueue);
  if (broadcasts()) return Emit(std::move(block), Place::kInputQueue);
  ++queued_blocks_;
  queued_bytes_ += block.info.num_bytes;
  if (streams() && input != spec_.small_input) {
    streamed_.push_back(std::move(block));
    return;
  }
  Held& held = inputs_[static_cast<std::size_t>(input)].emplace_back();
  held.item = std::move(block);
  if (MaySpill(held)) spillable_bytes_ += held.item.info.num_bytes;
}

void ExchangeBlocks::OnInputEnd(int input) {
  const auto index = static_cast<std::size_t>(input);
  if (closed_ || ended_[index]) return;
  ended_[index] = true;
  --inputs_open_;
  if (undecided() && input == 1) Choose();
  if (!status_.ok()) return;
  if (broadcasts()) {
    if (inputs_open_ == 0) DropAll();
    return;
  }
  if (streams() ? input == spec_.small_input : inputs_open_ == 0) Plan();
  DropSmallIfDone();
}

/// Decides whether the right input, which has ended, is a side.
void ExchangeBlocks::Choose() {
  std::int64_t bytes = 0;
  std::vector<InputInfos> infos(2);
  for (const Held& held : inputs_[1]) {
    bytes += held.item.info.num_bytes;
    infos[1].push_back(&held.item.info);
  }
  if (status_ = CheckTypes(infos); !status_.ok()) {
    choice_ = Choice::kScatter;
    return DropAll();
  }
  if (bytes > std::min(spec_.broadcast_bytes, place_.budget_bytes / kSideShare)) {
    choice_ = Choice::kScatter;
    return;
  }
  spillable_bytes_ = 0;
  choice_ = Choice::kBroadcast;
  for (Held& held : inputs_[1]) blocks_.push_back(&held);
  std::stable_sort(blocks_.begin(), blocks_.end(), [](const Held* a, const Held* b) {
    return a->item.info.position < b->item.info.position;
  });
}

void ExchangeBlocks::TakeSide(ProposedTask* work) {
  HEADRACE_CHECK(broadcasts());
  for (Held* held : blocks_) {
    work->side_inputs.push_back(held->item.object.id());
    ++held->readers;
  }
  work->sides.push_back(static_cast<std::uint32_t>(blocks_.size()));
}

void ExchangeBlocks::ReturnSide() {
  for (Held* held : blocks_) {
    --held->readers;
    if (held->readers == 0 && (closed_ || inputs_open_ == 0)) Drop(*held);
    Detach(*held);
  }
}

/// Fails if blocks whose rows meet have types that cannot be unified. Tasks would notice too, but
/// only where such blocks happen to meet.
Status ExchangeBlocks::CheckTypes(const std::vector<InputInfos>& inputs) const {
  const bool meet = spec_.kind == ExchangeKind::kRuns || spec_.kind == ExchangeKind::kBuckets ||
                    spec_.kind == ExchangeKind::kGathered;
  if (!meet) return Status::OK();
  for (std::size_t input = 0; input < inputs.size(); ++input) {
    const InputInfos& infos = inputs[input];
    std::vector<SchemaPtr> schemas;
    std::vector<FileList> files;
    for (const BlockInfo* info : infos) {
      if (info->num_rows == 0 || !info->schema) continue;
      if (!schemas.empty() && schemas.back() == info->schema) continue;
      schemas.push_back(info->schema);
      files.push_back(info->input_files);
    }
    if (schemas.size() < 2) continue;
    ARROW_RETURN_NOT_OK(UnifySchemas(schemas, files).status());
    if (spec_.program == nullptr || spec_.program->steps.empty()) continue;
    ARROW_RETURN_NOT_OK(CheckComparable(KeysOf(spec_.program->steps.front(), input), schemas));
  }
  return Status::OK();
}

/// Puts the blocks in order and decides on the tasks.
void ExchangeBlocks::Plan() {
  std::vector<InputInfos> infos(inputs_.size());
  for (std::size_t input = 0; input < inputs_.size(); ++input) {
    const std::size_t first = blocks_.size();
    for (Held& held : inputs_[input]) blocks_.push_back(&held);
    std::stable_sort(
        blocks_.begin() + static_cast<std::ptrdiff_t>(first), blocks_.end(),
        [](const Held* a, const Held* b) { return a->item.info.position < b->item.info.position; });
    for (std::size_t i = first; i < blocks_.size(); ++i) {
      infos[input].push_back(&blocks_[i]->item.info);
    }
  }
  if (streams()) return;
  if (spec_.kind == ExchangeKind::kPermuted) return EmitPermuted();
  if (blocks_.empty() && spec_.kind != ExchangeKind::kGathered) return;
  if (status_ = CheckTypes(infos); !status_.ok()) return DropAll();
  PlanNext(std::move(infos));
}

/// Decides on the next pass of merges or, after the last one, on the tasks.
void ExchangeBlocks::PlanNext(std::vector<InputInfos> infos) {
  next_task_ = 0;
  if (merges_ != nullptr) {
    auto pass = MakeMergePass(spec_, infos.front(), place_);
    if (status_ = pass.status(); !status_.ok()) return DropAll();
    pass_ = *std::move(pass);
  }
  if (pass_) {
    return Await([this](std::uint32_t block) {
      // What no task reads waits for the pass after this one.
      return pass_->merged(block) ? pass_->TasksOf(block) : std::pair(0U, UINT32_MAX);
    });
  }
  auto plan = MakeExchangePlan(spec_, std::move(infos), place_);
  if (status_ = plan.status(); !status_.ok()) return DropAll();
  plan_ = *std::move(plan);
  Await([this](std::uint32_t block) { return plan_->TasksOf(block); });
}

/// Notes until which task each block is held.
template <class TasksOf>
void ExchangeBlocks::Await(const TasksOf& tasks_of) {
  by_last_task_.clear();
  for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
    const auto [first, last] = tasks_of(block);
    blocks_[block]->last_task = last;
    if (first > last) {
      Drop(*blocks_[block]);
    } else {
      by_last_task_.push_back(blocks_[block]);
    }
  }
  std::stable_sort(by_last_task_.begin(), by_last_task_.end(),
                   [](const Held* a, const Held* b) { return a->last_task < b->last_task; });
}

std::uint32_t ExchangeBlocks::num_planned() const {
  return pass_ ? pass_->num_tasks() : plan_ != nullptr ? plan_->num_tasks() : 0;
}

/// Takes an output of a pass among the blocks; it stands where an input does.
void ExchangeBlocks::KeepOutput(std::uint64_t ordinal, RefBundle::Item block) {
  const std::int64_t bytes = block.info.num_bytes;
  ledger_->Move(block.owner, Place::kOutputQueue, Place::kInputQueue, bytes);
  ++queued_blocks_;
  queued_bytes_ += bytes;
  Held& held = inputs_.front().emplace_back();
  held.item = std::move(block);
  held.last_task = UINT32_MAX;
  if (MaySpill(held)) spillable_bytes_ += bytes;
  pass_outputs_[ordinal - pass_tasks_].push_back(&held);
}

/// Puts the outputs of the pass in place of what it merged.
void ExchangeBlocks::EndPass() {
  std::vector<Held*> blocks;
  std::uint32_t group = UINT32_MAX, number = 0;
  pass_->ForEach([&](std::uint32_t block) { blocks.push_back(blocks_[block]); },
                 [&](std::uint32_t task, std::uint32_t first) {
                   if (group != first) number = 0;
                   group = first;
                   for (Held* held : pass_outputs_[task]) {
                     // A run is what differs in the last number.
                     held->item.info.position = blocks_[first]->item.info.position;
                     held->item.info.position.path.back() = number++;
                     blocks.push_back(held);
                   }
                 });
  for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
    if (pass_->merged(block)) blocks_[block]->item.info.index = nullptr;
  }
  pass_tasks_ += pass_->num_tasks();
  ++passes_;
  pass_.reset();
  pass_outputs_.clear();
  blocks_ = std::move(blocks);
  std::vector<InputInfos> infos(1);
  for (const Held* held : blocks_) infos.front().push_back(&held->item.info);
  if (blocks_.empty()) return;  // Tasks that failed, where the user lets some fail.
  PlanNext(std::move(infos));
}

void ExchangeBlocks::EmitPermuted() {
  Rng rng(spec_.seed);
  for (std::size_t left = blocks_.size(); left > 1; --left) {
    std::swap(blocks_[left - 1], blocks_[rng.Below(left)]);
  }
  std::uint32_t number = 0;
  for (Held* held : blocks_) {
    const Place from = place_of(*held);
    StopSpilling(*held);
    Update(*held, [&] { held->is_live = false; });
    held->item.info.position.path = {number++};
    Emit(std::move(held->item), from);
  }
  queued_blocks_ = queued_bytes_ = 0;
}

void ExchangeBlocks::OnBlock(std::uint64_t ordinal, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kOutputQueue);
  if (pass_) return KeepOutput(ordinal, std::move(block));
  EmitOf(ordinal, std::move(block));
}

/// A task has ended that reads blocks, if it reads any.
void ExchangeBlocks::EndReading(std::uint64_t ordinal) {
  if (const auto at = reading_.find(ordinal); at != reading_.end()) {
    for (const std::uint32_t block : at->second) {
      Held& held = *blocks_[block];
      Update(held, [&] { --held.readers; });
      if (closed_ && held.readers == 0) Drop(held);
      if (pass_ || plan_ != nullptr) DropIfDone(held);
      Detach(held);
    }
    reading_.erase(at);
  }
}

void ExchangeBlocks::OnTaskEnd(std::uint64_t ordinal) {
  EndReading(ordinal);
  if (closed_) return;
  DropSmallIfDone();
  EndOutputsOf(ordinal);
  if (pass_ && !HasWork() && reading_.empty()) EndPass();
}

/// Releases a block if no task reads it and none will.
void ExchangeBlocks::DropIfDone(Held& held) {
  if (held.readers == 0 && held.last_task < next_task_) Drop(held);
}

void ExchangeBlocks::DropSmallIfDone() {
  if (streams() && inputs_open_ == 0 && streamed_.empty() && reading_.empty()) DropAll();
}

bool ExchangeBlocks::OnSpilled(const event::ObjectsSpilled& e) {
  std::vector<ObjectId> spilled = e.spilled;
  std::sort(spilled.begin(), spilled.end());
  bool any = false;
  for (const ObjectId id : e.asked) {
    const auto at = spilling_.find(id);
    if (at == spilling_.end()) continue;
    any = true;
    const bool gone = std::binary_search(spilled.begin(), spilled.end(), id);
    for (Held* held : at->second) {
      const std::int64_t bytes = held->item.info.num_bytes;
      spilling_bytes_ -= bytes;
      Update(*held, [&] {
        held->spilling = false;
        held->spilled = gone;
        if (!gone) ++held->refused;
      });
      if (!gone) continue;
      spilled_bytes_total_ += bytes;
      ledger_->Move(held->item.owner, Place::kInputQueue, Place::kSpilled, bytes);
    }
    spilling_.erase(at);
  }
  return any;
}

/// Forgets that the block is on its way to disk.
void ExchangeBlocks::StopSpilling(Held& held) {
  if (!held.spilling) return;
  spilling_bytes_ -= held.item.info.num_bytes;
  const auto at = spilling_.find(held.item.object.id());
  std::erase(at->second, &held);
  if (at->second.empty()) spilling_.erase(at);
  Update(held, [&] { held.spilling = false; });
}

/// Releases a block that no task needs any more.
void ExchangeBlocks::Drop(Held& held) {
  if (!held.is_live) return;
  const std::int64_t bytes = held.item.info.num_bytes;
  StopSpilling(held);
  Update(held, [&] { held.is_live = false; });
  if (std::exchange(held.lost, false)) lost_.erase(held.item.name());
  --queued_blocks_;
  queued_bytes_ -= bytes;
  ledger_->Release(held.item.owner, place_of(held), bytes);
  held.item.object = {};  // The plan goes on reading the info.
}

/// Releases all but what tasks still read.
void ExchangeBlocks::DropAll() {
  for (auto& input : inputs_) {
    for (Held& held : input) {
      if (held.readers == 0) Drop(held);
    }
  }
}

void ExchangeBlocks::Close() {
  closed_ = true;
  inputs_open_ = 0;
  pass_.reset();
  if (plan_ != nullptr) next_task_ = plan_->num_tasks();
  DropAll();
  for (RefBundle::Item& item : streamed_) {
    --queued_blocks_;
    queued_bytes_ -= item.info.num_bytes;
    Discard(std::move(item), Place::kInputQueue);
  }
  streamed_.clear();
  DiscardOutputs();
}

// ---- What it wants ----------------------------------------------------------------------------

bool ExchangeBlocks::HasWork() const {
  if (streams()) {
    return !streamed_.empty() && ended_[static_cast<std::size_t>(spec_.small_input)];
  }
  return next_task_ < num_planned();
}

int ExchangeBlocks::needed_input() const {
  const auto small = static_cast<std::size_t>(spec_.small_input);
  if ((streams() || undecided()) && !ended_[small]) return spec_.small_input;
  for (std::size_t i = 0; i < ended_.size(); ++i) {
    if (!ended_[i]) return static_cast<int>(i);
  }
  return 0;
}

ProposedTask ExchangeBlocks::TakeWork() {
  HEADRACE_CHECK(HasWork());
  return streams() ? TakeStreamed() : TakePlanned();
}

void ExchangeBlocks::AddInput(std::uint32_t block, const RowRange& range, ProposedTask* work) {
  Held& held = *blocks_[block];
  HEADRACE_CHECK(held.is_live && !held.lost);
  work->shared.push_back(held.item.object.id());
  work->ranges.push_back(range);
  Update(held, [&] { ++held.readers; });
  reading_[tasks_taken_].push_back(block);
}

ProposedTask ExchangeBlocks::TakePlanned() {
  ProposedTask work{.program = pass_ ? merges_ : spec_.program, .held = {}, .position = {}};
  const std::uint32_t task = next_task_++;
  ExchangeWork planned = pass_ ? pass_->WorkOf(task) : plan_->WorkOf(task);
  for (const BlockPart& part : planned.parts) AddInput(part.block, part.range, &work);
  work.left_inputs = planned.left_parts;
  work.keys = std::move(planned.keys);
  work.position.path = {task};
  if (pass_) work.position.path = {passes_, task};
  ++tasks_taken_;
  for (; !by_last_task_.empty() && by_last_task_.front()->last_task == task;
       by_last_task_.pop_front()) {
    DropIfDone(*by_last_task_.front());  // No task may have had rows of it after all.
  }
  return work;
}

ProposedTask ExchangeBlocks::TakeStreamed() {
  ProposedTask work{.program = spec_.program, .held = {}, .position = {}};
  RefBundle::Item item = std::move(streamed_.front());
  streamed_.pop_front();
  --queued_blocks_;
  queued_bytes_ -= item.info.num_bytes;
  work.position = item.info.position;
  if (keeps_lineage()) lineage_.push_back({work.position, item.name()});
  reading_[tasks_taken_];
  for (std::uint32_t block = 0; block < blocks_.size(); ++block) AddInput(block, {}, &work);
  work.shared_first = spec_.small_input == 0;
  work.left_inputs = work.shared_first ? static_cast<std::uint32_t>(blocks_.size()) : 1;
  const RowRange all;
  work.ranges.insert(work.shared_first ? work.ranges.end() : work.ranges.begin(), all);
  work.held.items.push_back(std::move(item));
  ++tasks_taken_;
  return work;
}

std::vector<ObjectId> ExchangeBlocks::ChooseSpills(std::int64_t bytes) {
  std::vector<ObjectId> chosen;
  // Returns false where there is nothing more to choose.
  const auto choose = [&](Held& held) {
    if (bytes <= 0 || spillable_bytes_ == 0) return false;
    if (!MaySpill(held)) return true;
    const ObjectId id = held.item.object.id();
    Update(held, [&] { held.spilling = true; });
    spilling_bytes_ += held.item.info.num_bytes;
    bytes -= held.item.info.num_bytes;
    std::vector<Held*>& same = spilling_[id];
    if (same.empty()) chosen.push_back(id);
    same.push_back(&held);
    return true;
  };
  // Tasks take blocks from the front, where they do not take them all.
  if (pass_ || plan_ != nullptr) {
    for (auto& [task, outputs] : pass_outputs_) {
      for (Held* held : outputs) choose(*held);
    }
    for (auto at = blocks_.rbegin(); at != blocks_.rend() && choose(**at); ++at) {
    }
  } else {
    for (auto& input : inputs_) {
      for (auto at = input.rbegin(); at != input.rend() && choose(*at); ++at) {
      }
    }
  }
  return chosen;
}

// ---- What it holds ----------------------------------------------------------------------------

std::int64_t ExchangeBlocks::tasks_total() const {
  if (inputs_open_ > 0 || pass_) return -1;
  if (streams()) return static_cast<std::int64_t>(tasks_taken_ + streamed_.size());
  if (broadcasts()) return 0;
  return static_cast<std::int64_t>(pass_tasks_) + num_planned();
}

void ExchangeBlocks::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  for (const auto& input : inputs_) {
    for (const Held& held : input) {
      if (held.is_live) AddItem(held.item, place_of(held), book);
    }
  }
  for (const RefBundle::Item& item : streamed_) AddItem(item, Place::kInputQueue, book);
}

}  // namespace headrace
