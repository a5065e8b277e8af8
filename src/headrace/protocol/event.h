#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/resources.h"
#include "headrace/base/small_vector.h"
#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/block/block.h"
#include "headrace/protocol/exchange.h"

// The whole language between the scheduler and the world.
//
// Events say what happened, actions say what to do. Both are plain values that hold no
// reference and no live thing, so a run can be printed, stored, compared and replayed.
//
// Credit. A task yields blocks one by one. It may yield while the bytes that it has yielded are
// below its credit; the block that reaches or passes the credit is its last until more is
// granted, so no block is too large to pass. A task without credit that has more to do parks: it
// gives its cpu back, keeps its state, and goes on after GrantCredit. Credit is a running total
// over the task's life, so a grant that crosses a TaskParked on the way is not lost or counted
// twice.
//
// Memory. Where a limit is set for the whole job (ExecutionOptions.memory_limit), a task or an
// actor in a process of its own is ordered with `heap_bytes`, its allowance: what that process may
// hold besides blocks. The backend measures, says so by MemoryMeasured, and where the job would
// pass its limit it stops a process that is past its allowance: what was in it ends with
// kOverMemory.

namespace headrace {

class WireReader;
class WireWriter;
struct TaskProgram;

/// Read units of one task, by their numbers in the program's source.
using UnitGroup = SmallVector<std::uint32_t, 4>;

/// Everything that a backend needs to start one task.
struct TaskOrder {
  std::shared_ptr<const TaskProgram> program;
  SmallVector<ObjectId, 2> inputs;   // Blocks to process, in order; then those of sides.
  std::vector<RowRange> ranges;      // One for each input: the rows to process. Empty: all.
  std::uint32_t left_inputs = 0;     // Joins and zips: the first inputs are the left side.
  std::vector<std::uint32_t> sides;  // How many of the last inputs are the right side of each of
                                     // the program's last joins, in order; see JoinStep.
  std::optional<KeyRange> keys;      // Merges.
  UnitGroup units;                   // Read units of the program's source, in order.
  Position position;                 // Of the task; its outputs are its children.
  Resources cost;
  std::optional<ActorId> actor;    // Unset: any worker of the program's lane.
  std::int64_t credit_bytes = 0;   // Initial credit.
  std::uint32_t skip_outputs = 0;  // A retry: outputs [0, n) were taken; do not yield them.
  std::int64_t heap_bytes = 0;     // What its process may hold; see Memory below. 0: unlimited.
  bool again = false;              // The task has ended before: what it tells of its rows was
                                   // told then. It runs to make a lost block once more.
};

/// Everything that a backend needs to start one actor. The actor's instance is that of the
/// functions with `is_class` in the program.
struct ActorOrder {
  std::shared_ptr<const TaskProgram> program;
  Resources cost;
  std::int64_t heap_bytes = 0;  // As in TaskOrder.
};

enum class FailureKind : std::uint8_t {
  kUserError,   // The user's function raised or returned garbage.
  kDataError,   // Input or output could not be read, converted or written.
  kWorkerLost,  // The process died. Retried by default.
  kCancelled,
  kSystem,      // The engine's own: out of disk, out of memory, plan cannot run.
  kOverMemory,  // Its process was stopped, as the job would have passed its memory limit. The
                // task's peak_heap_bytes say what it held; 0: it was not this task's doing.
  kInputLost,   // Blocks that it reads are gone; ObjectsLost said which. Not its own fault.
};

/// Why a task, an actor or a run failed, ready to be shown.
struct Failure {
  FailureKind kind = FailureKind::kSystem;
  arrow::StatusCode code = arrow::StatusCode::UnknownError;
  std::string message;    // What failed, first line first; without operator and traceback.
  std::string context;    // Operator, file and row range, the offending row cut short.
  std::string traceback;  // Of user code, "" if none.
  std::shared_ptr<const std::string> exception;  // The pickled Python exception, or null.

