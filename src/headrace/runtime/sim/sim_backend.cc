#include "headrace/runtime/sim/sim_backend.h"

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

Failure FailureOf(FailureKind kind) {
  Failure failure;
  failure.kind = kind;
  failure.code = arrow::StatusCode::UnknownError;
  failure.message = "simulated";
  return failure;
}

}  // namespace

SimBackend::SimBackend(SimOptions options) : options_(std::move(options)), rng_(options_.seed) {}

// ---- Orders -----------------------------------------------------------------------------------

void SimBackend::StartTask(TaskId id, TaskOrder order) {
  if (!tasks_ever_.insert(id).second) return Violated("task started twice: " + id.ToString());
  std::size_t own = order.inputs.size();  // The others are sides of joins.
  for (const std::uint32_t count : order.sides) own -= count;
  std::int64_t rows_in = own == 0 && !order.units.empty() ? -1 : 0;
  for (std::size_t i = 0; i < order.inputs.size(); ++i) {
    const ObjectId input = order.inputs[i];
    auto at = objects_.find(input);
    if (at == objects_.end()) return Violated("input is not live: " + id.ToString());
    const std::int64_t rows = at->second.num_rows;
    RowRange range = order.ranges.empty() ? RowRange{} : order.ranges[i];
    if (range.end < 0) range.end = rows;
    if (range.begin < 0 || range.begin > range.end || range.end > rows) {
      Violated("rows that an input does not have: " + id.ToString());
    }
    if (i < own) rows_in += range.end - range.begin;
    ++inputs_in_use_[input];
  }
  if (order.credit_bytes < 1) Violated("task without credit: " + id.ToString());
  Task task{.id = id, .order = order, .outputs = {}, .since = now_};
  task.credit_bytes = order.credit_bytes;
  LoseInputs(&task);
  const auto* cut = order.program == nullptr || order.program->steps.empty()
                        ? nullptr
                        : std::get_if<LimitStep>(&order.program->steps.front());
  if (cut != nullptr) {
    task.outputs.blocks = {{std::min(cut->rows, rows_in), std::min(cut->rows, rows_in)}};
  } else {
    task.outputs = options_.model.OutputsOf(id.op, order.position, rows_in);
  }
  if (order.actor) {
    auto actor = actors_.find(*order.actor);
    if (actor == actors_.end()) {  // Lost while the order was on its way.
      tasks_.emplace(id, std::move(task));
      tasks_.at(id).order.cost = {};
      ++tasks_running_;
      return Schedule(now_, TaskStep{id});
    }
    if (!actor->second.ready || actor->second.stopped) Violated("task for an actor not ready");
    actor->second.tasks.insert(id);
  } else {
    Use(order.cost, "task");
  }
  const Instant made = now_ + BlockTime(id, task);
  tasks_.emplace(id, std::move(task));
  tasks_running_max_ = std::max(tasks_running_max_, ++tasks_running_);
  Schedule(made, TaskStep{id});
}

void SimBackend::GrantCredit(TaskId id, std::int64_t credit_bytes) {
  auto at = tasks_.find(id);
  if (at == tasks_.end()) return;
  if (++grants_ == options_.ignore_grant) return;
  Task& task = at->second;
  if (credit_bytes <= task.credit_bytes) Violated("credit went back: " + id.ToString());
  task.credit_bytes = credit_bytes;
  if (!task.parked || task.yielded_bytes >= task.credit_bytes) return;
  task.parked = false;
  task.since = now_;
  tasks_running_max_ = std::max(tasks_running_max_, ++tasks_running_);
  if (options_.parks_waiting_tasks && !task.order.actor) Use(task.order.cost, "grant");
  if (!task.cancelled) Schedule(now_ + BlockTime(id, task), TaskStep{id});
}

