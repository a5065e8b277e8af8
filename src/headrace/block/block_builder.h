#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/block/block.h"

namespace arrow {
class MemoryPool;
}

namespace headrace {

/// A shaped block and the files that its rows come from.
struct ShapedBlock {
  Block block;
  FileList files;
};

/// Turns the pieces that a task makes into blocks of the target sizes:
///
///   pieces ──▶ [pending, below target_min] ──join──▶ [ready] ──▶ Next()
///                       one over 1.5 × target_max is split between rows
///
/// Joining copies nothing: a joined block has a chunk per piece, unless the pieces are many and
/// tiny, where walking the chunks would cost more than one copy. Pieces of different schemas are
/// joined if they can be unified (unify.h), else they stay apart. Boundaries depend on the
/// pieces alone. Pieces without rows vanish, except that a builder that saw no row gives the
/// first of them, for its schema.
///
/// Threads: one at a time.
class BlockBuilder {
 public:
  /// With `shape` false, pieces pass as they are. Null `pool`: the default one.
  BlockBuilder(std::int64_t target_min_bytes, std::int64_t target_max_bytes, bool shape = true,
               arrow::MemoryPool* pool = nullptr);

  /// Adds the next piece. A negative num_bytes() is measured here.
  Status Add(Block piece, FileList files = nullptr);

  /// Says that no more pieces come; what is pending becomes ready.
  Status Finish();

  bool has_next() const { return next_ready_ < ready_.size(); }

  /// Takes the next ready block. Requires: has_next().
  ShapedBlock Next();

 private:
  Status Flush();
  void Emit(Block block, FileList files);
  std::int64_t split_over() const { return target_max_bytes_ + target_max_bytes_ / 2; }
  bool IsTooLarge(const Block& block) const { return block.num_bytes() > split_over(); }

  const std::int64_t target_min_bytes_;
  const std::int64_t target_max_bytes_;
  const bool shape_;
  arrow::MemoryPool* const pool_;

  std::vector<ShapedBlock> pending_;
  std::shared_ptr<arrow::Schema> pending_schema_;  // Of all that is pending, if it is several.
  std::int64_t pending_bytes_ = 0;
  std::vector<ShapedBlock> ready_;  // Those before next_ready_ are taken.
  std::size_t next_ready_ = 0;
  std::optional<ShapedBlock> empty_;  // The first piece without rows.
  bool saw_rows_ = false;
};

/// Joins blocks in order; schemas are unified (unify.h), and it is a TypeError if they cannot be:
/// `files`, of each block where they are known, are for its message. Copies only what is converted,
/// or where the pieces are many and tiny. Requires: not empty.
Result<Block> JoinBlocks(const std::vector<Block>& blocks, arrow::MemoryPool* pool,
                         const std::vector<FileList>& files = {});

/// Returns the names in all lists, without doubles, in order of first appearance; null if there are
/// none. Lists that are one object cost nothing.
FileList MergeFiles(const std::vector<FileList>& lists);

}  // namespace headrace
