#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/data/transform/function.h"
#include "headrace/protocol/event.h"
#include "headrace/protocol/program.h"

namespace headrace {

/// All of the right side of a join in the middle of a program.
struct SideInput {
  std::vector<ObjectId> objects;
  std::vector<Block> blocks;
  std::vector<BlockInfo> infos;
};

/// What one task works on.
struct TaskInput {
  std::vector<Block> blocks;  // With their infos, in order; cut to the rows of the order.
  std::vector<BlockInfo> infos;
  std::uint32_t left_blocks = 0;  // Joins and zips: the first blocks are the left side.
  std::vector<SideInput> sides;   // Of the program's last joins, in order.
  std::optional<KeyRange> keys;   // Merges.
  std::vector<ReadUnit> units;
  Position position;
  std::uint64_t task_number = 0;  // Among those of its operator: the same in every attempt.
};

/// One finished output block of a task.
struct PipelineOutput {
  Block block;
  BlockInfo info;  // Complete: rows, bytes, schema, position, files, index.
};

/// Runs one task program over one input: a pull iterator over shaped output blocks.
///
/// Between two calls of Next() the task is paused; it holds its state but no thread, so a task
/// without credit can wait as long as it must. Output is deterministic: equal program, input and
/// position give equal blocks. Threads: one at a time, not always the same one.
class Pipeline {
 public:
  /// Builds the chain. Does no I/O and calls no user code yet. Requires: `program` outlives it.
  static Result<std::unique_ptr<Pipeline>> Make(const TaskProgram& program, TaskInput&& input,
                                                TaskContext context);
  virtual ~Pipeline() = default;

  /// Returns the next output block, or nothing at the end. An empty task yields nothing, or one
  /// block without rows if a schema is known. Errors carry a FailureDetail whose context names
  /// operator, file and rows.
  virtual Result<std::optional<PipelineOutput>> Next() = 0;

  /// True if Next() is known to have no more. It may not be known before Next() says so.
  virtual bool ended() const = 0;

  /// What it has cost so far; wall and cpu time count the calls of Next() only.
  virtual TaskStats stats() const = 0;
};

}  // namespace headrace