void SimBackend::CancelTask(TaskId id) {
  auto at = tasks_.find(id);
  if (at == tasks_.end() || at->second.cancelled) return;
  at->second.cancelled = true;
  if (at->second.parked) Schedule(now_ + Draw(Duration::Millis(1)), TaskStep{id});
}

void SimBackend::StartActor(ActorId id, const ActorOrder& order) {
  if (actors_.contains(id)) Violated("actor started twice");
  Use(order.cost, "actor");
  actors_[id].cost = order.cost;
  actors_[id].allowance = order.heap_bytes;
  Schedule(now_ + Draw(options_.actor_start_max), ActorStep{id});
}

void SimBackend::StopActor(ActorId id) {
  auto at = actors_.find(id);
  if (at == actors_.end()) return;
  at->second.stopped = true;
  if (!at->second.tasks.empty()) return Violated("actor stopped while it has tasks");
  used_ -= at->second.cost;
  heap_bytes_ -= at->second.heap_bytes;
  actors_.erase(at);
}

void SimBackend::Use(const Resources& cost, const char* by) {
  used_ += cost;
  Resources most = options_.capacity;
  most.cpu_milli *= 1 + options_.queue_factor;
  if (!used_.FitsIn(most)) Violated(std::string("resources overbooked by ") + by);
}

// ---- Objects ----------------------------------------------------------------------------------

Result<BlockHandle> SimBackend::Put(const Block&) {
  return Status::NotImplemented("simulated objects hold no data");
}

Result<Block> SimBackend::Get(ObjectId) {
  return Status::NotImplemented("simulated objects hold no data");
}

BlockHandle SimBackend::MakeObject(std::int64_t num_rows, std::int64_t num_bytes,
                                   Position position) {
  const ObjectId id{++next_object_};
  objects_[id] = {.references = 1, .num_rows = num_rows, .num_bytes = num_bytes};
  object_bytes_ += num_bytes;
  largest_block_bytes_ = std::max(largest_block_bytes_, num_bytes);
  BlockHandle handle{id, {}};
  handle.info.num_rows = num_rows;
  handle.info.num_bytes = num_bytes;
  handle.info.position = std::move(position);
  return handle;
}

void SimBackend::Retain(std::span<const ObjectId> objects) {
  for (const ObjectId id : objects) {
    auto at = objects_.find(id);
    if (at == objects_.end()) {
      Violated("retained an object that is not live");
    } else {
      ++at->second.references;
    }
  }
}

void SimBackend::Release(std::span<const ObjectId> objects) {
  for (const ObjectId id : objects) {
    auto at = objects_.find(id);
    if (at == objects_.end()) {
      Violated("released an object that is not live");
      continue;
    }
    if (++releases_ == options_.lose_release) continue;
    if (--at->second.references > 0) continue;
    if (inputs_in_use_.contains(id)) Violated("released the input of a running task");
    if (!at->second.spilled) object_bytes_ -= at->second.num_bytes;
    objects_.erase(at);
  }
}

void SimBackend::SpillObjects(std::vector<ObjectId> objects) {
  for (const ObjectId id : objects) {
    auto at = objects_.find(id);
    if (at == objects_.end()) {
      Violated("spills an object that is not live");
    } else if (inputs_in_use_.contains(id)) {
      Violated("spills the input of a running task");
    }
  }
  Schedule(now_ + Draw(options_.block_time_max), SpillStep{std::move(objects)});
}

void SimBackend::RunSpill(std::vector<ObjectId> objects, std::vector<Event>* events) {
  event::ObjectsSpilled done{objects, {}, std::nullopt};
  for (const ObjectId id : objects) {
    auto at = objects_.find(id);
    if (at == objects_.end() || rng_.Chance(options_.spill_refused_chance)) continue;
    if (!std::exchange(at->second.spilled, true)) object_bytes_ -= at->second.num_bytes;
    ++spilled_objects_;
    done.spilled.push_back(id);
  }
  Report(std::move(done), events);
}

