#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/sim/sim_model.h"

namespace headrace {

/// How a simulated machine behaves. Chances are per opportunity; all draws come from `seed`.
struct SimOptions {
  std::uint64_t seed = 0;
  Resources capacity{.cpu_milli = 4000};
  std::int64_t object_store_bytes = 64 << 20;
  std::int64_t memory_limit_bytes = 0;  // Of blocks and heaps together. 0: none.
  bool parks_waiting_tasks = true;
  std::int64_t queue_factor = 0;  // Orders beyond the cpus that are right, for each cpu.
  SimModel model;

  Duration block_time_max = Duration::Millis(20);  // Of making one block.
  Duration actor_start_max = Duration::Millis(50);
  bool exact_times = false;  // Everything takes its longest time.
  /// Returns how long the task at `position` of `op` takes for its next block, begun at `now`: so
  /// speeds may differ, and change in mid-run. Unset: a time up to block_time_max.
  std::function<Duration(OperatorId op, const Position& position, Instant now)> block_time;
  /// A task that has used up its credit parks before it knows whether it has more to give.
  double parks_at_end_chance = 0.5;

  // Faults that a run must survive.
  double worker_lost_chance = 0;        // Of the worker, at each block.
  double actor_start_fails_chance = 0;  // At most twice in a row for an operator.
  double actor_dies_idle_chance = 0;    // Some time after it is ready.
  double spill_refused_chance = 0;      // Of each object that is to be spilled.
  double spill_lost_chance = 0;         // Of each block on disk that a task is to read;
  double all_lost_chance = 0;           // then, of all that is on disk.
  double block_lost_chance = 0;         // Of each other block of `lossy` operators, when read.
  std::set<std::int32_t> lossy;
  std::int64_t losses_max = INT64_MAX;  // Of blocks in a run, unless blocks_always_lost.
  double noise_chance = 0;              // Duplicate, stale and unknown events, after each event.
  std::int32_t max_attempts = 4;        // A task loses its worker less often than this, and a
                                        // block is lost less often.

  std::set<std::pair<TaskId, std::uint32_t>> lose_at;  // The attempt, and before which output.

  // Faults that a run must end with.
  bool actors_never_start = false;
  bool workers_always_lost = false;
  bool blocks_always_lost = false;  // No block is read from disk.

  // Planted mistakes, which the checks must catch: each happens once, at the n-th opportunity
  // from 1. 0: never.
  std::int64_t drop_task_ended = 0;
  std::int64_t drop_block = 0;
  std::int64_t double_block = 0;  // The same block twice, the second under the next index.
  std::int64_t lose_release = 0;
  std::int64_t ignore_grant = 0;
  bool ignore_allowances = false;  // Nobody is ever stopped for its memory.
};

/// A backend in virtual time: Wait() jumps to the next event. Runs no program; a task's outputs
/// come from the model, its times and faults from the seed. Two runs of one seed are equal.
///
/// Holds the scheduler to the contract: every reference is counted, inputs must be live while
/// their task runs, resources must not be overbooked, ids must be new, credit must not go back.
/// What breaks it is noted in violations().
///
/// With a memory limit, it measures and stops as a real one does: at once, so that what is held is
/// never more than one task's heap, or one block, above the limit.
///
/// Threads: one.
class SimBackend final : public Backend {
 public:
  explicit SimBackend(SimOptions options);

  std::string_view name() const override { return "sim"; }
  void StartTask(TaskId task, TaskOrder order) override;
  void GrantCredit(TaskId task, std::int64_t credit_bytes) override;
  void CancelTask(TaskId task) override;
  void StartActor(ActorId actor, const ActorOrder& order) override;
  void StopActor(ActorId actor) override;

  /// There is no data: fails.
  Result<BlockHandle> Put(const Block& block) override;
  Result<Block> Get(ObjectId object) override;
  void Retain(std::span<const ObjectId> objects) override;
  void Release(std::span<const ObjectId> objects) override;
  void SpillObjects(std::vector<ObjectId> objects) override;

  Instant Now() const override { return now_; }
  Resources capacity() const override { return options_.capacity; }
  std::int64_t object_store_bytes() const override { return options_.object_store_bytes; }
  bool parks_waiting_tasks() const override { return options_.parks_waiting_tasks; }
  /// Appends all events of the next instant at which there are some. Appends nothing, and leaves
  /// the time, if there will never be one.
  void Wait(Instant deadline, std::vector<Event>* events) override;
  void Post(Event event) override { PostAt(now_, std::move(event)); }

  /// Adds an event that Wait() gives at `at`.
  void PostAt(Instant at, Event event);

  /// Makes an object of this size with one reference.
  BlockHandle MakeObject(std::int64_t num_rows, std::int64_t num_bytes, Position position);

