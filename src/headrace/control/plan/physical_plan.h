#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/protocol/event.h"
#include "headrace/protocol/program.h"

// What the scheduler runs: operators and edges after lowering, as plain values.

namespace headrace {

/// Stateless tasks on any worker of the program's lane.
struct TaskPool {
  std::optional<std::int32_t> max_tasks;  // At once. Unset: as resources allow.
  friend bool operator==(const TaskPool&, const TaskPool&) = default;
};

/// Tasks on workers that keep the user's instance.
struct ActorPool {
  std::int32_t min_size = 1;
  std::int32_t max_size = 1;
  std::int32_t initial_size = 1;
  std::int32_t max_tasks_in_flight = 2;  // Per actor: running, and sent ahead.
  friend bool operator==(const ActorPool&, const ActorPool&) = default;
};

using Compute = std::variant<TaskPool, ActorPool>;

/// Blocks that exist already. The backend holds one reference for the scheduler on each.
struct InputOperator {
  std::vector<BlockHandle> blocks;
};

/// A fused chain, run once per bundle of input or, without an input, per group of read units.
struct TaskOperator {
  ProgramPtr program;
  std::vector<UnitGroup> unit_groups;  // Sources: the units of each task.
  Compute compute = TaskPool{};
  Resources cost{.cpu_milli = 1000};  // Of one task, or of one actor.
  std::int64_t min_bundle_rows = 0;   // Input blocks are joined in order up to this. 0: one each.
  std::int32_t max_attempts = 4;      // Of a task whose worker was lost.
  std::int32_t piece_depth = 0;       // Bundles end where one of so many first parts of the
                                      // position changes. 0: they do not mind.
};

/// Passes the first rows in order of position. To cut a block, the scheduler runs a task of a copy
/// of `cut_program`, with the rows of its only step, a LimitStep, replaced by those to keep.
struct LimitOperator {
  std::int64_t rows = 0;
  ProgramPtr cut_program;
};

/// All inputs' blocks; in order of the inputs when order is kept. Positions get the input's
/// number as first part.
struct UnionOperator {};

/// Blocks of the inputs by turns: the next one is of the input that lacks most rows of its share,
/// its weight's, of those that have passed; of equals, the one of the greatest weight, then the
/// first. An input that has ended drops out, or, by `stop_on_shortest`, ends the whole. Inputs come
/// in order, so the result depends on the rows of their blocks alone. Positions get the number of
/// the turn as first part.
struct MixOperator {
  std::vector<double> weights;  // One for each input, positive.
  bool stop_on_shortest = false;
};

/// How an exchange shares its input blocks out.
enum class ExchangeKind : std::uint8_t {
  kBuckets,     // Scattered blocks: neighbouring buckets make one partition.
  kRuns,        // Sorted runs: ranges of keys.
  kRows,        // Ranges of rows, in order of position.
  kAligned,     // Blocks of input 0, each with the rows of the other inputs that stand beside it.
  kBroadcast,   // Blocks of one input as they come, each with all of the other, `small_input`.
  kGathered,    // One task with everything.
  kPermuted,    // No tasks: the blocks themselves, in random order.
  kRowBatches,  // Ranges of `rows_per_partition` rows in order, each as soon as its rows are there.
};

/// Takes all blocks of its inputs; when these have ended (but with kBroadcast and kRowBatches),
/// runs one task of `program` for each partition, over row ranges of the blocks. Positions begin
/// anew: a task's is its partition's number (but with kBroadcast that of its block). Blocks are
/// held until the last task that reads them has ended. A partition without rows reads none, of each
/// input's first block, for its schema.
///
/// A kBuckets join with `broadcast_bytes` looks at its right input first: the tasks that make the
/// left one wait. If the right one turns out to have no more bytes than that, it goes to each of
/// these tasks, which then joins its rows instead of scattering them, and the exchange passes their
/// outputs on (so one decides at run time that decided by guesses before: Kabra and DeWitt,
/// "Efficient mid-query re-optimization", 1998). Only where these are native and scatter last.
///
/// Number of partitions: `partitions` if set, also if some have no rows; else from the sizes; see
/// control/schedule/exchange_plan.h.
struct ExchangeOperator {
  ExchangeKind kind = ExchangeKind::kRows;
  ProgramPtr program;  // Null: kPermuted.
  std::int64_t partitions = -1;
  std::int64_t rows_per_partition = -1;  // kRowBatches.
  std::int64_t target_partition_bytes = 128 << 20;
  std::vector<std::string> boundaries;  // kRuns: encoded keys that part them. Empty: chosen.
  std::uint64_t seed = 0;               // kPermuted.
  std::int32_t small_input = 1;         // kBroadcast: the input that each task has all of.
  std::int64_t broadcast_bytes = 0;     // kBuckets joins: see below. 0: never.
  Resources cost{.cpu_milli = 1000};
  std::int32_t max_attempts = 4;
};

/// Returns the number of the input that the exchange takes as it comes, and does not gather.
std::optional<std::size_t> StreamedInput(const ExchangeOperator& exchange);

struct OperatorSpec {
  std::string name;
  std::variant<InputOperator, TaskOperator, LimitOperator, UnionOperator, MixOperator,
               ExchangeOperator>
      kind;
  std::vector<OperatorId> inputs;
  bool keep_order = false;  // Outputs leave in order of position.