// ---- Time -------------------------------------------------------------------------------------

void SimBackend::Schedule(Instant at, Happening happening) {
  queue_.push({at, next_number_++, std::move(happening)});
}

void SimBackend::PostAt(Instant at, Event event) { Schedule(at, std::move(event)); }

Duration SimBackend::Draw(Duration most) {
  if (options_.exact_times) return most;
  return {1 + static_cast<std::int64_t>(rng_.Below(static_cast<std::uint64_t>(most.nanos)))};
}

Duration SimBackend::BlockTime(TaskId id, const Task& task) {
  if (!options_.block_time) return Draw(options_.block_time_max);
  // A task that parked at its end finds out that there is no more.
  const bool at_end = task.next > 0 && task.next == task.outputs.blocks.size();
  return at_end ? Duration{1} : options_.block_time(id.op, task.order.position, now_);
}

void SimBackend::Wait(Instant deadline, std::vector<Event>* events) {
  while (events->empty() && !queue_.empty() && queue_.top().at <= deadline) {
    now_ = std::max(now_, queue_.top().at);
    // All of one instant come together, so that orders cross events on their way.
    while (!queue_.empty() && queue_.top().at <= now_) {
      Happening happening = queue_.top().happening;
      queue_.pop();
      Happen(std::move(happening), events);
      if (options_.memory_limit_bytes > 0) CheckMemory(events);
    }
  }
}

void SimBackend::Happen(Happening happening, std::vector<Event>* events) {
  if (auto* event = std::get_if<Event>(&happening)) {
    Report(std::move(*event), events);
  } else if (const auto* task = std::get_if<TaskStep>(&happening)) {
    RunStep(task->task, events);
  } else if (auto* spill = std::get_if<SpillStep>(&happening)) {
    RunSpill(std::move(spill->objects), events);
  } else {
    RunStep(std::get<ActorStep>(happening).actor, events);
  }
}

void SimBackend::Report(Event event, std::vector<Event>* events) {
  const bool noise = options_.noise_chance > 0 && rng_.Chance(options_.noise_chance);
  events->push_back(std::move(event));
  if (noise) AddNoise(Event(events->back()), events);
}

/// Adds an event that the scheduler has to ignore.
void SimBackend::AddNoise(const Event& event, std::vector<Event>* events) {
  if (const auto* yield = std::get_if<event::BlockYielded>(&event)) {
    event::BlockYielded copy = *yield;  // A second time, as another object.
    copy.block = MakeObject(1, 1, yield->block.info.position);
    if (rng_.Chance(0.3)) copy.task.attempt += 7;
    if (rng_.Chance(0.3)) copy.task.ordinal += 1'000'000;
    if (rng_.Chance(0.1)) copy.task.op.value = 99;
    events->push_back(std::move(copy));
  } else if (const auto* end = std::get_if<event::TaskEnded>(&event)) {
    events->push_back(*end);
  } else if (const auto* park = std::get_if<event::TaskParked>(&event)) {
    event::TaskParked stale = *park;
    stale.credit_bytes -= 1;
    events->push_back(stale);
  } else if (const auto* spilled = std::get_if<event::ObjectsSpilled>(&event)) {
    events->push_back(*spilled);
  } else if (const auto* lost = std::get_if<event::ActorLost>(&event)) {
    events->push_back(*lost);
    events->push_back(event::ActorReady{lost->actor});
  } else if (const auto* lost = std::get_if<event::ObjectsLost>(&event)) {
    event::ObjectsLost unknown = *lost;
    unknown.objects.push_back(ObjectId{next_object_ + 1'000'000});
    events->push_back(std::move(unknown));
  } else {
    events->push_back(event::TimePassed{});
  }
}

// ---- Tasks ------------------------------------------------------------------------------------

