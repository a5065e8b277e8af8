#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/block/block.h"
#include "headrace/protocol/event.h"
#include "headrace/runtime/short_mutex.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

class JoinSides;

/// What one backend shares with the lanes that run its tasks: its event queue, and the account of
/// the object references that it gave out. Tasks keep it alive. Threads: all methods from any
/// thread, but Wait() from one at a time.
class EventPort {
 public:
  explicit EventPort(std::shared_ptr<LocalStore> store);
  /// Releases every reference that was given out and not taken back.
  ~EventPort();

  LocalStore& store() { return *store_; }
  /// What tasks of the thread lane share.
  JoinSides& sides() { return *sides_; }

  /// Stores an output of `task` and reports it.
  void Yield(TaskId task, std::uint32_t index, Block block, BlockInfo info);
  /// The same with its last output, and reports its end.
  void YieldLast(std::uint32_t index, Block block, BlockInfo info, event::TaskEnded end);
  void YieldShared(TaskId task, std::uint32_t index, SharedTable table, BlockInfo info);
  void Push(Event event);
  /// Reports the objects that `status` says are lost, if it does.
  void TellLosses(const Status& status);
  /// Spills `objects` now, in this thread, and reports it.
  void Spill(const std::vector<ObjectId>& objects);

  /// Waits until an event is there or the steady clock passes `deadline_nanos`; appends what came.
  ///
  /// To sleep and be woken costs more than many an event is worth, so where events follow each
  /// other closely the waiting thread naps for a moment, in which nobody wakes it, and finds
  /// several (as a network driver that polls under load: Mogul and Ramakrishnan, "Eliminating
  /// receive livelock", 1997).
  void Wait(std::int64_t deadline_nanos, std::vector<Event>* events);
  /// Appends what is there, without waiting. Returns true if there was something.
  bool TryTake(std::vector<Event>* events);

  // ---- References. Those of ids that the port does not know are ignored.

  BlockHandle Put(const Block& block);
  void Retain(std::span<const ObjectId> objects) { store_->Retain(objects, &owner_); }
  void Release(std::span<const ObjectId> objects);
  /// Releases every reference that was given out and not taken back. A task's last thread may
  /// hold the port a little longer than its backend, which therefore calls this.
  void ReleaseAll();

 private:
  template <class... Events>
  void PushAll(Events&&... events);
  void Nap(std::unique_lock<std::mutex>* lock);
  void NoteArrivals(std::int64_t count);

  const std::shared_ptr<LocalStore> store_;
  const std::unique_ptr<JoinSides> sides_;
  ShortMutex mutex_;
  std::condition_variable arrived_;
  std::vector<Event> events_;  // Guarded by mutex_.
  bool waiting_ = false;       // Guarded by mutex_.

  // Of the thread that waits.
  std::int64_t last_wait_nanos_ = 0;  // When it last came back.
  std::int64_t mean_gap_nanos_;       // Between events, lately.
  int no_naps_ = 0;                   // Waits to go before the next nap may be tried.

  ObjectOwner owner_;
};

}  // namespace headrace