  template <class T>
  const T* As() const {
    return std::get_if<T>(&kind);
  }
};

/// Operators in topological order; an OperatorId is the index here. The last one is the output.
struct PhysicalPlan {
  std::vector<OperatorSpec> operators;
  std::int64_t max_errored_blocks = 0;  // Tasks that may fail by user error. -1: any number.
  bool reports_pieces = false;          // See control/plan/pieces.h.
};

class BackpressurePolicy;

/// Makes a policy for one run of this plan; see control/account/policy.h. Never null.
using PolicyFactory = std::function<std::unique_ptr<BackpressurePolicy>(const PhysicalPlan&)>;

/// How the budget for blocks is divided among operators; see control/account/reservation.h.
enum class BudgetPolicy : std::uint8_t {
  kByNeed,  // By the times and sizes of their tasks, as measured.
  kEqual,   // Shares of the same size.
};

/// How a plan is to run. Names follow ray.data's ExecutionOptions.
struct ExecutionOptions {
  std::optional<Resources> resource_limits;  // Unset amounts: what the backend has.
  Resources exclude_resources;               // Left to others.
  std::int64_t object_store_bytes = 0;       // Budget for blocks. 0: the backend's default.
  BudgetPolicy budget_policy = BudgetPolicy::kByNeed;
  std::int64_t memory_limit_bytes = 0;  // Of all that the job's processes hold: blocks, heaps
                                        // of workers, the engine itself; see
                                        // control/account/job_memory.h. 0: no limit.
  double reservation_ratio = 0.5;       // Share of the budget divided over the operators.
  bool preserve_order = false;
  bool verbose_progress = false;
  std::int64_t target_min_block_bytes = 1 << 20;
  std::int64_t target_max_block_bytes = 128 << 20;
  std::int64_t read_op_min_num_blocks = 200;  // See control/plan/lower.h: read parallelism.
  std::int64_t max_errored_blocks = 0;
  std::int32_t max_task_attempts = 4;
  std::uint64_t seed = 0;      // Of random numbers that each run draws anew.
  std::string run_name;        // Of temporary files that functions write.
  std::string event_log_path;  // Record the run here; see engine/event_recorder.h. "": do not.
  std::string cluster;         // What the run asks of a cluster, as its bridge understands it.
  std::vector<PolicyFactory> policies;  // Of the user: what may hold work back.
};

/// Prints an amount of memory for messages: "12.5 MB", of a million bytes each.
std::string Megabytes(std::int64_t bytes);

/// What a worker process holds when it does nothing, about: what one task of a function needs at
/// least.
inline constexpr std::int64_t kWorkerBytes = 48 << 20;

/// Checks, before anything starts, that every operator can run at least one task, or one actor, in
/// `total` and, where the job has a memory limit, in the `free_bytes` that the engine itself leaves
/// of it; the error says which operator, what it asks, what there is, and what setting helps. A
/// pool whose minimum does not fit is no error: it works with as many actors as fit.
Status CheckFeasible(const PhysicalPlan& plan, const Resources& total,
                     const ExecutionOptions& options = {}, std::int64_t free_bytes = 0);

}  // namespace headrace
