#include "headrace/control/schedule/remakes.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/control/schedule/exchange_operator.h"
#include "headrace/control/schedule/scheduler_impl.h"

// Blocks whose bytes are gone are made again by the tasks that made them.
//
//   ObjectsLost ─▶ who holds it gives it up when no task reads it, and wants it ─▶ its maker runs
//   again, when it has its own inputs, which may have to be made again first ─▶ the wanted output
//   takes the lost one's place, the others are released ─▶ who waited goes on
//
// A block's name is the task and the number of the output, and a task's work follows from the plan
// and, for maps, from the names of its inputs, which the operator keeps. So what is known of a
// block that may get lost is 8 bytes, and of a map task some 60; operators that feed no exchange
// keep nothing. Tasks that run again are ordinary ones in their operator's table, but for what
// becomes of their outputs and their end.
//
// The operator that lacks a block starts nothing until it has it, and what it gave back meanwhile
// may be spilled, so that the budget holds. Trees of tasks that need several steps are made one
// after the other where memory is short.

namespace headrace {
namespace {

constexpr std::int32_t kMissesMax = 8;  // A task may fail so often for inputs that nobody lost.

bool MaySpillInputs(const ExchangeOperator& exchange) {
  return exchange.kind != ExchangeKind::kBroadcast && exchange.kind != ExchangeKind::kPermuted &&
         exchange.kind != ExchangeKind::kRowBatches;
}

bool Contains(const std::vector<ObjectId>& objects, ObjectId object) {
  return std::find(objects.begin(), objects.end(), object) != objects.end();
}

}  // namespace

// ---- Lineage ----------------------------------------------------------------------------------

/// Lets operators keep the lineage of blocks that go to an exchange which spills.
void SchedulerImpl::FindLineage() {
  std::vector<bool> feeds(runs_.size(), false);
  for (std::size_t i = runs_.size(); i-- > 0;) {
    const OperatorRun& run = runs_[i];
    const bool spills = run.exchange != nullptr && MaySpillInputs(*run.exchange);
    if (spills) spillers_.push_back(i);
    for (const OperatorId input : run.spec->inputs) {
      feeds[static_cast<std::size_t>(input.value)] = spills || feeds[i];
    }
    if (!feeds[i]) continue;
    run.op->KeepLineage(true);
    const auto* existing = run.spec->As<InputOperator>();
    if (existing == nullptr) continue;
    // They are needed again only where tasks over them may have to run again.
    const OperatorRun* reader = &run;
    do {
      reader = &runs_[static_cast<std::size_t>(reader->consumer)];
    } while (reader->program() == nullptr && reader->spec->As<LimitOperator>() == nullptr);
    if (!feeds[reader->index()]) continue;
    for (const BlockHandle& block : existing->blocks) inputs_kept_[block.object];
  }
}

/// When no exchange will read spilled blocks any more, what was kept for them goes.
void SchedulerImpl::DropLineage() {
  const bool done =
      remakes_.idle() && std::all_of(spillers_.begin(), spillers_.end(),
                                     [this](std::size_t index) { return runs_[index].finished; });
  if (!done) return;
  spillers_.clear();
  for (OperatorRun& run : runs_) run.op->KeepLineage(false);
  for (const auto& [object, count] : std::exchange(inputs_kept_, {})) {
    unwanted_.insert(unwanted_.end(), static_cast<std::size_t>(count), object);
  }
}

/// Gives up what nobody refers to; but blocks that existed before the run, and cannot be made
/// again, stay as long as something may be made of them.
void SchedulerImpl::ReleaseObjects() {
  if (!refs_.has_released()) return;
  if (inputs_kept_.empty()) return Push(action::ReleaseObjects{refs_.TakeReleased()});
  for (const ObjectId object : refs_.TakeReleased()) {
    const auto kept = inputs_kept_.find(object);
    if (kept == inputs_kept_.end()) {
      unwanted_.push_back(object);
    } else {
      ++kept->second;
    }
  }
}

// ---- Losses -----------------------------------------------------------------------------------

void SchedulerImpl::On(event::ObjectsLost& e) {
  if (stopping_) return;
  std::vector<std::pair<BlockName, OperatorId>> lost;  // And who reads it.
  for (const std::size_t index : exchanges_) {
    for (const BlockName& name : runs_[index].op->MarkLost(e.objects)) {
      lost.emplace_back(name, runs_[index].id);
    }
  }
  for (const OperatorRun& run : runs_) {
    run.tasks.ForEach([&](const TaskRecord& task) {
      for (const RefBundle::Item& item : task.work.held.items) {
        if (item.object.empty() || !Contains(e.objects, item.object.id())) continue;
        if (remakes_.held.insert(item.object.id()).second) lost.emplace_back(item.name(), run.id);
      }
    });
  }
  if (lost.empty()) return;
  remakes_.last_loss = e.failure;
  for (const auto& [name, reader] : lost) {
    if (!MayMakeAgain(name, run(reader))) return;
  }
  for (const std::size_t index : exchanges_) WantMissing(runs_[index], /*nested=*/false);
  RefreshPaused();
}

/// Counts a loss. Fails the run if the block cannot be made again, or not once more.
bool SchedulerImpl::MayMakeAgain(const BlockName& name, const OperatorRun& reader) {
  const OperatorRun& maker = run(name.op);
  std::string why;
  if (maker.spec->As<InputOperator>() != nullptr) {
    why = "the block existed before the run and cannot be made again";
  } else if (!maker.op->CanTakeAgain(name.task)) {
    why = "operator " + maker.spec->name + " merged the block from others, which are gone";
  } else if (const std::int32_t times = ++remakes_.lost[name]; times >= maker.max_attempts) {
    why = "the block, of operator " + maker.spec->name + ", was lost " + std::to_string(times) +
          (times == 1 ? " time" : " times") + ", and max_task_attempts is " +
          std::to_string(maker.max_attempts);
  }
  if (why.empty()) return true;
  FailRemake(reader, why);
  return false;
}

/// The task failed since blocks that it reads are lost: lets it wait for them. Returns false if
/// none is, time after time.
bool SchedulerImpl::AwaitInputs(OperatorRun& run, TaskRecord& task) {
  std::vector<BlockName> lost;
  for (RefBundle::Item& item : task.work.held.items) {
    if (item.object.empty() || remakes_.held.erase(item.object.id()) == 0) continue;
    ledger_.Release(item.owner, Place::kTaskInput, std::exchange(item.info.num_bytes, 0));
    item.object = {};
    ++task.lacking;
    lost.push_back(item.name());
  }
  Unread(run, task);
  WantMissing(run, task.again);
  RefreshPaused();
  if (lost.empty() && !run.paused && ++task.inputs_lost > kMissesMax) return false;
  Retry(run, task);
  const std::uint64_t ordinal = task.id.ordinal;
  for (const BlockName& name : lost) Want(name, {run.id, ordinal}, task.again);
  return true;
}

/// Takes what the task reads of others off their books, until it starts again.
void SchedulerImpl::Unread(OperatorRun& run, TaskRecord& task) {
  if (std::exchange(task.unread, true)) return;
  run.op->Unread(task.id.ordinal);
  if (task.work.sides.empty()) return;
  for (ExchangeBlocks* join : run.sides) join->UnreadSide();
}

/// The task is about to start, or (`ends`) to end for good.
void SchedulerImpl::Reread(OperatorRun& run, TaskRecord& task, bool ends) {
  task.unread = false;
  ProposedTask* work = ends ? nullptr : &task.work;
  run.op->Reread(task.id.ordinal, work);
  if (task.work.sides.empty()) return;
  if (!ends) {
    task.work.side_inputs.clear();
    task.work.sides.clear();
  }
  for (ExchangeBlocks* join : run.sides) join->RereadSide(work);
}

/// Finds out who lacks blocks. Tasks that wait for their turn there do not read meanwhile.
void SchedulerImpl::RefreshPaused() {
  for (OperatorRun& run : runs_) {
    run.paused = run.op->lost_blocks() > 0 ||
                 std::any_of(run.sides.begin(), run.sides.end(),
                             [](const ExchangeBlocks* join) { return join->lost_blocks() > 0; });
    if (!run.paused) continue;
    for (const std::uint64_t ordinal : run.retries) Unread(run, *run.tasks.Find(ordinal));
  }
  for (OperatorRun& run : runs_) {
    if (run.paused) WantMissing(run, /*nested=*/false);
  }
}

/// Asks for what the exchange of `run`, or those whose sides its tasks read, lacks.
void SchedulerImpl::WantMissing(OperatorRun& run, bool nested) {
  for (const BlockName& name : run.op->TakeMissing()) Want(name, {run.id, {}}, nested);
  for (ExchangeBlocks* join : run.sides) {
    const std::vector<BlockName> missing = join->TakeMissing();
    if (missing.empty()) continue;
    const auto at = std::find_if(runs_.begin(), runs_.end(), [join](const OperatorRun& other) {
      return other.op.get() == join;
    });
    for (const BlockName& name : missing) Want(name, {at->id, {}}, nested);
  }
}

// ---- Tasks that run again ---------------------------------------------------------------------

void SchedulerImpl::Want(const BlockName& name, const Remakes::Claim& claim, bool nested) {
  if (stopping_) return;
  OperatorRun& maker = run(name.op);
  if (maker.spec->As<InputOperator>() != nullptr) return SupplyInput(name, claim);
  if (!maker.op->CanTakeAgain(name.task)) {
    return FailRemake(maker, "it merged the block from others, which are gone");
  }
  const Remakes::Key key{name.op, name.task};
  const auto [at, is_new] = remakes_.tasks.try_emplace(key);
  Remakes::Remake& remake = at->second;
  std::vector<Remakes::Claim>& claims = remake.wanted[name.index];
  if (std::find(claims.begin(), claims.end(), claim) == claims.end()) claims.push_back(claim);
  remake.nested |= nested;
  if (is_new) {
    remakes_.waiting.push_back(key);
  } else if (remake.started && name.index < maker.tasks.Find(name.task)->outputs_taken) {
    remake.cut_short = true;
  }
}

/// Gives a block that existed before the run a second time.
void SchedulerImpl::SupplyInput(const BlockName& name, const Remakes::Claim& claim) {
  ReleaseObjects();
  const BlockHandle& block = run(name.op).spec->As<InputOperator>()->blocks[name.task];
  const auto kept = inputs_kept_.find(block.object);
  HEADRACE_CHECK(kept != inputs_kept_.end());
  if (kept->second == 0) return remakes_.inputs_waiting.push_back({name, claim});
  --kept->second;
  RefBundle::Item item{refs_.Adopt(block.object, block.info.num_bytes), block.info, name.op,
                       name.task, name.index};
  ledger_.Charge(name.op, Place::kOutputQueue, block.info.num_bytes);
  Supply(claim, std::move(item));
}

/// Starts those that may: a task that still runs must end first, and trees wait for their turn.
/// Returns true if one started. `force`: it is one whose turn has not come, as nothing else can go
/// on.
bool SchedulerImpl::StartRemakes(bool force) {
  bool any = false;
  for (const auto& [name, claim] : std::exchange(remakes_.inputs_waiting, {})) {
    if (!IsClosed(claim)) SupplyInput(name, claim);
  }
  for (std::size_t i = 0; i < remakes_.waiting.size();) {
    const Remakes::Key key = remakes_.waiting[i];
    Remakes::Remake& remake = remakes_.tasks.at(key);
    // An operator that makes blocks again for others lacks what this one makes.
    bool is_urgent = remake.nested;
    DropClosedClaims(&remake);
    for (const auto& [index, claims] : remake.wanted) {
      for (const Remakes::Claim& claim : claims) is_urgent |= run(claim.op).remaking > 0;
    }
    OperatorRun& maker = run(key.first);
    const bool is_busy =
        maker.tasks.Find(key.second) != nullptr || (maker.closed && !maker.finished);
    is_urgent = is_urgent || (!is_busy && std::exchange(force, false));
    const bool is_deep = !maker.spec->inputs.empty() && !is_urgent;
    const bool fits =
        remakes_.num_deep == 0 || (1000 * remakes_.num_deep < total_.cpu_milli &&
                                   2 * ledger_.charged() < reservation_.budget_bytes());
    if ((is_busy || (is_deep && !fits)) && !remake.wanted.empty()) {
      ++i;
      continue;
    }
    remakes_.waiting.erase(remakes_.waiting.begin() + static_cast<std::ptrdiff_t>(i));
    if (remake.wanted.empty()) {
      remakes_.tasks.erase(key);
      continue;
    }
    remake.is_deep = is_deep;
    remakes_.num_deep += is_deep ? 1 : 0;
    StartRemake(maker, key.second, &remake);
    any = true;
  }
  return any;
}

/// Whether nobody waits for what was claimed. A join that is closed may still lend its side to
/// tasks that run again.
bool SchedulerImpl::IsClosed(const Remakes::Claim& claim) {
  const OperatorRun& run = this->run(claim.op);
  return run.closed && (claim.task || run.op->lost_blocks() == 0);
}

void SchedulerImpl::DropClosedClaims(Remakes::Remake* remake) {
  for (auto& [index, claims] : remake->wanted) {
    std::erase_if(claims, [this](const Remakes::Claim& claim) { return IsClosed(claim); });
  }
  std::erase_if(remake->wanted, [](const auto& wanted) { return wanted.second.empty(); });
}

void SchedulerImpl::StartRemake(OperatorRun& run, std::uint64_t ordinal, Remakes::Remake* remake) {
  remake->started = true;
  run.closed = false;  // What a limit closed may have to give its blocks once more.
  ++run.remaking;
  if (run.runs_tasks) reservation_.SetEligible(run.id, true);
  needs_stale_ = true;
  TaskRecord& task = run.tasks.AddAgain(run.id, ordinal);
  task.id.attempt = ++run.last_attempt;
  task.again = task.unread = true;
  task.outputs_taken = remake->wanted.begin()->first;
  task.work = run.op->TakeAgain(ordinal);
  if (run.joined != nullptr) {
    task.work.program = run.joined;
    task.work.sides.assign(run.sides.size(), 0);
    for (ExchangeBlocks* join : run.sides) join->TakeSideAgain();
  }
  task.lacking = static_cast<std::uint32_t>(task.work.held.items.size());
  EnterRetry(run, task);
  std::vector<BlockName> inputs;
  for (const RefBundle::Item& item : task.work.held.items) inputs.push_back(item.name());
  for (const BlockName& name : inputs) Want(name, {run.id, ordinal}, /*nested=*/true);
  WantMissing(run, /*nested=*/true);
  RefreshPaused();
}

/// The task starts when it has its inputs.
void SchedulerImpl::EnterRetry(OperatorRun& run, TaskRecord& task) {
  if (task.lacking > 0) {
    task.state = TaskRecord::State::kLacksInput;
    return;
  }
  task.state = TaskRecord::State::kRetry;
  run.retries.insert(task.id.ordinal);
  if (!run.paused) return;
  Unread(run, task);
  WantMissing(run, task.again);
}

/// Takes an output of a task that runs again.
void SchedulerImpl::OnMadeAgain(OperatorRun& run, TaskRecord& task, event::BlockYielded& e) {
  const std::int64_t bytes = e.block.info.num_bytes;
  const std::int64_t from_credit = std::min(bytes, task.open_credit());
  ledger_.Move(run.id, Place::kCredit, Place::kOutputQueue, from_credit);
  ledger_.Charge(run.id, Place::kOutputQueue, bytes - from_credit);
  task.yielded_bytes += bytes;
  ++task.outputs_taken;
  const std::uint64_t ordinal = task.id.ordinal;
  Remakes::Remake* remake = nullptr;
  if (const auto at = remakes_.tasks.find({run.id, ordinal}); at != remakes_.tasks.end()) {
    remake = &at->second;
  }
  if (remake == nullptr || !remake->wanted.contains(e.index)) {
    ledger_.Release(run.id, Place::kOutputQueue, bytes);
    unwanted_.push_back(e.block.object);
  } else {
    ++run.stats.blocks_remade;
    std::vector<Remakes::Claim>& claims = remake->wanted.at(e.index);
    const Remakes::Claim claim = claims.front();
    claims.erase(claims.begin());
    if (claims.empty()) {
      remake->wanted.erase(e.index);
    } else {
      remake->cut_short = true;
    }
    Supply(claim, {refs_.Adopt(e.block.object, bytes), std::move(e.block.info), run.id,
                   static_cast<std::uint32_t>(ordinal), e.index});
  }
  if (remake != nullptr && remake->wanted.empty() && !remake->cut_short) {
    remake->cut_short = true;
    Push(action::CancelTask{task.id});
  }
}

/// Gives a block, which stands in its maker's kOutputQueue, to who lacks it.
void SchedulerImpl::Supply(const Remakes::Claim& claim, RefBundle::Item item) {
  OperatorRun& run = this->run(claim.op);
  if (!claim.task) {
    const BlockName name = item.name();
    const Status restored = run.op->Restore(std::move(item));
    RefreshPaused();
    if (!restored.ok()) FailRemake(this->run(name.op), restored.message());
    return;
  }
  const std::int64_t bytes = item.info.num_bytes;
  TaskRecord* task = run.tasks.Find(*claim.task);
  if (task != nullptr) {
    for (RefBundle::Item& lacking : task->work.held.items) {
      if (!lacking.object.empty() || lacking.name() != item.name()) continue;
      ledger_.Move(item.owner, Place::kOutputQueue, Place::kTaskInput, bytes);
      const bool is_other = !task->again && lacking.info.num_rows != item.info.num_rows;
      lacking = std::move(item);
      if (--task->lacking == 0) EnterRetry(run, *task);
      if (is_other) FailRemake(this->run(lacking.owner), "it was made again with other rows");
      return;
    }
  }
  ledger_.Release(item.owner, Place::kOutputQueue, bytes);
}

/// Fails the run at `run`, as a block that was lost comes otherwise than before, or not at all.
void SchedulerImpl::FailRemake(const OperatorRun& run, const std::string& why) {
  Failure failure = remakes_.last_loss;
  failure.context = "operator " + run.spec->name + ": " + why;
  FailRun(run, std::move(failure));
}

/// Nothing can go on: what was lost cannot be made again as things stand. An end with an error, as
/// it would have been without lineage, and not a run that hangs.
void SchedulerImpl::GiveUpRemakes() {
  FailRemake(last(),
             "blocks were lost, and to make them again something is missing that cannot be had");
}

/// A task that ran again is over.
void SchedulerImpl::EndAgain(OperatorRun& run, TaskRecord& task, const event::TaskEnded& e) {
  const auto at = remakes_.tasks.find({run.id, task.id.ordinal});
  if (run.closed || stopping_ || at == remakes_.tasks.end() || at->second.wanted.empty()) {
    return EndForGood(run, task);
  }
  const std::optional<Failure>& failure = e.failure;
  const bool lost_worker = failure && (failure->kind == FailureKind::kWorkerLost ||
                                       failure->kind == FailureKind::kOverMemory ||
                                       failure->kind == FailureKind::kInputLost);
  if (!failure && !at->second.cut_short) {
    FailRemake(run, "it made fewer blocks when it ran again");
    return EndForGood(run, task);
  }
  // A limit may have closed the operator, and cancelled the task, before others were wanted of it.
  const bool was_cancelled = failure && failure->kind == FailureKind::kCancelled;
  if (was_cancelled || (at->second.cut_short && !lost_worker)) {
    at->second.cut_short = false;
    task.outputs_taken = at->second.wanted.begin()->first;
    return Retry(run, task);
  }
  switch (failure->kind) {
    case FailureKind::kWorkerLost:
      if (++task.workers_lost < run.max_attempts) return Retry(run, task);
      break;
    case FailureKind::kOverMemory:
      if (RetryAfterStop(run, task, e.stats.peak_heap_bytes)) return;
      break;
    case FailureKind::kInputLost:
      if (AwaitInputs(run, task)) return;
      break;
    default:
      break;
  }
  Failure told = *failure;
  if (told.context.empty()) told.context = "operator " + run.spec->name;
  told.context += "\nIt ran again to make a block once more: " + remakes_.last_loss.message;
  FailRun(run, std::move(told));
  EndForGood(run, task);
}

/// The task, which ran again, is out of its operator's table.
void SchedulerImpl::EndRemake(OperatorRun& run, std::uint64_t ordinal) {
  if (const auto at = remakes_.tasks.find({run.id, ordinal}); at != remakes_.tasks.end()) {
    Remakes::Remake& remake = at->second;
    remakes_.num_deep -= remake.is_deep ? 1 : 0;
    DropClosedClaims(&remake);
    if (stopping_ || remake.wanted.empty()) {
      remakes_.tasks.erase(at);
    } else {  // A limit closed the operator; behind it somebody still waits.
      remake.started = remake.is_deep = remake.cut_short = false;
      remakes_.waiting.push_back({run.id, ordinal});
    }
  }
  if (--run.remaking > 0 || !run.finished) return;
  run.waits_for = WaitReason::kFinished;
  reservation_.SetEligible(run.id, false);
  needs_stale_ = true;
  if (run.pool) StopIdleActors(run, 0);
}

/// The last operator has all it needs: what others still wait for will not be used.
void SchedulerImpl::CloseRemakes() {
  DropRemakes();
  for (OperatorRun& run : runs_) {
    if (!run.tasks.empty()) CloseOperator(run);
  }
}

/// Nobody waits for anything any more.
void SchedulerImpl::DropRemakes() {
  remakes_.inputs_waiting.clear();
  for (const Remakes::Key& key : std::exchange(remakes_.waiting, {})) remakes_.tasks.erase(key);
}

}  // namespace headrace
