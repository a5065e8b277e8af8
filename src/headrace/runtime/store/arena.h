#pragma once

#include <arrow/memory_pool.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/runtime/store/span_allocator.h"

namespace headrace {

/// A mapping of an arena's memory in this process; blocks that lie there keep it alive. The id is
/// the one that the driver gave the arena: 0 is the driver's own.
class ArenaMapping {
 public:
  virtual ~ArenaMapping() = default;
  std::uint64_t id() const { return id_; }
  const std::uint8_t* data() const { return data_; }
  std::int64_t size() const { return size_; }
  /// Stays open as long as this object lives; to be handed to other processes.
  int descriptor() const { return descriptor_; }

  bool Contains(const void* pointer) const {
    const auto* p = static_cast<const std::uint8_t*>(pointer);
    return p >= data_ && p < data_ + size_;
  }

 protected:
  std::uint64_t id_ = 0;
  std::uint8_t* data_ = nullptr;
  std::int64_t size_ = 0;
  int descriptor_ = -1;
};

/// Another process's arena, mapped to be read.
class ArenaView : public ArenaMapping {
 public:
  /// Maps `size` bytes of `descriptor`, which it owns from now on, also on failure.
  static Result<std::shared_ptr<ArenaView>> Map(std::uint64_t id, int descriptor,
                                                std::int64_t size);
  ~ArenaView() override;

  /// Gives all memory but `spans` back to the system. Requires: its owner has ended.
  void KeepOnly(std::vector<Span> spans) const;
};

struct ArenaOptions {
  std::int64_t size = 0;  // Of the address range. 0: 4 × the machine's memory, 256 GiB at most.
  std::int64_t keep_free_bytes = 128 << 20;  // Free memory above this goes back to the system.
};

/// Shared memory of this process: one sparse memory file, from which blocks are allocated that
/// other processes read in place. The kernel frees it with the last descriptor and mapping.
/// Threads: all methods from any thread.
///
/// After fork() the child's copy is frozen: allocation fails and Free() does nothing, since the
/// memory is still the parent's.
class Arena : public ArenaMapping {
 public:
  static Result<std::shared_ptr<Arena>> Make(ArenaOptions options);

  /// Returns the arena of this process, made at the first call and never destroyed, so that
  /// buffers may outlive everything else.
  static Result<std::shared_ptr<Arena>> ForProcess();

  ~Arena() override;

  /// Allocates from this arena. Lives as long as the arena.
  arrow::MemoryPool* pool() { return &pool_; }

  /// Bytes in use, rounded to slots and pages.
  std::int64_t used_bytes() const;
  /// Bytes of shared memory that exist: used ones and free ones that were kept.
  std::int64_t resident_bytes() const;

  /// From now on, free memory above this goes back to the system.
  void SetKeepFree(std::int64_t bytes);

  /// Gives all free memory back to the system.
  void ReleaseUnused() { Trim(0); }

 private:
  class Pool : public arrow::MemoryPool {
   public:
    explicit Pool(Arena* arena) : arena_(arena) {}
    using arrow::MemoryPool::Allocate;
    using arrow::MemoryPool::Free;
    using arrow::MemoryPool::Reallocate;
    Status Allocate(std::int64_t size, std::int64_t alignment, std::uint8_t** out) override;
    Status Reallocate(std::int64_t old_size, std::int64_t new_size, std::int64_t alignment,
                      std::uint8_t** ptr) override;
    void Free(std::uint8_t* buffer, std::int64_t size, std::int64_t alignment) override;
    void ReleaseUnused() override { arena_->ReleaseUnused(); }
    std::int64_t bytes_allocated() const override { return stats_.bytes_allocated(); }
    std::int64_t max_memory() const override { return stats_.max_memory(); }
    std::int64_t total_bytes_allocated() const override { return stats_.total_bytes_allocated(); }
    std::int64_t num_allocations() const override { return stats_.num_allocations(); }
    std::string backend_name() const override { return "headrace-arena"; }

   private:
    Arena* arena_;
    arrow::internal::MemoryPoolStats stats_;
  };

  explicit Arena(const ArenaOptions& options);
  bool frozen() const;
  void Trim(std::int64_t keep);

  const std::uint64_t generation_;
  mutable std::mutex mutex_;
  std::int64_t keep_free_bytes_;  // Guarded by mutex_.
  SpanAllocator allocator_;       // Guarded by mutex_.
  bool trimming_ = false;         // Guarded by mutex_.
  Pool pool_;
};

}  // namespace headrace
