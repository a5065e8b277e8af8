#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/control/optimize/optimizer.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/pieces.h"
#include "headrace/engine/execution.h"
#include "headrace/runtime/local/local_runtime.h"

namespace headrace {

class BackendSource;

/// What the executions of a process share: the runtime, the optimizer with the user's rules, the
/// numbering of functions and programs. Threads: all methods from any thread.
class Session {
 public:
  /// Everything runs on this machine, or with `cluster` there: all work, and all blocks.
  static Result<std::shared_ptr<Session>> Make(LocalRuntimeOptions options,
                                               std::shared_ptr<BackendSource> cluster = nullptr);

  /// Returns the process's session for C++ users, made at the first call with default options.
  static Result<std::shared_ptr<Session>> Default();

  /// Plans, without running it, and says what the outputs depend on: see DescribeOutputs().
  Result<std::vector<std::pair<std::string, std::string>>> DescribePlan(
      const LogicalPtr& plan, const ExecutionOptions& options);
  /// Plans, without running it, and returns the positions of the pieces; an error if it has none.
  Result<std::vector<Position>> PlanPieces(const LogicalPtr& plan, const ExecutionOptions& options);

  /// Takes `plan` through all its stages, without running it.
  Result<PlanStages> Plan(const LogicalPtr& plan, const ExecutionOptions& options);

  /// Plans and starts. `inline_functions`: null runs on threads and workers; else everything runs
  /// in the consumer's thread, with Python functions called through it.
  /// With `done` the execution reports its pieces, and does not run those that are done.
  Result<std::unique_ptr<Execution>> Execute(const LogicalPtr& plan,
                                             const ExecutionOptions& options,
                                             const std::set<Position>* done = nullptr);
  Result<std::unique_ptr<Execution>> ExecuteInline(const LogicalPtr& plan,
                                                   const ExecutionOptions& options,
                                                   FunctionRuntime* functions,
                                                   const std::set<Position>* done = nullptr);

  /// Stores blocks for an input of a later plan. The result's `keep_alive` releases them.
  Result<logical::InputData> Store(const std::vector<Block>& blocks);

  /// Runs `execution` to its end and keeps its blocks in the store, in order of position.
  Result<logical::InputData> Keep(Execution& execution);

  void AddRule(std::shared_ptr<const Rule> rule);
  void AddRule(std::shared_ptr<const PhysicalRule> rule);
  bool RemoveRule(std::string_view name);

  LocalRuntime& runtime() { return *runtime_; }
  /// True if nothing but the driver runs on this machine.
  bool on_cluster() const { return cluster_ != nullptr; }
  /// What executions may use: of this machine, or of the cluster as it is now.
  Result<Resources> Capacity(const std::string& cluster = "") const;
  Result<std::int64_t> StoreBytes(const std::string& cluster = "") const;
  /// A backend that no execution uses, for objects that live between executions.
  const std::shared_ptr<Backend>& storage() const { return storage_; }

 private:
  Session(std::shared_ptr<LocalRuntime> runtime, std::shared_ptr<BackendSource> cluster,
          std::shared_ptr<Backend> storage);
  Result<std::unique_ptr<Execution>> Run(const LogicalPtr& plan, const ExecutionOptions& options,
                                         std::shared_ptr<Backend> backend,
                                         const std::set<Position>* done);

  const std::shared_ptr<LocalRuntime> runtime_;
  const std::shared_ptr<BackendSource> cluster_;  // Null: this machine.
  const std::shared_ptr<Backend> storage_;
  std::mutex mutex_;  // Guards the two below.
  Optimizer optimizer_;
  std::uint64_t next_program_id_ = 1;
};

/// Returns a number that no other function of this process has.
std::uint64_t NextFunctionId();

}  // namespace headrace
