#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "headrace/base/small_vector.h"
#include "headrace/protocol/exchange.h"
#include "headrace/runtime/short_mutex.h"
#include "headrace/runtime/store/arena.h"
#include "headrace/runtime/store/block_codec.h"
#include "headrace/runtime/store/object_store.h"
#include "headrace/runtime/store/spill_directory.h"

namespace headrace {

struct LocalStoreOptions {
  std::int64_t capacity_bytes = INT64_MAX;
  std::string spill_directory;  // "": the system's temporary directory.
};

/// One who holds references to objects of a store, so that the store can release what it has left
/// at its end. Outlives them.
class ObjectOwner {
 public:
  ObjectOwner() = default;
  ObjectOwner(const ObjectOwner&) = delete;
  ObjectOwner& operator=(const ObjectOwner&) = delete;

 private:
  friend class LocalStore;
  std::int64_t references_ = 0;  // Guarded by the store's mutex.
};

/// The object store of this machine's runtime.
///
/// States of an object, all with the same id and references:
///
///    Put ─▶ in this process ──Share──▶ in this process's arena ─┐
///    PutShared ─▶ in a worker's arena ──────────────────────────┴─Spill──▶ on disk ──Share──▶ …
///
/// An object is pinned while anybody but the store holds its memory; pinned ones are not spilled.
/// Above its capacity the store spills by itself, in a thread of its own: the last resort, since
/// whoever keeps to the ledger's budget does not get there.
///
/// A reference belongs to an owner, or to nobody in particular: null. One that its owner does not
/// hold is not released.
///
/// Where one thread makes small blocks and another drops them, their memory would go to and fro
/// between the caches of the two threads' allocator, under its locks. So some wait for the next
/// PutMade() and are freed there.
///
/// In a forked child nothing can be got from it, and references do not count.
class LocalStore : public ObjectStore {
 public:
  explicit LocalStore(LocalStoreOptions options);
  /// Removes all spill files. Blocks that were handed out stay valid.
  ~LocalStore() override;

  BlockHandle Put(const Block& block, BlockInfo info) override {
    return Put(block, std::move(info), nullptr);
  }
  BlockHandle Put(const Block& block, BlockInfo info, ObjectOwner* owner);
  /// Stores a block that this thread has made, which nobody else holds.
  BlockHandle PutMade(Block block, BlockInfo info, ObjectOwner* owner);

  /// Stores a block that lies in an arena, with one reference.
  BlockHandle PutShared(SharedTable table, BlockInfo info, ObjectOwner* owner = nullptr);

  Result<Block> Get(ObjectId object) override { return Get(object, RowRange{}); }
  /// Returns only `rows` of the block; of one that is on disk, the rest is not read, nor checked.
  /// Its size is the rows' share: measuring would walk every buffer for each task.
  Result<Block> Get(ObjectId object, const RowRange& rows);
  /// Without the index.
  Result<BlockInfo> Info(ObjectId object) const override;

  /// Returns the block for a worker process. One that lies elsewhere is moved into this process's
  /// arena first; see IsShared(). The result pins it.
  Result<SharedTable> Share(ObjectId object);

  /// Returns true if Share() would neither copy nor read from disk.
  bool IsShared(ObjectId object) const;

  void Retain(std::span<const ObjectId> objects) override { Retain(objects, nullptr); }
  void Retain(std::span<const ObjectId> objects, ObjectOwner* owner);
  void Release(std::span<const ObjectId> objects) override { Release(objects, nullptr); }
  void Release(std::span<const ObjectId> objects, ObjectOwner* owner);
  /// Releases every reference that `owner` still holds.
  void ReleaseAll(ObjectOwner* owner);

  Result<std::int64_t> Spill(std::int64_t bytes) override;

  /// Writes these objects to disk and frees their memory; returns those that left it. Others are
  /// released, spilled or pinned. `failure` gets the error of a disk that takes no more.
  std::vector<ObjectId> SpillObjects(std::span<const ObjectId> objects, Status* failure);

  /// Waits while the store spills to come below its capacity, until it has or can do no more. Who
  /// orders new blocks calls it first, so that they are not made faster than the disk takes them.
  void AwaitRoom();

  /// Returns an error if the store is above its capacity and could not spill.
  Status CheckRoom() const;

  StoreStats stats() const override;

 private:
  struct Hold {
    ObjectOwner* owner;
    std::int64_t references;
  };
  struct Entry {
    BlockInfo info;  // Without the index; without the schema, where a table has it.
    SmallVector<Hold, 1> holds;
    const void* maker = nullptr;  // Of a small block: a mark of the thread that made it, if known.
    // Where it is: exactly one of these, but `shared` may come with a `table` in our own arena.
    std::shared_ptr<arrow::Table> table;
    std::optional<SharedTable> shared;
    std::shared_ptr<SpillFile> file;
    bool spilling = false;

    bool pinned() const;
  };

  using Entries = std::unordered_map<ObjectId, Entry>;

  ObjectId Insert(Entry entry, ObjectOwner* owner);
  ObjectId InsertLocked(Entry entry, ObjectOwner* owner);
  static void AddReference(Entry* entry, ObjectOwner* owner);
  bool Drop(Entries::iterator it, ObjectOwner* owner, std::int64_t most, std::vector<Entry>* freed);
  void Remove(Entries::iterator it, std::vector<Entry>* freed);
  Status SpillOne(ObjectId object, std::int64_t* freed);
  std::vector<ObjectId> ChooseVictims(std::int64_t bytes);
  void RunSpiller();

  bool InForkedChild() const;

  const LocalStoreOptions options_;
  const std::uint64_t generation_;
  SpillDirectory directory_;
  mutable ShortMutex mutex_;  // Guards all below. No block is freed under it.
  Entries entries_;
  std::vector<Entries::node_type> spare_nodes_;          // Of entries that are gone.
  std::vector<std::shared_ptr<arrow::Table>> deferred_;  // To be freed by the next PutMade().
  std::uint64_t next_id_ = 1;
  StoreStats stats_;
  Status spill_status_;
  std::atomic<bool> spill_failed_{false};  // Not spill_status_.ok(). Written under mutex_.
  std::condition_variable over_capacity_;  // The spiller waits here, the others for it below.
  std::condition_variable spiller_idle_;
  bool spill_wanted_ = false;          // Set by each Put() above the capacity.
  std::uint64_t spiller_rests_ = 0;    // How often the spiller had done what it could.
  std::atomic<bool> spilling_{false};  // Not so now. Written under mutex_.
  bool stopping_ = false;
  std::thread spiller_;  // Started when the capacity is first passed.
};

}  // namespace headrace
