#include <algorithm>
#include <utility>

#include "headrace/control/schedule/scheduler_impl.h"

// Blocks between operators and to the consumer, ends and closings.

namespace headrace {

/// Moves the outputs of `run` to the next operator's input. The last operator's stay, until the
/// consumer wants them.
void SchedulerImpl::Flush(OperatorRun& run) {
  if (run.consumer < 0 || !run.op->HasOutput()) return;
  OperatorRun& next = runs_[static_cast<std::size_t>(run.consumer)];
  do {
    RefBundle::Item item = run.op->TakeOutput();
    ledger_.Move(item.owner, Place::kOutputQueue, Place::kInputQueue, item.info.num_bytes);
    next.op->OnInput(run.consumer_input, std::move(item));
  } while (run.op->HasOutput());
  NoteInput(next);
  Flush(next);
}

/// An exchange that has gathered its input begins to run tasks, and gets a share of the budget for
/// them; or it finds that its inputs do not fit together.
void SchedulerImpl::NoteInput(OperatorRun& run) {
  if (run.exchange == nullptr || run.closed) return;
  if (run.runs_tasks && run.op->HasWork() && !reservation_.eligible(run.id)) {
    reservation_.SetEligible(run.id, true);
    needs_stale_ = true;
  }
  const Status status = run.op->status();
  if (status.ok()) return;
  FailRun(run, Failure::FromStatus(FailureKind::kDataError, status, "operator " + run.spec->name));
}

void SchedulerImpl::CheckFinished(OperatorRun& run) {
  if (run.finished || !run.tasks.empty() || !run.op->exhausted()) return;
  run.finished = true;
  run.waits_for = WaitReason::kFinished;
  reservation_.SetEligible(run.id, false);
  needs_stale_ = true;
  if (run.pool) StopIdleActors(run, 0);
  if (run.exchange != nullptr && !spillers_.empty()) DropLineage();
  if (run.consumer < 0) return;
  OperatorRun& next = runs_[static_cast<std::size_t>(run.consumer)];
  if (!next.closed) {  // Else an exchange would plan what nobody wants.
    next.op->OnInputEnd(run.consumer_input);
    NoteInput(next);
    Flush(next);
  }
  CheckFinished(next);
}

/// Ends `run` and all above it early: nobody wants their output.
void SchedulerImpl::CloseOperator(OperatorRun& run) {
  if (run.closed) return;
  run.closed = true;
  for (const OperatorId input : run.spec->inputs) CloseOperator(this->run(input));
  run.op->Close();
  std::set<std::uint64_t> idle = std::exchange(run.retries, {});
  run.tasks.ForEach([&](const TaskRecord& task) {
    if (task.state == TaskRecord::State::kLacksInput) idle.insert(task.id.ordinal);
  });
  for (const std::uint64_t ordinal : idle) EndForGood(run, *run.tasks.Find(ordinal));
  run.tasks.ForEach([this](const TaskRecord& task) { Push(action::CancelTask{task.id}); });
  CheckFinished(run);
}

void SchedulerImpl::CloseAboveLimits() {
  std::erase_if(limits_, [this](std::size_t index) {
    OperatorRun& limit = runs_[index];
    if (limit.op->wants_input()) return false;
    for (const OperatorId input : limit.spec->inputs) CloseOperator(run(input));
    CheckFinished(limit);
    return true;
  });
}

void SchedulerImpl::Deliver() {
  OperatorRun& run = last();
  if (wanted_ <= 0 || !run.op->HasOutput()) return;
  action::DeliverOutput deliver;
  while (wanted_ > 0 && run.op->HasOutput()) {
    RefBundle::Item item = run.op->TakeOutput();
    ledger_.Move(item.owner, Place::kOutputQueue, Place::kConsumer, item.info.num_bytes);
    delivered_.emplace_back(item.owner, item.info.num_bytes);
    --wanted_;
    deliver.blocks.push_back({std::move(item.object).HandOver(), std::move(item.info)});
  }
  Push(std::move(deliver));
}

void SchedulerImpl::CloseAll() {
  limits_.clear();
  DropRemakes();
  CloseOperator(last());
}

void SchedulerImpl::FinishIfDone() {
  if (finish_pushed_ || last().op->HasOutput()) return;
  const bool done = std::all_of(runs_.begin(), runs_.end(), [](const OperatorRun& run) {
    return run.finished && run.tasks.empty();
  });
  if (!done) return;
  finish_pushed_ = true;
  if (!inputs_kept_.empty()) {
    action::ReleaseObjects rest;
    for (const auto& [object, count] : std::exchange(inputs_kept_, {})) {
      rest.objects.insert(rest.objects.end(), static_cast<std::size_t>(count), object);
    }
    if (!rest.objects.empty()) Push(std::move(rest));
  }
  Push(action::Finish{failure_});
}

}  // namespace headrace
