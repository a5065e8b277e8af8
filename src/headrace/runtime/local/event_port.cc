#include "headrace/runtime/local/event_port.h"

#include <arrow/table.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iterator>
#include <utility>

#include "headrace/data/exchange/join_sides.h"
#include "headrace/runtime/steady_nanos.h"
#include "headrace/runtime/store/losses.h"

namespace headrace {

namespace {

constexpr std::int64_t kNapNanos = 40'000;
constexpr std::int64_t kCloseNanos = 12'000;  // Events with smaller gaps are worth a nap.
constexpr std::size_t kNapEventsMin = 3;      // A nap that brings fewer was a mistake,
constexpr int kNoNaps = 256;                  // not to be repeated for so many waits.

}  // namespace

EventPort::EventPort(std::shared_ptr<LocalStore> store)
    : store_(std::move(store)),
      sides_(std::make_unique<JoinSides>()),
      mean_gap_nanos_(kCloseNanos * 10) {}

EventPort::~EventPort() { ReleaseAll(); }

void EventPort::ReleaseAll() { store_->ReleaseAll(&owner_); }

template <class... Events>
void EventPort::PushAll(Events&&... events) {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    (events_.emplace_back(std::forward<Events>(events)), ...);
    wake = std::exchange(waiting_, false);
  }
  // Without the lock: the driver would wake up only to wait for it.
  if (wake) arrived_.notify_one();
}

void EventPort::Push(Event event) { PushAll(std::move(event)); }

void EventPort::Yield(TaskId task, std::uint32_t index, Block block, BlockInfo info) {
  PushAll(event::BlockYielded{task, index,
                              store_->PutMade(std::move(block), std::move(info), &owner_)});
}

void EventPort::YieldLast(std::uint32_t index, Block block, BlockInfo info, event::TaskEnded end) {
  PushAll(event::BlockYielded{end.task, index,
                              store_->PutMade(std::move(block), std::move(info), &owner_)},
          std::move(end));
}

void EventPort::YieldShared(TaskId task, std::uint32_t index, SharedTable table, BlockInfo info) {
  PushAll(event::BlockYielded{task, index,
                              store_->PutShared(std::move(table), std::move(info), &owner_)});
}

BlockHandle EventPort::Put(const Block& block) {
  BlockInfo info;
  info.num_rows = block.num_rows();
  info.num_bytes = block.num_bytes();
  info.schema = block.table()->schema();
  return store_->Put(block, std::move(info), &owner_);
}

void EventPort::TellLosses(const Status& status) {
  Losses losses;
  if (!losses.Add(status)) return;
  Push(event::ObjectsLost{losses.objects(), Failure::FromStatus(FailureKind::kSystem, status)});
}

void EventPort::Spill(const std::vector<ObjectId>& objects) {
  event::ObjectsSpilled spilled{objects, {}, std::nullopt};
  Status failure;
  spilled.spilled = store_->SpillObjects(objects, &failure);
  if (!failure.ok()) spilled.failure = Failure::FromStatus(FailureKind::kSystem, failure);
  Push(std::move(spilled));
}

void EventPort::Wait(std::int64_t deadline_nanos, std::vector<Event>* events) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (events_.empty() && deadline_nanos - last_wait_nanos_ > 2 * kNapNanos) Nap(&lock);
  if (events_.empty()) {
    waiting_ = true;
    const auto arrived = [this] { return !events_.empty(); };
    if (deadline_nanos == INT64_MAX) {
      arrived_.wait(lock, arrived);
    } else {
      arrived_.wait_until(lock,
                          std::chrono::steady_clock::time_point(
                              std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                  std::chrono::nanoseconds(deadline_nanos))),
                          arrived);
    }
    waiting_ = false;
  }
  NoteArrivals(static_cast<std::int64_t>(events_.size()));
  if (events->empty()) {
    events->swap(events_);
    return;
  }
  std::move(events_.begin(), events_.end(), std::back_inserter(*events));
  events_.clear();
}

void EventPort::Nap(std::unique_lock<std::mutex>* lock) {
  if (no_naps_ > 0) {
    --no_naps_;
    return;
  }
  if (mean_gap_nanos_ > kCloseNanos) return;
  lock->unlock();
  // Timers of a thread may be late by its slack, 50 µs unless told.
  static thread_local const int slack = ::prctl(PR_SET_TIMERSLACK, 1'000, 0, 0, 0);
  static_cast<void>(slack);
  const timespec time{0, kNapNanos};
  ::nanosleep(&time, nullptr);
  lock->lock();
  if (events_.size() < kNapEventsMin) no_naps_ = kNoNaps;
}

void EventPort::NoteArrivals(std::int64_t count) {
  const std::int64_t now = SteadyNanos();
  const std::int64_t gap = (now - last_wait_nanos_) / std::max<std::int64_t>(1, count);
  mean_gap_nanos_ += (std::min(gap, 10 * kCloseNanos) - mean_gap_nanos_) / 8;
  last_wait_nanos_ = now;
}

bool EventPort::TryTake(std::vector<Event>* events) {
  std::lock_guard lock(mutex_);
  if (events_.empty()) return false;
  std::move(events_.begin(), events_.end(), std::back_inserter(*events));
  events_.clear();
  return true;
}

void EventPort::Release(std::span<const ObjectId> objects) {
  sides_->Forget(objects);
  store_->Release(objects, &owner_);
}

}  // namespace headrace
