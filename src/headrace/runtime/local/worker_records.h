#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "headrace/protocol/event.h"
#include "headrace/runtime/local/event_port.h"
#include "headrace/runtime/local/worker_link.h"
#include "headrace/runtime/store/arena.h"
#include "headrace/runtime/store/block_codec.h"

// What the driver knows about its workers and their tasks. Plain records of WorkerPool, guarded by
// its mutex.

namespace headrace {

inline constexpr std::int64_t kNoDeadline = INT64_MAX;

/// A task of the process lane.
struct WorkerTask {
  enum class State {
    kPreparing,  // Its inputs go into shared memory.
    kWaiting,    // For a worker.
    kSent,
  };

  std::shared_ptr<EventPort> port;
  TaskId id;
  TaskOrder order;
  State state = State::kPreparing;
  std::vector<SharedTable> inputs;  // Until it is sent.
  std::vector<BlockInfo> infos;
  std::uint64_t actor = 0;   // The key of its actor's worker, or 0.
  std::uint64_t worker = 0;  // Where it was sent.
  bool active = false;       // Sent and not parked.
  bool cancelled = false;
  std::int64_t credit_bytes = 0;
  std::int64_t kill_at = kNoDeadline;  // When its worker must be killed.
  std::optional<Failure> failure;      // Why the driver cancelled it by itself.
};

/// Blocks in workers' arenas that nobody reads any more, to be told to their workers. Outlives the
/// pool as long as a block does. Threads: all methods from any thread.
class DropQueue {
 public:
  struct Drop {
    std::uint64_t worker = 0;
    std::uint64_t block = 0;
    std::int64_t num_bytes = 0;
    friend auto operator<=>(const Drop&, const Drop&) = default;
  };
  /// `wake` is an eventfd, written when the queue was empty.
  explicit DropQueue(int wake);
  void Add(const Drop& drop);
  /// Appends to `drops` what came since the last call.
  void Take(std::vector<Drop>* drops);
  /// Says that nobody listens any more.
  void Close();

 private:
  const std::uint64_t generation_;
  std::mutex mutex_;
  std::vector<Drop> drops_;
  int wake_;
};

/// The SharedTable::hold of a block in a worker's arena.
struct RemoteHold {
  RemoteHold(std::shared_ptr<DropQueue> queue, const DropQueue::Drop& drop)
      : queue(std::move(queue)), drop(drop) {}
  RemoteHold(const RemoteHold&) = delete;
  RemoteHold& operator=(const RemoteHold&) = delete;
  ~RemoteHold() { queue->Add(drop); }

  const std::shared_ptr<DropQueue> queue;
  const DropQueue::Drop drop;
};

/// The actor that a worker is for.
struct WorkerActor {
  std::shared_ptr<EventPort> port;
  ActorId id;
};

/// A block in a worker's arena that this process holds.
struct RemoteBlock {
  std::shared_ptr<const std::string> layout;
  std::shared_ptr<arrow::Schema> schema;
};

/// A worker process.
struct Worker {
  std::uint64_t key = 0;  // Also the id of its arena.
  int socket = -1;        // -1: it is lost.
  std::int64_t pid = -1;  // -1: it has not greeted yet.
  std::string setup;
  bool stopping = false;     // It was told to stop; its end is no loss.
  bool wants_write = false;  // The socket was full.
  FrameSender out;
  FrameReceiver in;
  SchemaSender schemas_out;
  SchemaReceiver schemas_in;
  std::shared_ptr<ArenaView> arena;
  std::unordered_set<std::uint64_t> programs;  // Known to it.
  std::unordered_set<std::uint64_t> arenas;    // Known to it.
  std::set<std::uint64_t> tasks;
  std::int64_t active = 0;                                // Tasks sent and not parked.
  std::int64_t cancelled = 0;                             // Tasks that have a deadline.
  std::unordered_map<std::uint64_t, RemoteBlock> blocks;  // By the number that it gave them.
  std::int64_t block_bytes = 0;                           // Of these.
  // Inputs of its tasks, by the number that it names them with.
  std::unordered_map<std::uint64_t, std::shared_ptr<const void>> pins;
  std::optional<WorkerActor> actor;
  bool is_actor = false;
  bool stop_when_idle = false;
  std::int64_t idle_since = 0;
  std::int64_t kill_at = kNoDeadline;  // If it is told to stop and does not.
  std::int64_t bury_at = kNoDeadline;  // Lost: when we stop waiting for its exit status.
  std::optional<std::int64_t> exit_status;
  bool orphaned = false;  // A template that had worked before died, and it with it.

  std::int64_t heap_bytes = 0;          // Of an actor: what it may hold. 0: unlimited.
  std::int64_t unseen_bytes = 0;        // What it holds beyond what it says itself.
  std::int64_t stopped_heap_bytes = 0;  // What it held when it was killed for that.
};

/// What the memory watch sees of a worker.
struct WorkerUse {
  std::uint64_t key = 0;
  std::int64_t pid = -1;  // -1: it has not greeted, or has ended.
  std::shared_ptr<ArenaView> arena;
  std::int64_t block_bytes = 0;     // In its arena, held by this process.
  std::int64_t allowance = 0;       // What it may hold besides these. 0: unlimited.
  std::shared_ptr<EventPort> port;  // Of the run that it works for; null: none.
  std::optional<TaskId> task;       // That it runs now.
  bool idle = false;                // It could be ended.
  bool dying = false;               // It was lost, and its exit status is not known yet.
};

}  // namespace headrace
