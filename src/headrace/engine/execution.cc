#include "headrace/engine/execution.h"

#include <sys/prctl.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "headrace/base/overloaded.h"
#include "headrace/engine/event_recorder.h"
#include "headrace/engine/piece_tracker.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/short_mutex.h"

namespace headrace {
namespace {

Result<BackendTraits> TraitsOf(Backend& backend, const ExecutionOptions& options) {
  BackendTraits traits;
  traits.total = backend.capacity();
  traits.total -= options.exclude_resources;
  traits.possible = backend.possible_capacity() - options.exclude_resources;
  traits.object_store_bytes =
      options.object_store_bytes > 0 ? options.object_store_bytes : backend.object_store_bytes();
  traits.parks_waiting_tasks = backend.parks_waiting_tasks();
  traits.task_bytes = backend.task_bytes();
  if (options.memory_limit_bytes > 0) {
    ARROW_ASSIGN_OR_RAISE(const MemoryRoom room, backend.LimitMemory(options.memory_limit_bytes));
    traits.memory_bytes = room.all_bytes;
    traits.memory_free_bytes = room.free_bytes;
  }
  return traits;
}

}  // namespace

// Two threads meet here: the driver (the loop; alone with scheduler_ but for Snapshot) and the
// consumer. They share the queue of delivered blocks under mutex_, and the consumer's wishes
// reach the driver as posted events.
//
// A user's policy runs in the driver, in mid-step, and whatever it lets go of may be this very run:
// a driver neither locks what it holds nor waits for itself.
class Execution::Impl {
 public:
  Impl(std::unique_ptr<Scheduler> scheduler, std::shared_ptr<Backend> backend,
       std::unique_ptr<EventRecorder> recorder, std::unique_ptr<PieceTracker> tracker)
      : scheduler_(std::move(scheduler)),
        backend_(std::move(backend)),
        recorder_(std::move(recorder)),
        tracker_(std::move(tracker)),
        start_(backend_->Now()) {}

  ~Impl() { Stop(); }

  void Start() {
    if (!backend_->runs_in_caller()) driver_ = std::thread([this] { Drive(); });
  }

  Result<Polled> Poll(Instant deadline, std::int64_t prefetch) {
    std::unique_lock<std::mutex> lock(mutex_);
    AskForMore(prefetch, &lock);
    if (ready_.empty() && !over_) Await(deadline, &lock);
    if (over_ && failure_) return failure_->ToStatus();
    Polled polled;
    if (!ready_.empty()) {
      polled.block = std::move(ready_.front());
      ready_.pop_front();
      ++taken_;
      handed_out_bytes_ = polled.block->info.num_bytes;
    } else {
      polled.end = over_;
    }
    return polled;
  }

  /// Returns true in the thread that drives this run.
  bool IsDriver() const { return driving_ == this; }

  void Stop() {
    if (!over()) backend_->Post(event::StopRequested{});
    if (IsDriver()) return;
    if (backend_->runs_in_caller()) {
      DriveUntil([] { return false; });
    } else {
      std::lock_guard lock(stop_mutex_);
      if (driver_.joinable()) driver_.join();
    }
    ReleaseReady();
  }

  std::vector<Position> TakeEndedPieces() {
    std::lock_guard lock(mutex_);
    std::vector<Position> pieces;
    while (!ended_pieces_.empty() && ended_pieces_.front().blocks_before <= taken_) {
      pieces.push_back(std::move(ended_pieces_.front().position));
      ended_pieces_.pop_front();
    }
    return pieces;
  }

  std::vector<Letter> TakeLetters() {
    std::lock_guard lock(mutex_);
    return std::exchange(letters_, {});
  }

  std::optional<Failure> failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
  }

  std::vector<OperatorState> Snapshot() const {
    const auto lock = LockScheduler();
    return scheduler_->Snapshot();
  }

  std::int64_t peak_charged_bytes() const {
    const auto lock = LockScheduler();
    return scheduler_->peak_charged_bytes();
  }