bool SimBackend::LosesWorker(TaskId id, const Task& task) {
  if (options_.workers_always_lost || options_.lose_at.contains({id, task.next})) return true;
  if (!rng_.Chance(options_.worker_lost_chance)) return false;
  const auto may_lose = [this](const TaskId& t) {
    return static_cast<std::int32_t>(t.attempt) + 1 < options_.max_attempts;
  };
  if (!task.order.actor) return may_lose(id);
  const auto& tasks = actors_.at(*task.order.actor).tasks;
  return std::all_of(tasks.begin(), tasks.end(), may_lose);
}

void SimBackend::RunStep(TaskId id, std::vector<Event>* events) {
  auto at = tasks_.find(id);
  if (at == tasks_.end()) return;
  Task& task = at->second;
  if (task.order.actor && !actors_.contains(*task.order.actor)) {
    return EndTask(id, FailureOf(FailureKind::kWorkerLost), events);
  }
  if (task.cancelled) return EndTask(id, FailureOf(FailureKind::kCancelled), events);
  if (!task.lost.empty()) return EndWithoutInput(id, events);
  if (LosesWorker(id, task)) {
    if (task.order.actor) return LoseActor(*task.order.actor, FailureKind::kWorkerLost, events);
    return EndTask(id, FailureOf(FailureKind::kWorkerLost), events);
  }
  if (task.heap_bytes == 0) {
    task.heap_bytes = HeapOf(task);
    heap_bytes_ += task.heap_bytes;
    largest_heap_bytes_ = std::max(largest_heap_bytes_, task.heap_bytes);
    // It holds that while it makes the first block.
    if (task.heap_bytes > 0) return Schedule(now_ + Draw(options_.block_time_max), TaskStep{id});
  }
  const auto count = static_cast<std::uint32_t>(task.outputs.blocks.size());
  while (task.next < std::min(task.order.skip_outputs, count)) ++task.next;
  if (task.next < count) Yield(id, task, events);
  if (tasks_.find(id) == tasks_.end()) return;
  const bool at_end = task.next == count;
  const bool out_of_credit = task.yielded_bytes >= task.credit_bytes;
  if (out_of_credit && (!at_end || rng_.Chance(options_.parks_at_end_chance))) {
    task.parked = true;
    task.wall_nanos += (now_ - task.since).nanos;
    --tasks_running_;
    if (options_.parks_waiting_tasks && !task.order.actor) used_ -= task.order.cost;
    return Report(event::TaskParked{id, task.credit_bytes}, events);
  }
  if (!at_end) return Schedule(now_ + BlockTime(id, task), TaskStep{id});
  if (task.outputs.error_after) {
    return EndTask(id, FailureOf(FailureKind::kUserError), events);
  }
  EndTask(id, std::nullopt, events);
}

void SimBackend::Yield(TaskId id, Task& task, std::vector<Event>* events) {
  const SimModel::Block& block = task.outputs.blocks[task.next];
  const std::uint32_t index = task.next++;
  task.yielded_bytes += block.num_bytes;
  ++yields_;
  if (yields_ == options_.drop_block) return;
  const Position position = task.order.position.Child(index);
  BlockHandle made = MakeObject(block.num_rows, block.num_bytes, position);
  objects_.at(made.object).name = {id.op, id.ordinal, index};
  if (task.order.program != nullptr) {
    made.info.index = options_.model.IndexOf(*task.order.program, position, block.num_rows);
  }
  Report(event::BlockYielded{id, index, std::move(made)}, events);
  if (yields_ != options_.double_block) return;
  BlockHandle twice = MakeObject(block.num_rows, block.num_bytes, position);
  Report(event::BlockYielded{id, index + 1, std::move(twice)}, events);
}

