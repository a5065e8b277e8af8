#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "headrace/protocol/program.h"
#include "headrace/runtime/sim/sim_backend.h"

// A memory limit in the simulated machine: what is held, and who is stopped for it.

namespace headrace {
namespace {

constexpr std::int64_t kFreeTellPart = 50;  // Changes of so small a part of the limit are told.

}  // namespace

std::int64_t SimBackend::held_bytes() const { return object_bytes_ + heap_bytes_; }

std::int64_t SimBackend::HeapOf(const Task& task) const {
  const bool worker = task.order.program != nullptr && task.order.program->lane == Lane::kProcess;
  if (options_.memory_limit_bytes == 0 || !worker) return 0;
  return options_.model.HeapOf(task.id.op, task.order.position);
}

std::int64_t SimBackend::HeapOf(ActorId, const Actor& actor) const {
  std::int64_t heap = actor.heap_bytes;
  for (const TaskId& task : actor.tasks) heap += tasks_.at(task).heap_bytes;
  return heap;
}

void SimBackend::CheckMemory(std::vector<Event>* events) {
  peak_held_bytes_ = std::max(peak_held_bytes_, held_bytes());
  while (held_bytes() > options_.memory_limit_bytes && StopOne(events)) {
  }
  TellMemory(events);
}

/// Stops what is furthest past its allowance, or else the largest of several; returns false if
/// there is nothing to stop.
bool SimBackend::StopOne(std::vector<Event>* events) {
  if (options_.ignore_allowances) return false;
  // By excess, or where there is none by size.
  std::pair<std::int64_t, std::int64_t> most{0, 0};
  std::int64_t holders = 0;
  std::optional<TaskId> task_over;
  std::optional<ActorId> actor_over;
  const auto is_more = [&](std::int64_t heap, std::int64_t allowance) {
    if (heap > 0) ++holders;
    const std::pair amounts{std::max<std::int64_t>(0, heap - allowance), heap};
    if (amounts <= most) return false;
    most = amounts;
    return true;
  };
  for (const auto& [id, task] : tasks_) {
    if (task.order.actor || task.order.heap_bytes == 0) continue;
    if (is_more(task.heap_bytes, task.order.heap_bytes)) task_over = id;
  }
  for (const auto& [id, actor] : actors_) {
    if (actor.allowance == 0 || actor.stopped) continue;
    if (is_more(HeapOf(id, actor), actor.allowance)) actor_over = id;
  }
  if (most.first == 0 && holders < 2) return false;
  ++memory_stops_;
  last_stop_was_alone_ = tasks_running_ <= 1;
  if (actor_over) {
    LoseActor(*actor_over, FailureKind::kOverMemory, events);
    return true;
  }
  Failure failure;
  failure.kind = FailureKind::kOverMemory;
  failure.message = "simulated";
  EndTask(*task_over, failure, events, tasks_.at(*task_over).heap_bytes);
  return true;
}

void SimBackend::TellMemory(std::vector<Event>* events) {
  const std::int64_t free = options_.memory_limit_bytes - held_bytes();
  if (std::abs(free - told_free_bytes_) <= options_.memory_limit_bytes / kFreeTellPart) return;
  told_free_bytes_ = free;
  event::MemoryMeasured measured{free, heap_bytes_, {}};
  for (const auto& [id, task] : tasks_) {
    if (task.order.actor || task.heap_bytes <= task.order.heap_bytes) continue;
    measured.tasks.push_back({id, task.heap_bytes});
  }
  Report(std::move(measured), events);
}

}  // namespace headrace
