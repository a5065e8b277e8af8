#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/time.h"
#include "headrace/control/schedule/physical_operator.h"

namespace headrace {

/// What the scheduler knows of one task that has not ended for good.
///
///   kRunning ──TaskParked──▶ kParked ──grant──▶ kRunning
///      ├──────TaskEnded, worker lost──────▶ kRetry ──start, attempt + 1──▶ kRunning
///      └──TaskEnded, input lost──▶ kLacksInput ──made again──▶ kRetry
struct TaskRecord {
  enum class State : std::uint8_t { kRunning, kParked, kRetry, kLacksInput };
  TaskId id;
  State state = State::kRunning;
  bool again = false;               // It has ended before; see remakes.cc.
  bool unread = false;              // Reads nothing of what operators hold until it starts.
  bool alone = false;               // Runs, and is to run, without neighbours; see memory.cc.
  std::uint32_t lacking = 0;        // Inputs of `work.held` without an object.
  std::int32_t inputs_lost = 0;     // Attempts that failed so, though nothing was lost.
  std::int32_t workers_lost = 0;    // Of attempts.
  std::int32_t memory_stops = 0;    // Attempts that were stopped for what they held.
  std::int64_t heap_bytes = 0;      // Charged for this attempt.
  std::int64_t heap_bytes_min = 0;  // To be charged for the next one.
  std::uint32_t outputs_taken = 0;  // In all attempts.
  std::int32_t actor = -1;          // Ordinal of the actor it runs in; -1: none.
  std::int64_t granted_bytes = 0;   // Credit of this attempt: a running total.
  std::int64_t yielded_bytes = 0;   // By this attempt.
  std::int64_t rows_yielded = 0;    // In all attempts.
  std::int64_t running_nanos = 0;   // Of this attempt, until `since`:
  Instant since;                    // its start, its last block or its last grant when parked.
  ProposedTask work;

  /// What is charged to kCredit for the task.
  std::int64_t open_credit() const {
    return granted_bytes > yielded_bytes ? granted_bytes - yielded_bytes : 0;
  }
};

/// The unended tasks of one operator by ordinal. Add, Find and Remove take constant time; memory
/// is a record for each unended task and 4 bytes for each since the oldest unended one.
class TaskTable {
 public:
  /// Adds a task with the next ordinal. References stay valid until its Remove().
  TaskRecord& Add(OperatorId op) {
    const std::uint32_t slot = TakeSlot();
    TaskRecord& record = records_[slot];
    record.id = TaskId{op, 0, first_ + slots_.size()};
    slots_.push_back(slot);
    ++size_;
    return record;
  }

  /// Adds a task that was removed, under its ordinal. Those cost a look-up in a map; the others do
  /// not feel it.
  TaskRecord& AddAgain(OperatorId op, std::uint64_t ordinal) {
    const std::uint32_t slot = TakeSlot();
    TaskRecord& record = records_[slot];
    record.id = TaskId{op, 0, ordinal};
    again_.emplace(ordinal, slot);
    ++size_;
    return record;
  }

  /// Returns the task, or null if there is none of that ordinal or it was removed.
  TaskRecord* Find(std::uint64_t ordinal) {
    const std::uint32_t slot = SlotOf(ordinal);
    return slot == kGone ? nullptr : &records_[slot];
  }
  const TaskRecord* Find(std::uint64_t ordinal) const {
    const std::uint32_t slot = SlotOf(ordinal);
    return slot == kGone ? nullptr : &records_[slot];
  }

  /// Requires: the task is in the table.
  void Remove(std::uint64_t ordinal) {
    const std::uint32_t slot = SlotOf(ordinal);
    records_[slot] = {};
    free_.push_back(slot);
    --size_;
    if (!again_.empty() && again_.erase(ordinal) > 0) return;
    slots_[ordinal - first_] = kGone;
    while (!slots_.empty() && slots_.front() == kGone) {
      slots_.pop_front();
      ++first_;
    }
  }

  bool empty() const { return size_ == 0; }
  std::int64_t size() const { return size_; }
  /// Tasks ever added.
  std::uint64_t num_added() const { return first_ + slots_.size(); }

  /// Calls `visit(record)` for each task, in order of their ordinals.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const std::uint32_t slot : slots_) {
      if (slot != kGone) visit(records_[slot]);
    }
    for (const auto& [ordinal, slot] : again_) visit(records_[slot]);
  }

 private:
  static constexpr std::uint32_t kGone = UINT32_MAX;
  std::uint32_t TakeSlot() {
    if (free_.empty()) {
      records_.emplace_back();
      return static_cast<std::uint32_t>(records_.size() - 1);
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  std::uint32_t SlotOf(std::uint64_t ordinal) const {
    const bool known = ordinal >= first_ && ordinal - first_ < slots_.size();
    const std::uint32_t slot = known ? slots_[ordinal - first_] : kGone;
    if (slot != kGone || again_.empty()) return slot;
    const auto at = again_.find(ordinal);
    return at == again_.end() ? kGone : at->second;
  }
  std::deque<TaskRecord> records_;
  std::vector<std::uint32_t> free_;
  std::deque<std::uint32_t> slots_;               // Of ordinals first_, first_ + 1, ...
  std::map<std::uint64_t, std::uint32_t> again_;  // Slots of AddAgain().
  std::uint64_t first_ = 0;
  std::int64_t size_ = 0;
};

}  // namespace headrace