  std::int64_t live_objects() const { return static_cast<std::int64_t>(objects_.size()); }
  std::int64_t largest_block_bytes() const { return largest_block_bytes_; }
  /// Bytes of blocks in memory, of tasks and of actors: now and at most; and the largest heap.
  std::int64_t held_bytes() const;
  std::int64_t peak_held_bytes() const { return peak_held_bytes_; }
  std::int64_t largest_heap_bytes() const { return largest_heap_bytes_; }
  std::int64_t memory_stops() const { return memory_stops_; }
  /// True if nothing else ran when the last one was stopped.
  bool last_stop_was_alone() const { return last_stop_was_alone_; }
  std::int64_t spilled_objects() const { return spilled_objects_; }
  std::int64_t lost_objects() const { return lost_objects_; }
  std::int64_t tasks_running_max() const { return tasks_running_max_; }
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  using BlockName = std::tuple<OperatorId, std::uint64_t, std::uint32_t>;  // Task and output.
  struct Object {
    std::int64_t references = 0;
    std::int64_t num_rows = 0;
    std::int64_t num_bytes = 0;
    bool spilled = false;
    bool lost = false;
    std::optional<BlockName> name{};  // Unset: nobody made it.
  };
  struct Task {
    TaskId id;
    TaskOrder order;
    SimModel::Outputs outputs;
    std::vector<ObjectId> lost{};  // Of its inputs.
    std::uint32_t next = 0;        // Output to make next.
    std::int64_t credit_bytes = 0;
    std::int64_t yielded_bytes = 0;
    bool parked = false;
    bool cancelled = false;
    Instant since;                // Its start, or when it went on after it parked.
    std::int64_t wall_nanos = 0;  // Before that; not parked.
    std::int64_t heap_bytes = 0;  // Once it runs.
  };
  struct Actor {
    Resources cost;
    std::int64_t allowance = 0;
    std::int64_t heap_bytes = 0;  // Without its tasks'; once it is ready.
    bool ready = false;
    bool stopped = false;
    std::set<TaskId> tasks;
  };
  /// What happens next to a task or an actor.
  struct TaskStep {
    TaskId task;
  };
  struct ActorStep {
    ActorId actor;
  };
  struct SpillStep {
    std::vector<ObjectId> objects;
  };
  using Happening = std::variant<Event, TaskStep, ActorStep, SpillStep>;
  struct Entry {
    Instant at;
    std::uint64_t number;  // Orders equal instants.
    Happening happening;
    bool operator<(const Entry& other) const {
      return std::pair(at, number) > std::pair(other.at, other.number);
    }
  };

  void Schedule(Instant at, Happening happening);
  Duration Draw(Duration most);
  Duration BlockTime(TaskId id, const Task& task);
  void Happen(Happening happening, std::vector<Event>* events);
  void RunStep(TaskId id, std::vector<Event>* events);
  void RunStep(ActorId id, std::vector<Event>* events);
  void RunSpill(std::vector<ObjectId> objects, std::vector<Event>* events);
  void Yield(TaskId id, Task& task, std::vector<Event>* events);
  void Report(Event event, std::vector<Event>* events);
  void EndTask(TaskId id, std::optional<Failure> failure, std::vector<Event>* events,
               std::int64_t stopped_heap_bytes = 0);
  void LoseActor(ActorId id, FailureKind kind, std::vector<Event>* events);

  // sim_losses.cc
  void LoseInputs(Task* task);
  void Lose(Object* object);
  void EndWithoutInput(TaskId id, std::vector<Event>* events);

  // sim_memory.cc
  std::int64_t HeapOf(const Task& task) const;
  std::int64_t HeapOf(ActorId id, const Actor& actor) const;
  void CheckMemory(std::vector<Event>* events);
  bool StopOne(std::vector<Event>* events);
  void TellMemory(std::vector<Event>* events);

  bool LosesWorker(TaskId id, const Task& task);
  void AddNoise(const Event& event, std::vector<Event>* events);
  void Use(const Resources& cost, const char* by);
  void Violated(std::string what) { violations_.push_back(std::move(what)); }

  SimOptions options_;
  Rng rng_;
  Instant now_;
  std::uint64_t next_number_ = 0;
  std::uint64_t next_object_ = 0;
  std::priority_queue<Entry> queue_;
  std::map<ObjectId, Object> objects_;
  std::map<ObjectId, std::int64_t> inputs_in_use_;
  std::map<TaskId, Task> tasks_;
  std::set<TaskId> tasks_ever_;
  std::map<ActorId, Actor> actors_;
  std::map<OperatorId, std::int32_t> start_failures_;  // In a row.
  Resources used_;
  std::int64_t largest_block_bytes_ = 0;
  std::int64_t spilled_objects_ = 0;
  std::int64_t lost_objects_ = 0;
  std::map<BlockName, std::int32_t> losses_;  // How often.
  std::int64_t object_bytes_ = 0;             // In memory.
  std::int64_t heap_bytes_ = 0;               // Of tasks and actors.
  std::int64_t peak_held_bytes_ = 0;
  std::int64_t largest_heap_bytes_ = 0;
  std::int64_t memory_stops_ = 0;
  bool last_stop_was_alone_ = false;
  std::int64_t told_free_bytes_ = 0;
  std::int64_t tasks_running_ = 0;
  std::int64_t tasks_running_max_ = 0;
  std::int64_t ends_ = 0;
  std::int64_t yields_ = 0;
  std::int64_t releases_ = 0;
  std::int64_t grants_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace headrace