void SimBackend::EndTask(TaskId id, std::optional<Failure> failure, std::vector<Event>* events,
                         std::int64_t stopped_heap_bytes) {
  auto at = tasks_.find(id);
  HEADRACE_CHECK(at != tasks_.end());
  Task& task = at->second;
  for (const ObjectId input : task.order.inputs) {
    auto use = inputs_in_use_.find(input);
    if (--use->second == 0) inputs_in_use_.erase(use);
  }
  std::int64_t held = task.heap_bytes;
  const bool holds_cost = !task.order.actor && !(task.parked && options_.parks_waiting_tasks);
  if (holds_cost) used_ -= task.order.cost;
  if (!task.parked) --tasks_running_;
  if (task.order.actor) {
    auto actor = actors_.find(*task.order.actor);
    if (actor != actors_.end()) {
      held = HeapOf(actor->first, actor->second);
      actor->second.tasks.erase(id);
    }
  }
  heap_bytes_ -= task.heap_bytes;
  event::TaskEnded end{.task = id, .failure = std::move(failure), .stats = {}};
  end.stats.wall_nanos = task.wall_nanos + (task.parked ? 0 : (now_ - task.since).nanos);
  end.stats.cpu_nanos = end.stats.wall_nanos / 2;
  end.stats.peak_heap_bytes = held;
  if (end.failure && end.failure->kind == FailureKind::kOverMemory) {
    end.stats.peak_heap_bytes = stopped_heap_bytes;
  }
  tasks_.erase(at);
  if (++ends_ != options_.drop_task_ended) Report(std::move(end), events);
}

// ---- Actors -----------------------------------------------------------------------------------

void SimBackend::RunStep(ActorId id, std::vector<Event>* events) {
  auto at = actors_.find(id);
  if (at == actors_.end()) return;
  if (at->second.ready) {  // The idle death that was planned when it became ready.
    const auto& tasks = at->second.tasks;
    const bool survivable = std::all_of(tasks.begin(), tasks.end(), [this](const TaskId& t) {
      return static_cast<std::int32_t>(t.attempt) + 1 < options_.max_attempts;
    });
    if (survivable) LoseActor(id, FailureKind::kWorkerLost, events);
    return;
  }
  std::int32_t& failures = start_failures_[id.op];
  if (options_.actors_never_start ||
      (failures < 2 && rng_.Chance(options_.actor_start_fails_chance))) {
    ++failures;
    return LoseActor(id, FailureKind::kUserError, events);
  }
  failures = 0;
  at->second.ready = true;
  if (options_.memory_limit_bytes > 0) {
    at->second.heap_bytes = at->second.allowance == 0 ? 0 : options_.model.HeapOf(id.op, {});
    heap_bytes_ += at->second.heap_bytes;
    largest_heap_bytes_ = std::max(largest_heap_bytes_, at->second.heap_bytes);
  }
  if (rng_.Chance(options_.actor_dies_idle_chance)) {
    Schedule(now_ + Draw(Duration::Millis(200)), ActorStep{id});
  }
  Report(event::ActorReady{id, at->second.heap_bytes}, events);
}

void SimBackend::LoseActor(ActorId id, FailureKind kind, std::vector<Event>* events) {
  const std::set<TaskId> tasks = actors_.at(id).tasks;
  const bool over_memory = kind == FailureKind::kOverMemory;
  std::int64_t stopped = over_memory ? HeapOf(id, actors_.at(id)) : 0;
  const event::ActorLost lost{id, FailureOf(kind), stopped};
  used_ -= actors_.at(id).cost;
  heap_bytes_ -= actors_.at(id).heap_bytes;
  actors_.erase(id);
  const bool actor_first = rng_.Chance(0.5);
  if (actor_first) Report(lost, events);
  for (const TaskId& task : tasks) {
    const bool ran = !tasks_.at(task).parked && tasks_.at(task).heap_bytes > 0;
    EndTask(task, FailureOf(over_memory ? kind : FailureKind::kWorkerLost), events,
            ran ? std::exchange(stopped, 0) : 0);
  }
  if (!actor_first) Report(lost, events);
}

}  // namespace headrace
