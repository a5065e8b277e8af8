#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/block/block.h"
#include "headrace/block/position.h"

namespace headrace {

struct TaskProgram;

/// What simulated tasks make of their inputs: a pure function of operator and position, as real
/// programs are of their data. So a retry gives the same blocks, and a test can compute what a
/// run must give without running it.
struct SimModel {
  std::uint64_t seed = 0;
  std::int64_t source_rows_max = 100;    // Of one task of a source.
  std::int64_t blocks_max = 4;           // Of one task.
  std::int64_t row_bytes_max = 1 << 16;  // Of a row, drawn for each block.
  double filter_chance = 0.3;            // That a map drops rows.
  double empty_chance = 0.05;            // That a task yields nothing.
  double error_chance = 0;               // That a task fails by user error, always at one place.
  std::int64_t heap_bytes_max = 0;       // Of a task in a worker, or of an actor by itself.
  double heap_outlier_chance = 0;        // That it is up to six times as much.

  struct Block {
    std::int64_t num_rows = 0;
    std::int64_t num_bytes = 0;
  };
  struct Outputs {
    std::vector<Block> blocks;
    /// The task fails after this many blocks.
    std::optional<std::uint32_t> error_after;
  };

  /// By operator: what each of its tasks yields, instead of a draw.
  std::map<std::int32_t, Outputs> fixed;
  /// By operator: the heap of each of its tasks by the first number of its position, the last one
  /// of all others and of actors; instead of a draw.
  std::map<std::int32_t, std::vector<std::int64_t>> fixed_heaps;

  /// Returns the index of an output block if `program` is an exchange's map side, else null.
  std::shared_ptr<const BlockIndex> IndexOf(const TaskProgram& program, const Position& block,
                                            std::int64_t num_rows) const;

  /// Returns the heap of a task of `op` at `position`; or of an actor of `op`, without a position.
  std::int64_t HeapOf(OperatorId op, const Position& position) const;

  /// Returns what a task of `op` at `position` yields. `rows_in` is -1 for sources.
  Outputs OutputsOf(OperatorId op, const Position& position, std::int64_t rows_in) const;
};

}  // namespace headrace
