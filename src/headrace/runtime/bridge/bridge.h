#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/protocol/event.h"

// A cluster as the engine sees it: somebody else's processes, who run our task programs and keep
// our blocks. python/ implements it over Ray Core; a test, in this process.
//
// Everything is named by whole numbers: objects by the bridge, which gives them out; programs,
// tasks and actors by the engine. What a task is told and what it says are bytes that only the two
// ends of it understand: task_message.h makes them, remote_task.h reads them on the other side.

namespace headrace {

/// A block in the cluster's store. Never reused.
using BridgeObject = std::int64_t;
/// A program, a task or an actor of one BridgeJob. Never reused.
using BridgeKey = std::int64_t;

/// Everything that a bridge needs to start one task.
struct BridgeOrder {
  BridgeKey program = 0;
  std::string order;                 // EncodeOrder().
  std::vector<BridgeObject> inputs;  // To be handed to the task as tables, in this order.
  std::int64_t input_bytes = 0;      // Of all of them.
  Resources cost;                    // Of a task without actor.
  std::int64_t credit_bytes = 0;
  std::optional<BridgeKey> actor;
};

/// What happened to a task or an actor.
struct BridgeEvent {
  enum class Kind : std::uint8_t {
    kBlock,       // `object`, which the engine now owns a reference to, and its info in `bytes`.
    kParked,      // The task's credit, which was `credit_bytes`, is used up.
    kTaskEnded,   // With the report of the task in `bytes`: EncodeReport().
    kTaskFailed,  // The task gave no report; see `failure`.
    kActorReady,
    kActorLost,  // With EncodeFailure() in `bytes`, or `failure`.
    kCapacity,   // The cluster, or the part of it that was asked for, has `capacity` now.
  };
  Kind kind = Kind::kTaskFailed;
  BridgeKey key = 0;  // Of the task or the actor.
  BridgeObject object = 0;
  std::string bytes;
  std::int64_t credit_bytes = 0;
  std::optional<Failure> failure;
  Resources capacity;
};

/// The tasks and actors of one execution. An order that cannot be given ends in an event, as one
/// that fails later does. Threads: one at a time.
class BridgeJob {
 public:
  /// Drops what the job holds; its tasks have ended, its actors are killed.
  virtual ~BridgeJob() = default;

  /// Makes a program known under `key`, for the life of the job. `where` is TaskProgram::where.
  virtual Status Register(BridgeKey key, std::string_view program, std::string_view where) = 0;

  virtual Status Submit(BridgeKey task, const BridgeOrder& order) = 0;
  /// Raises the credit of `task` to this total. Credit is kept as in protocol/event.h, but for
  /// tasks that others of the same actor wait behind: those go on without.
  virtual Status Grant(BridgeKey task, std::int64_t credit_bytes) = 0;
  /// Asks `task` to end soon; its end still comes as an event, its blocks do not.
  virtual Status Cancel(BridgeKey task) = 0;

  virtual Status CreateActor(BridgeKey actor, BridgeKey program, const Resources& cost) = 0;
  /// Ends the actor after its tasks. Harmless if it is lost.
  virtual Status StopActor(BridgeKey actor) = 0;

  /// Says what the tasks and actors ask for that would start if the cluster had room: it may grow.
  virtual Status Want(const std::vector<ResourceDemand>& demands) = 0;

  /// Appends what happened since. Does not wait.
  virtual Status Poll(std::vector<BridgeEvent>* events) = 0;
};

/// One session's connection. Threads: all methods from any thread.
class Bridge {
 public:
  /// Closes the connection. Requires: all jobs are gone.
  virtual ~Bridge() = default;
  virtual std::string_view name() const = 0;

  /// `wake` is called, from any thread, when Poll() may have something. `asked` is, here and below,
  /// what a run asks of the cluster: bytes that only the bridge and its users understand.
  virtual Result<std::unique_ptr<BridgeJob>> NewJob(std::function<void()> wake,
                                                    std::string_view asked) = 0;

  virtual Result<BridgeObject> Put(const Block& block) = 0;
  /// Returns the rows of an object; waits while it is on its way.
  virtual Result<std::shared_ptr<arrow::Table>> Get(BridgeObject object) = 0;
  virtual void Release(const std::vector<BridgeObject>& objects) = 0;

  /// What the cluster, or the part of it that is asked for, has in all.
  virtual Result<Resources> Capacity(std::string_view asked) = 0;
  /// What it may have once it has grown as far as it can.
  virtual Result<Resources> PossibleCapacity(std::string_view asked) { return Capacity(asked); }
  /// Bytes for blocks in the memory of its nodes, of which one run should fill no more.
  virtual Result<std::int64_t> StoreBytes(std::string_view asked) = 0;
};

}  // namespace headrace
