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
  /// `wake` is an eventfd, written when the queue was empty.
  explicit DropQueue(int wake);
  void Add(std::uint64_t worker, std::uint64_t block);
  /// Appends to `drops` what came since the last call.
  void Take(std::vector<std::pair<std::uint64_t, std::uint64_t>>* drops);
  /// Says that nobody listens any more.
  void Close();

 private:
  const std::uint64_t generation_;
  std::mutex mutex_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> drops_;
  int wake_;
};

/// The SharedTable::hold of a block in a worker's arena.
struct RemoteHold {
  RemoteHold(std::shared_ptr<DropQueue> queue, std::uint64_t worker, std::uint64_t block)
      : queue(std::move(queue)), worker(worker), block(block) {}
  RemoteHold(const RemoteHold&) = delete;
  RemoteHold& operator=(const RemoteHold&) = delete;
  ~RemoteHold() { queue->Add(worker, block); }

  const std::shared_ptr<DropQueue> queue;
  const std::uint64_t worker;
  const std::uint64_t block;
};

/// The actor that a worker is for.
struct WorkerActor {
  std::shared_ptr<EventPort> port;
  ActorId id;
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
  std::int64_t active = 0;     // Tasks sent and not parked.
  std::int64_t cancelled = 0;  // Tasks that have a deadline.
  std::int64_t blocks = 0;     // In its arena, held by this process.
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
};

}  // namespace headrace