  /// Returns the status to show where no Python exception can be raised.
  Status ToStatus() const;
  static Failure FromStatus(FailureKind kind, const Status& status, std::string context = "");
};

/// What a task cost. Times in nanoseconds.
struct TaskStats {
  std::int64_t wall_nanos = 0;  // From start to end, less the time parked.
  std::int64_t cpu_nanos = 0;
  std::int64_t function_nanos = 0;  // Inside the user's functions.
  std::int64_t rows_in = 0;
  std::int64_t peak_heap_bytes = 0;    // Of the worker process during the task, see Memory above;
                                       // 0: unknown, as in the thread lane.
  std::int64_t errored_rows = 0;       // Left out because a function failed on them.
  std::int64_t letter_rows = 0;        // Of these, those that were kept as dead letters.
  std::vector<std::string> letters{};  // Where: records of the functions, for the driver.
};

namespace event {

/// Output `index` (from 0) of `task` is in the store. The scheduler now owns one reference.
struct BlockYielded {
  TaskId task;
  std::uint32_t index = 0;
  BlockHandle block;
};
/// `task` has used up its credit, which was `credit_bytes`, and gave its slot back.
struct TaskParked {
  TaskId task;
  std::int64_t credit_bytes = 0;
};
/// No more from `task`. Comes once for each started task, after its blocks.
struct TaskEnded {
  TaskId task;
  std::optional<Failure> failure;
  TaskStats stats;
};
struct ActorReady {
  ActorId actor;
  std::int64_t heap_bytes = 0;  // Of its process; 0: unknown.
};
/// The actor could not start or died. Its tasks end with kWorkerLost or kOverMemory, before or
/// after this.
struct ActorLost {
  ActorId actor;
  Failure failure;
  std::int64_t heap_bytes = 0;  // That it was stopped for, with kOverMemory.
};
/// The consumer of an output will take `blocks` more.
struct OutputWanted {
  std::int32_t output = 0;
  std::int64_t blocks = 1;
};
/// The consumer let go of delivered blocks of this many bytes.
struct OutputConsumed {
  std::int32_t output = 0;
  std::int64_t bytes = 0;
};
/// What SpillObjects asked for is on disk now, or not needed any more; `spilled` are those that
/// left the memory, the others stay.
struct ObjectsSpilled {
  std::vector<ObjectId> asked;
  std::vector<ObjectId> spilled;
  std::optional<Failure> failure;  // The disk took no more: the run fails.
};
/// The bytes of these objects are gone: their files are not what was written. Tasks that read them
/// end with kInputLost, after this.
struct ObjectsLost {
  std::vector<ObjectId> objects;
  Failure failure;  // Of the run, if they cannot be made again.
};
struct CapacityChanged {
  Resources total;
};
/// What the processes of the job hold, measured now and then where a limit is set.
struct MemoryMeasured {
  struct TaskHeap {
    TaskId task;
    std::int64_t heap_bytes = 0;
  };
  std::int64_t free_bytes = 0;  // What this run may take beyond what it holds. Below 0: too much.
  std::int64_t heap_bytes = 0;  // Of this run's workers that have tasks, and of its actors.
  std::vector<TaskHeap> tasks;  // Those past their allowance.
};
/// Nothing happened, but NextDeadline() is reached.
struct TimePassed {};
/// The consumer wants no more: cancel, release, finish.
struct StopRequested {};

}  // namespace event

using Event =
    std::variant<event::BlockYielded, event::TaskParked, event::TaskEnded, event::ActorReady,
                 event::ActorLost, event::OutputWanted, event::OutputConsumed,
                 event::ObjectsSpilled, event::CapacityChanged, event::TimePassed,
                 event::StopRequested, event::MemoryMeasured, event::ObjectsLost>;

namespace action {

struct StartTask {
  TaskId task;
  TaskOrder order;
};
/// Raises the task's credit to this total. Harmless after the task ended.
struct GrantCredit {
  TaskId task;
  std::int64_t credit_bytes = 0;
};
/// Asks `task` to end soon; TaskEnded still follows. Harmless after the task ended.
struct CancelTask {
  TaskId task;
};
struct StartActor {
  ActorId actor;
  ActorOrder order;
};
/// Ends the actor after its running tasks. Harmless if it is lost.
struct StopActor {
  ActorId actor;
};
struct ReleaseObjects {
  std::vector<ObjectId> objects;
};
/// Writes the objects to disk and frees their memory; ObjectsSpilled follows. They can be read as
/// before.
struct SpillObjects {
  std::vector<ObjectId> objects;
};
/// Hands blocks, and the references to them, to the consumer: as many of those that it wanted.
struct DeliverOutput {
  std::int32_t output = 0;
  std::vector<BlockHandle> blocks;
};
/// The run is over. Comes once, last, when no task runs and the scheduler holds nothing.
struct Finish {
  std::optional<Failure> failure;
};

}  // namespace action

using Action = std::variant<action::StartTask, action::GrantCredit, action::CancelTask,
                            action::StartActor, action::StopActor, action::ReleaseObjects,
                            action::SpillObjects, action::DeliverOutput, action::Finish>;

/// One line, for transcripts: "yield 1#4 [0] o17 rows=100 bytes=800 at 4.0".
std::string ToString(const Event& event);
std::string ToString(const Action& action);

/// Writes a block's info; the schema as Arrow IPC bytes.
void WriteBlockInfo(const BlockInfo& info, WireWriter* out);
Result<BlockInfo> ReadBlockInfo(WireReader* in);

void WriteBlockIndex(const BlockIndex& index, WireWriter* out);
std::shared_ptr<const BlockIndex> ReadBlockIndex(WireReader* in);

void WriteFailure(const Failure& failure, WireWriter* out);
Failure ReadFailure(WireReader* in);

void WriteTaskStats(const TaskStats& stats, WireWriter* out);
TaskStats ReadTaskStats(WireReader* in);

/// The event log's record of one event. Schemas are left out: no decision depends on them.
void WriteEvent(const Event& event, WireWriter* out);
Result<Event> ReadEvent(WireReader* in);

}  // namespace headrace
