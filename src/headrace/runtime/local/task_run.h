#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "headrace/base/id.h"
#include "headrace/data/pipeline/pipeline.h"
#include "headrace/protocol/event.h"

namespace headrace {

class LocalStore;

/// One running task, wherever it runs: its pipeline, its account of credit, its cancel flag.
/// Threads: one at a time calls Open() and Pull(); Cancel() and Grant() from any thread.
class TaskRun {
 public:
  TaskRun(std::int64_t credit_bytes, std::uint32_t skip_outputs)
      : credit_bytes_(credit_bytes), skip_outputs_(skip_outputs) {}
  TaskRun(const TaskRun&) = delete;
  TaskRun& operator=(const TaskRun&) = delete;

  /// What a pull gave: an output to be yielded, or a failure, or neither: the end.
  struct Pulled {
    std::uint32_t index = 0;
    std::optional<PipelineOutput> output;
    bool last = false;  // The output is known to be the last.
    std::optional<Failure> failure;
  };

  /// Makes the pipeline. `context.cancelled` is set here. Requires: `program` outlives the run.
  Status Open(const TaskProgram& program, TaskInput&& input, TaskContext context);
  bool opened() const { return pipeline_ != nullptr; }

  /// Computes the next output that is not to be skipped. Requires: opened.
  Pulled Pull();

  /// Counts an output as yielded. Returns true if the task may go on, else it must park.
  bool Charge(std::int64_t num_bytes) {
    yielded_bytes_ += num_bytes;
    return has_credit();
  }
  bool has_credit() const {
    return yielded_bytes_.load() < credit_bytes_.load() || cancelled_.load();
  }
  std::int64_t credit_bytes() const { return credit_bytes_.load(); }

  /// Raises the credit to this total.
  void Grant(std::int64_t credit_bytes);
  void Cancel() { cancelled_.store(true); }
  bool cancelled() const { return cancelled_.load(); }

  /// Destroys the pipeline, with all memory that it holds, and returns what it cost.
  TaskStats Close();

  /// The failure of a task that was cancelled.
  static Failure Cancelled();
  /// The failure that `status` carries, or kCancelled if this task was cancelled and it says so, or
  /// kInputLost.
  Failure FailureFrom(const Status& status) const;

 private:
  std::unique_ptr<Pipeline> pipeline_;
  std::uint32_t next_index_ = 0;
  std::atomic<std::int64_t> yielded_bytes_{0};  // Written by the task's thread alone.
  std::atomic<std::int64_t> credit_bytes_;
  std::atomic<bool> cancelled_{false};
  const std::uint32_t skip_outputs_;
};

/// Gathers what the order of task `id` names: blocks from the store, units from the program's
/// source. An error about lost blocks names all of them (runtime/store/losses.h).
Result<TaskInput> LoadInput(TaskId id, const TaskOrder& order, LocalStore& store);

/// Cuts a task's input to the rows of its order, without a copy.
void CutToRange(const RowRange& range, Block* block, BlockInfo* info);

/// Makes the instances of the classes that `program` calls: what an actor is.
Status MakeInstances(const TaskProgram& program, FunctionRuntime* functions);

/// Returns the read units that `order` names. Requires: a source, if there are any.
std::vector<ReadUnit> LoadUnits(const TaskOrder& order);

}  // namespace headrace
