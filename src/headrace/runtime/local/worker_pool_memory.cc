#include <arrow/table.h>

#include <algorithm>
#include <utility>

#include "headrace/runtime/local/worker_pool.h"

// What the memory watch asks of the workers.

namespace headrace {

std::vector<WorkerUse> WorkerPool::Uses(std::int64_t* template_pid) const {
  std::lock_guard lock(mutex_);
  *template_pid = template_.pid();
  std::vector<WorkerUse> uses;
  uses.reserve(workers_.size());
  for (const auto& [key, worker] : workers_) {
    WorkerUse& use = uses.emplace_back();
    use.key = key;
    use.pid = worker->exit_status.has_value() ? -1 : worker->pid;
    use.arena = worker->arena;
    use.block_bytes = worker->block_bytes;
    use.dying = worker->socket < 0;
    use.idle = !use.dying && !worker->stopping && !worker->is_actor && worker->tasks.empty();
    if (worker->is_actor) use.allowance = worker->heap_bytes;
    if (worker->actor.has_value()) use.port = worker->actor->port;
    // The oldest one that may go on is the one that runs.
    for (const std::uint64_t task_key : worker->tasks) {
      const WorkerTask& task = tasks_.at(task_key);
      if (use.port == nullptr) use.port = task.port;
      if (!worker->is_actor) use.allowance = std::max(use.allowance, task.order.heap_bytes);
      if (task.active && !use.task) use.task = task.id;
    }
  }
  return uses;
}

void WorkerPool::NoteUnseen(std::uint64_t key, std::int64_t bytes) {
  std::lock_guard lock(mutex_);
  auto it = workers_.find(key);
  if (it != workers_.end()) it->second->unseen_bytes = std::max<std::int64_t>(0, bytes);
}

void WorkerPool::SetKeepFree(std::int64_t bytes) {
  {
    std::lock_guard lock(mutex_);
    keep_free_bytes_ = bytes;
    for (const auto& [key, worker] : workers_) {
      if (worker->socket >= 0) SendKeepFree(*worker);
    }
  }
  Wake();
}

void WorkerPool::SendKeepFree(Worker& worker) {
  if (keep_free_bytes_ < 0) return;
  WireWriter payload;
  payload.I64(keep_free_bytes_);
  worker.out.Add(Message::kKeepFree, payload.bytes());
  unsent_.insert(worker.key);
}

bool WorkerPool::StopIdle(std::uint64_t key) {
  {
    std::lock_guard lock(mutex_);
    auto it = workers_.find(key);
    if (it == workers_.end()) return false;
    Worker& worker = *it->second;
    if (!worker.tasks.empty() || worker.is_actor || worker.pid <= 0) return false;
    Stop(worker);
  }
  Wake();
  return true;
}

void WorkerPool::StopOverMemory(std::uint64_t key, std::int64_t heap_bytes) {
  {
    std::lock_guard lock(mutex_);
    auto it = workers_.find(key);
    if (it == workers_.end() || it->second->socket < 0) return;
    it->second->stopped_heap_bytes = heap_bytes;
    Kill(*it->second);
  }
  Wake();  // To bury it.
}

/// Frees what a worker that has ended leaves in its arena besides blocks.
void WorkerPool::FreeRest(const Worker& worker) {
  if (worker.arena == nullptr || !worker.exit_status.has_value()) return;
  std::vector<Span> spans;
  for (const auto& [number, block] : worker.blocks) {
    const auto table = DecodeLayout({worker.arena, block.layout, block.schema, nullptr});
    if (!table.ok()) return;
    AddSpans(**table, *worker.arena, &spans);
  }
  worker.arena->KeepOnly(std::move(spans));
}

/// Ends the tasks of a worker that was stopped for its memory: by the one that ran.
void WorkerPool::EndStopped(Worker& worker, const Failure& failure) {
  TaskStats stats;
  stats.peak_heap_bytes = worker.stopped_heap_bytes;
  const std::set<std::uint64_t> tasks = worker.tasks;
  for (const std::uint64_t key : tasks) {
    const bool ran = tasks_.at(key).active && stats.peak_heap_bytes > 0;
    EndTask(key, failure, ran ? stats : TaskStats{});
    if (ran) stats.peak_heap_bytes = 0;
  }
}

}  // namespace headrace