  Duration elapsed() const {
    std::lock_guard lock(mutex_);
    return (over_ ? end_ : backend_->Now()) - start_;
  }

  Backend& backend() { return *backend_; }

 private:
  std::unique_lock<std::mutex> LockScheduler() const {
    return IsDriver() ? std::unique_lock<std::mutex>() : std::unique_lock(scheduler_mutex_);
  }

  bool over() const {
    std::lock_guard lock(mutex_);
    return over_;
  }

  // Keeps the standing request between half of `prefetch` and `1 + prefetch` blocks beyond those
  // that were taken. A consumer that finds nothing ready always says all: the run may wait for it.
  void AskForMore(std::int64_t prefetch, std::unique_lock<std::mutex>* lock) {
    if (over_) return;
    prefetch = std::max<std::int64_t>(prefetch, 0);
    let_go_bytes_ += std::exchange(handed_out_bytes_, 0);
    const std::int64_t more = taken_ + 1 + prefetch - asked_;
    if (!ready_.empty() && 2 * more <= prefetch) return;
    if (more > 0) asked_ += more;
    const std::int64_t let_go = std::exchange(let_go_bytes_, 0);
    lock->unlock();
    if (let_go > 0) backend_->Post(event::OutputConsumed{0, let_go});
    if (more > 0) backend_->Post(event::OutputWanted{0, more});
    lock->lock();
  }

  // Waits until a block is ready or the run is over.
  void Await(Instant deadline, std::unique_lock<std::mutex>* lock) {
    const auto changed = [this] { return !ready_.empty() || over_; };
    if (backend_->runs_in_caller()) {
      lock->unlock();
      DriveUntil([this] { return !ready_.empty(); });
      lock->lock();
      return;
    }
    consumer_waits_ = true;
    if (deadline == kNever) {
      changed_.wait(*lock, changed);
    } else {
      const Duration left = deadline - backend_->Now();
      changed_.wait_for(*lock, std::chrono::nanoseconds(std::max<std::int64_t>(left.nanos, 0)),
                        changed);
    }
    consumer_waits_ = false;
  }

  void Drive() {
    ::prctl(PR_SET_NAME, "headrace-drive", 0, 0, 0);
    driving_ = this;
    DriveUntil([] { return false; });
  }

  // The loop: perform what was decided, wait for what happens, let the scheduler decide.
  template <class Done>
  void DriveUntil(Done done) {
    std::vector<Event> events;
    PerformAll();
    while (!over() && !done()) {
      events.clear();
      backend_->Wait(deadline_, &events);
      if (events.empty()) events.push_back(event::TimePassed{});
      // Each step at an instant of its own: so the log knows which events are of one step.
      step_at_ = std::max(backend_->Now(), step_at_ + Duration{1});
      for (const Event& event : events) {
        if (recorder_ != nullptr) recorder_->Record(step_at_, event);
        KeepLetters(event);
        if (tracker_ != nullptr) tracker_->On(event);
      }
      {
        std::lock_guard lock(scheduler_mutex_);
        scheduler_->Step(events, step_at_);
      }
      PerformAll();
      if (backend_->may_grow()) TellDemands();
    }
  }

  void TellDemands() {
    std::vector<ResourceDemand> demands = scheduler_->Demands();
    if (demands == demands_) return;
    demands_ = std::move(demands);
    backend_->Want(demands_);
  }

  void KeepLetters(const Event& event) {
    const auto* ended = std::get_if<event::TaskEnded>(&event);
    if (ended == nullptr) return;
    if (!again_.empty() && again_.erase(ended->task) > 0) return;  // It told them before.
    if (ended->failure || ended->stats.letters.empty()) return;
    const Position* piece = tracker_ == nullptr ? nullptr : tracker_->PieceOf(ended->task);
    std::lock_guard lock(mutex_);
    for (const std::string& record : ended->stats.letters) {
      letters_.push_back({piece == nullptr ? Position{} : *piece, record});
    }
  }

