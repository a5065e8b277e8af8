#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/block/block.h"
#include "headrace/protocol/event.h"

namespace headrace {

/// What a limit of memory leaves.
struct MemoryRoom {
  std::int64_t all_bytes = 0;   // Of the limit, less what the engine itself holds.
  std::int64_t free_bytes = 0;  // Less what other runs hold now, too.
};

/// Where the work of one execution happens. Forms: local (threads and worker processes of this
/// machine), inline (the calling thread, for debugging), sim (virtual time and faults, for
/// tests), bridge (a cluster: Ray Core).
///
/// Orders return nothing, and may be held together until the next Wait(). Their success and their
/// failure both arrive as events, in one queue and in the order in which they happened, so there
/// is one path for errors.
///
/// Threads: the driver thread calls everything; Wake() and Post() may be called from any thread,
/// Get(), Put() and Release() by consumers too. Destroying a backend cancels what still runs,
/// waits for it, and releases every object that it reported and nobody released.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;

  // ---- Tasks: see protocol/event.h for credit.

  virtual void StartTask(TaskId task, TaskOrder order) = 0;
  virtual void GrantCredit(TaskId task, std::int64_t credit_bytes) = 0;
  virtual void CancelTask(TaskId task) = 0;

  // ---- Actors.

  virtual void StartActor(ActorId actor, const ActorOrder& order) = 0;
  virtual void StopActor(ActorId actor) = 0;

  // ---- Objects. Immutable once put. One reference is held for each id that the backend
  // reported or returned, until Release(). An object may be spilled; Get() brings it back.

  virtual Result<BlockHandle> Put(const Block& block) = 0;

  /// Returns the block, zero-copy where it can: the block then pins the object's memory until it
  /// is destroyed, even after Release(). May block on I/O.
  virtual Result<Block> Get(ObjectId object) = 0;

  /// Adds a reference to each of `objects`, which are held already.
  virtual void Retain(std::span<const ObjectId> objects) = 0;

  /// Writes `objects` to disk and frees their memory, later; event::ObjectsSpilled says which.
  virtual void SpillObjects(std::vector<ObjectId> objects) = 0;

  /// Gives up one reference to each of `objects`.
  virtual void Release(std::span<const ObjectId> objects) = 0;

  // ---- Memory.

  /// Keeps what the processes of the job hold below `limit_bytes` from now on: reports
  /// event::MemoryMeasured, and stops processes past their allowance (see protocol/event.h).
  /// Returns what there is then; NotImplemented where the processes are out of its reach.
  virtual Result<MemoryRoom> LimitMemory(std::int64_t /*limit_bytes*/) {
    return Status::NotImplemented(
        "memory_limit: the ", name(),
        " backend does not measure what processes hold. "
        "resource_limits.object_store_memory bounds blocks there, and memory= of an operator says "
        "what each of its tasks or actors needs");
  }

  // ---- Time: the only clock, and the only place where the driver waits.

  virtual Instant Now() const = 0;
  virtual Resources capacity() const = 0;
  /// What there may be later, if a cluster can grow. event::CapacityChanged tells when it has.
  virtual Resources possible_capacity() const { return capacity(); }
  /// True if it listens to Want(): what waits for resources.
  virtual bool may_grow() const { return false; }
  virtual void Want(const std::vector<ResourceDemand>& /*demands*/) {}
  virtual std::int64_t object_store_bytes() const = 0;
  virtual bool parks_waiting_tasks() const = 0;

  /// Bytes of input below which a task costs more to start than to run.
  virtual std::int64_t task_bytes() const { return 0; }

  /// True if all work happens in the thread that calls Wait(): then no other thread may drive it.
  virtual bool runs_in_caller() const { return false; }

  /// Waits until an event is there or `deadline` passes; appends what came to `events`. Also waits
  /// while blocks are written to disk to come back below object_store_bytes(): nothing new is
  /// started meanwhile.
  virtual void Wait(Instant deadline, std::vector<Event>* events) = 0;

  /// Adds an event from outside (the consumer's wishes) and wakes Wait(). From any thread.
  virtual void Post(Event event) = 0;
};

/// Makes the backends of one session where those do not run on this machine. All of them share
/// their objects. `asked` is ExecutionOptions::cluster. Threads: all methods from any thread.
class BackendSource {
 public:
  virtual ~BackendSource() = default;

  /// Returns a backend for one execution. It keeps what it needs of this alive.
  virtual Result<std::unique_ptr<Backend>> NewBackend(const std::string& asked) = 0;
  virtual Result<Resources> Capacity(const std::string& asked) = 0;
  virtual Result<std::int64_t> StoreBytes(const std::string& asked) = 0;
};

}  // namespace headrace
