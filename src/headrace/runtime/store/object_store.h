#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "headrace/base/id.h"
#include "headrace/base/status.h"
#include "headrace/block/block.h"

namespace headrace {

/// What the store holds and did.
struct StoreStats {
  std::int64_t objects = 0;
  std::int64_t memory_bytes = 0;         // In this process's heap and in shared memory.
  std::int64_t shared_bytes = 0;         // Of these, in shared memory.
  std::int64_t spilled_bytes = 0;        // On disk now.
  std::int64_t spilled_bytes_total = 0;  // Ever written.
  std::int64_t restored_bytes_total = 0;
};

/// Blocks of all executions of this process, by id; counts references, and frees a block at its
/// last. Blocks are in this process's heap, in shared memory (its own arena or a worker's), or
/// spilled to disk. Threads: all methods from any thread.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Stores a block of this process's heap with one reference.
  virtual BlockHandle Put(const Block& block, BlockInfo info) = 0;

  /// Returns the block; one that was spilled comes back from disk, or the error says that it is
  /// lost (losses.h). The result pins its memory.
  virtual Result<Block> Get(ObjectId object) = 0;
  virtual Result<BlockInfo> Info(ObjectId object) const = 0;

  virtual void Retain(std::span<const ObjectId> objects) = 0;
  virtual void Release(std::span<const ObjectId> objects) = 0;

  /// Writes objects to disk until `bytes` of memory are free, those that are needed last first
  /// (by position); pinned ones stay. Returns the bytes freed; a full disk is an error, and
  /// nothing is lost by it.
  virtual Result<std::int64_t> Spill(std::int64_t bytes) = 0;

  virtual StoreStats stats() const = 0;
};

}  // namespace headrace