  // Performs every action there is. What an action frees may have to wait for Python's lock, whose
  // owner may be waiting in Snapshot(): so nothing is performed under scheduler_mutex_.
  void PerformAll() {
    {
      std::lock_guard lock(scheduler_mutex_);
      scheduler_->TakeActions(&actions_);
      deadline_ = scheduler_->NextDeadline().value_or(kNever);
    }
    for (Action& action : actions_) {
      if (recorder_ != nullptr) recorder_->Record(action);
      if (tracker_ != nullptr) tracker_->On(action);
      Perform(action);
    }
    actions_.clear();  // Not under the lock.
    HandOver();
    if (recorder_ != nullptr) recorder_->Flush();
  }

  void Perform(Action& action) {
    std::visit(
        Overloaded{
            [this](action::StartTask& a) {
              if (a.order.again) again_.insert(a.task);
              backend_->StartTask(a.task, std::move(a.order));
            },
            [this](action::GrantCredit& a) { backend_->GrantCredit(a.task, a.credit_bytes); },
            [this](action::CancelTask& a) { backend_->CancelTask(a.task); },
            [this](action::StartActor& a) { backend_->StartActor(a.actor, a.order); },
            [this](action::StopActor& a) { backend_->StopActor(a.actor); },
            [this](action::ReleaseObjects& a) { backend_->Release(a.objects); },
            [this](action::SpillObjects& a) { backend_->SpillObjects(std::move(a.objects)); },
            [this](action::DeliverOutput& a) {
              std::move(a.blocks.begin(), a.blocks.end(), std::back_inserter(delivered_));
            },
            [this](action::Finish& a) {
              HandOver();
              Finish(std::move(a.failure));
            },
        },
        action);
  }

  // Once for all that was delivered, so that the consumer does not wake up for each block, nor
  // the two meet at the lock.
  void HandOver() {
    std::vector<Position> pieces;
    if (tracker_ != nullptr) pieces = tracker_->TakeEnded();
    if (delivered_.empty() && pieces.empty()) return;
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      std::move(delivered_.begin(), delivered_.end(), std::back_inserter(ready_));
      const std::int64_t so_far = taken_ + static_cast<std::int64_t>(ready_.size());
      for (Position& piece : pieces) ended_pieces_.push_back({std::move(piece), so_far});
      // Who is woken without a block sleeps again, and nobody would wake it any more.
      if (!ready_.empty()) wake = std::exchange(consumer_waits_, false);
    }
    delivered_.clear();
    if (wake) changed_.notify_all();
  }

  void Finish(std::optional<Failure> failure) {
    if (recorder_ != nullptr) {
      const Status recorded = recorder_->Close();
      if (!failure && !recorded.ok()) failure = Failure::FromStatus(FailureKind::kSystem, recorded);
    }
    {
      std::lock_guard lock(mutex_);
      over_ = true;
      end_ = backend_->Now();
      failure_ = std::move(failure);
    }
    changed_.notify_all();
  }

  void ReleaseReady() {
    std::vector<ObjectId> objects;
    {
      std::lock_guard lock(mutex_);
      for (const BlockHandle& block : ready_) objects.push_back(block.object);
      ready_.clear();
    }
    if (!objects.empty()) backend_->Release(objects);
  }

  static thread_local const Impl* driving_;  // The run that this thread is the driver of.

  mutable std::mutex scheduler_mutex_;
  std::unique_ptr<Scheduler> scheduler_;
  const std::shared_ptr<Backend> backend_;
  const std::unique_ptr<EventRecorder> recorder_;  // Null: the run is not recorded.
  const std::unique_ptr<PieceTracker> tracker_;    // Null: nobody asks for pieces.
  const Instant start_;

  // Of the driver.
  Instant step_at_;                      // When the scheduler took its last step,
  Instant deadline_;                     // and until when to wait for the next one.
  std::vector<Action> actions_;          // That it took.
  std::vector<ResourceDemand> demands_;  // That the backend knows of.
  std::vector<BlockHandle> delivered_;   // Not handed over yet.
  std::set<TaskId> again_;               // Tasks that run to make a lost block once more.
  std::thread driver_;
  std::mutex stop_mutex_;  // Two threads may stop at once; one of them joins.

  struct EndedPiece {
    Position position;
    std::int64_t blocks_before = 0;  // Delivered before its end, or at it.
  };

  mutable ShortMutex mutex_;
  std::condition_variable changed_;
  std::deque<BlockHandle> ready_;
  std::deque<EndedPiece> ended_pieces_;
  std::vector<Letter> letters_;        // Of tasks that ended well; not taken yet.
  bool consumer_waits_ = false;        // And nobody has woken it yet.
  std::int64_t asked_ = 0;             // Blocks that the consumer asked for in all.
  std::int64_t taken_ = 0;             // Of these, taken.
  std::int64_t handed_out_bytes_ = 0;  // Of the block that the consumer looks at now.
  std::int64_t let_go_bytes_ = 0;      // Of those before, not yet said to the scheduler.
  bool over_ = false;
  Instant end_;
  std::optional<Failure> failure_;
};

thread_local const Execution::Impl* Execution::Impl::driving_ = nullptr;

Execution::Execution(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Execution::~Execution() {
  if (impl_->IsDriver()) std::thread([impl = std::move(impl_)] {}).detach();
}

Result<std::unique_ptr<Execution>> Execution::Start(PhysicalPlan plan, ExecutionOptions options,
                                                    std::shared_ptr<Backend> backend) {
  std::vector<ObjectId> inputs;
  for (const OperatorSpec& op : plan.operators) {
    const auto* input = op.As<InputOperator>();
    if (input == nullptr) continue;
    for (const BlockHandle& block : input->blocks) inputs.push_back(block.object);
  }
  ARROW_ASSIGN_OR_RAISE(BackendTraits traits, TraitsOf(*backend, options));
  Policies policies;
  for (const PolicyFactory& make : options.policies) policies.push_back(make(plan));
  std::unique_ptr<EventRecorder> recorder;
  if (!options.event_log_path.empty()) {
    ARROW_ASSIGN_OR_RAISE(
        recorder, EventRecorder::Make(options.event_log_path, plan, options, traits, &policies));
  }
  std::unique_ptr<PieceTracker> tracker;
  if (plan.reports_pieces) tracker = std::make_unique<PieceTracker>(plan);
  ARROW_ASSIGN_OR_RAISE(auto scheduler, Scheduler::Make(std::move(plan), std::move(options),
                                                        std::move(traits), std::move(policies)));
  if (!inputs.empty()) backend->Retain(inputs);
  auto impl = std::make_unique<Impl>(std::move(scheduler), std::move(backend), std::move(recorder),
                                     std::move(tracker));
  impl->Start();
  return std::unique_ptr<Execution>(new Execution(std::move(impl)));
}

Result<std::optional<BlockHandle>> Execution::Next(std::int64_t prefetch) {
  ARROW_ASSIGN_OR_RAISE(Polled polled, impl_->Poll(kNever, prefetch));
  return std::move(polled.block);
}

Result<Execution::Polled> Execution::Poll(Duration timeout, std::int64_t prefetch) {
  return impl_->Poll(impl_->backend().Now() + timeout, prefetch);
}

void Execution::Stop() { impl_->Stop(); }
std::vector<Execution::Letter> Execution::TakeLetters() { return impl_->TakeLetters(); }

std::vector<Position> Execution::TakeEndedPieces() { return impl_->TakeEndedPieces(); }
std::optional<Failure> Execution::failure() const { return impl_->failure(); }
std::vector<OperatorState> Execution::Snapshot() const { return impl_->Snapshot(); }
Duration Execution::elapsed() const { return impl_->elapsed(); }
std::int64_t Execution::peak_charged_bytes() const { return impl_->peak_charged_bytes(); }
Backend& Execution::backend() { return impl_->backend(); }

}  // namespace headrace
