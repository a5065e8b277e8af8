#include <arrow/table.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/runtime/store/fork_guard.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

bool LocalStore::Entry::pinned() const {
  if (table != nullptr) {
    // A table in our own arena is also the hold of `shared`.
    return table.use_count() > (shared.has_value() ? 2 : 1);
  }
  return shared.has_value() && shared->hold.use_count() > 1;
}

LocalStore::LocalStore(LocalStoreOptions options)
    : options_(std::move(options)),
      generation_(ForkGeneration()),
      directory_(options_.spill_directory) {
  directory_.RemoveStale();
}

LocalStore::~LocalStore() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  over_capacity_.notify_all();
  if (spiller_.joinable()) spiller_.join();
}

BlockHandle LocalStore::Insert(Entry entry) {
  BlockHandle handle{{}, entry.info};
  std::lock_guard lock(mutex_);
  handle.object = ObjectId{next_id_++};
  ++stats_.objects;
  stats_.memory_bytes += entry.info.num_bytes;
  if (entry.shared.has_value()) stats_.shared_bytes += entry.info.num_bytes;
  entries_.emplace(handle.object, std::move(entry));
  if (stats_.memory_bytes > options_.capacity_bytes) {
    if (!spiller_.joinable()) spiller_ = std::thread([this] { RunSpiller(); });
    spill_wanted_ = true;
    spilling_.store(true);
    over_capacity_.notify_one();
  }
  return handle;
}

BlockHandle LocalStore::Put(const Block& block, BlockInfo info) {
  Entry entry;
  entry.info = std::move(info);
  entry.table = block.table();
  return Insert(std::move(entry));
}

BlockHandle LocalStore::PutShared(SharedTable table, BlockInfo info) {
  Entry entry;
  entry.info = std::move(info);
  entry.shared = std::move(table);
  return Insert(std::move(entry));
}

// Checked before the lock is taken: a thread of the parent may have held it when it forked.
bool LocalStore::InForkedChild() const { return ForkGeneration() != generation_; }

Result<Block> LocalStore::Get(ObjectId object, const RowRange& rows) {
  if (InForkedChild()) return Status::Invalid("the object store belongs to the parent process");
  std::shared_ptr<SpillFile> file;
  SharedTable shared;
  std::int64_t num_bytes;
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(object);
    if (it == entries_.end()) return Status::KeyError("no object ", object.value, " in the store");
    const Entry& entry = it->second;
    num_bytes = entry.info.num_bytes;
    if (entry.table != nullptr) return Block(entry.table, num_bytes);
    file = entry.file;
    if (entry.shared.has_value()) shared = *entry.shared;
  }
  if (file == nullptr) {
    ARROW_ASSIGN_OR_RAISE(auto table, DecodeLayout(shared));
    return Block(std::move(table), num_bytes);
  }
  ARROW_ASSIGN_OR_RAISE(auto table, file->Read(rows.begin, rows.end));
  std::lock_guard lock(mutex_);
  stats_.restored_bytes_total += num_bytes;
  return Block(std::move(table), num_bytes);
}

Result<BlockInfo> LocalStore::Info(ObjectId object) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(object);
  if (it == entries_.end()) return Status::KeyError("no object ", object.value, " in the store");
  return it->second.info;
}

bool LocalStore::IsShared(ObjectId object) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(object);
  return it != entries_.end() && it->second.shared.has_value();
}

Result<SharedTable> LocalStore::Share(ObjectId object) {
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(object);
    if (it != entries_.end() && it->second.shared.has_value()) return *it->second.shared;
  }
  ARROW_ASSIGN_OR_RAISE(Block block, Get(object));
  ARROW_ASSIGN_OR_RAISE(auto arena, Arena::ForProcess());
  ARROW_ASSIGN_OR_RAISE(auto table, MoveToArena(block.table(), *arena));
  ARROW_ASSIGN_OR_RAISE(auto layout, EncodeLayout(*table, *arena));
  SharedTable shared{arena, std::make_shared<const std::string>(std::move(layout)), table->schema(),
                     table};
  std::shared_ptr<arrow::Table> moved_from;
  std::shared_ptr<SpillFile> file;
  std::lock_guard lock(mutex_);
  auto it = entries_.find(object);
  if (it == entries_.end()) return shared;
  Entry& entry = it->second;
  if (entry.shared.has_value()) return *entry.shared;  // Another thread was faster.
  if (entry.file != nullptr) {
    file = std::move(entry.file);
    stats_.spilled_bytes -= file->num_bytes();
    stats_.memory_bytes += entry.info.num_bytes;
  }
  moved_from = std::exchange(entry.table, std::move(table));
  entry.shared = shared;
  stats_.shared_bytes += entry.info.num_bytes;
  return shared;
}

void LocalStore::Retain(std::span<const ObjectId> objects) {
  if (InForkedChild()) return;
  std::lock_guard lock(mutex_);
  for (ObjectId object : objects) {
    auto it = entries_.find(object);
    HEADRACE_CHECK(it != entries_.end());
    ++it->second.references;
  }
}

void LocalStore::Release(std::span<const ObjectId> objects) {
  if (InForkedChild()) return;
  std::vector<Entry> freed;  // Destroyed after the lock is given back.
  std::lock_guard lock(mutex_);
  for (ObjectId object : objects) {
    auto it = entries_.find(object);
    HEADRACE_CHECK(it != entries_.end());
    Entry& entry = it->second;
    if (--entry.references > 0) continue;
    --stats_.objects;
    if (entry.file != nullptr) {
      stats_.spilled_bytes -= entry.file->num_bytes();
    } else {
      stats_.memory_bytes -= entry.info.num_bytes;
      if (entry.shared.has_value()) stats_.shared_bytes -= entry.info.num_bytes;
    }
    freed.push_back(std::move(entry));
    entries_.erase(it);
  }
}

std::vector<ObjectId> LocalStore::ChooseVictims(std::int64_t bytes) {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<const Position*, ObjectId>> candidates;
  for (const auto& [id, entry] : entries_) {
    if (entry.file != nullptr || entry.spilling || entry.info.num_bytes == 0 || entry.pinned()) {
      continue;
    }
    candidates.emplace_back(&entry.info.position, id);
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    return std::tie(*a.first, a.second) > std::tie(*b.first, b.second);
  });
  std::vector<ObjectId> victims;
  for (const auto& [position, id] : candidates) {
    if (bytes <= 0) break;
    Entry& entry = entries_.at(id);
    entry.spilling = true;
    bytes -= entry.info.num_bytes;
    victims.push_back(id);
  }
  return victims;
}

Status LocalStore::SpillOne(ObjectId object, std::int64_t* freed) {
  Result<Block> block = Get(object);
  if (!block.ok()) return Status::OK();  // Released meanwhile.
  auto written = directory_.Write(*block->table());
  // Dropped after the lock is given back.
  std::shared_ptr<arrow::Table> table;
  std::optional<SharedTable> shared;
  block = Block();
  std::lock_guard lock(mutex_);
  auto it = entries_.find(object);
  if (it == entries_.end()) return Status::OK();
  Entry& entry = it->second;
  entry.spilling = false;
  ARROW_RETURN_NOT_OK(written.status());
  if (entry.pinned()) return Status::OK();  // Someone got it meanwhile; the file goes.
  if (entry.shared.has_value()) stats_.shared_bytes -= entry.info.num_bytes;
  stats_.memory_bytes -= entry.info.num_bytes;
  entry.file = *written;
  stats_.spilled_bytes += entry.file->num_bytes();
  stats_.spilled_bytes_total += entry.file->num_bytes();
  *freed += entry.info.num_bytes;
  table = std::exchange(entry.table, nullptr);
  shared = std::exchange(entry.shared, std::nullopt);
  return Status::OK();
}

Result<std::int64_t> LocalStore::Spill(std::int64_t bytes) {
  std::int64_t freed = 0;
  const std::vector<ObjectId> victims = ChooseVictims(bytes);
  for (std::size_t i = 0; i < victims.size(); ++i) {
    const Status status = SpillOne(victims[i], &freed);
    std::lock_guard lock(mutex_);
    if (status.ok() && !stopping_) continue;
    for (; i < victims.size(); ++i) {
      auto it = entries_.find(victims[i]);
      if (it != entries_.end()) it->second.spilling = false;
    }
    if (!status.ok()) return status;
  }
  return freed;
}

std::vector<ObjectId> LocalStore::SpillObjects(std::span<const ObjectId> objects, Status* failure) {
  std::vector<ObjectId> spilled;
  for (const ObjectId object : objects) {
    {
      std::lock_guard lock(mutex_);
      auto it = entries_.find(object);
      if (it == entries_.end()) continue;
      Entry& entry = it->second;
      if (entry.file != nullptr) {
        spilled.push_back(object);  // The store was faster.
        continue;
      }
      if (entry.spilling || entry.pinned() || stopping_) continue;
      entry.spilling = true;
    }
    std::int64_t freed = 0;
    *failure = SpillOne(object, &freed);
    if (!failure->ok()) break;
    if (freed > 0) spilled.push_back(object);
  }
  return spilled;
}

void LocalStore::RunSpiller() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    const std::int64_t excess = stats_.memory_bytes - options_.capacity_bytes;
    std::int64_t freed = 0;
    spill_wanted_ = false;
    if (excess > 0) {
      lock.unlock();
      auto spilled = Spill(excess + options_.capacity_bytes / 16);
      lock.lock();
      spill_status_ = spilled.status();
      spill_failed_.store(!spill_status_.ok());
      freed = spilled.ok() ? *spilled : 0;
    }
    if (freed > 0 || stopping_) continue;
    // With nothing to be gained now, the next Put() tries again.
    ++spiller_rests_;
    spilling_.store(spill_wanted_);
    spiller_idle_.notify_all();
    over_capacity_.wait(lock, [this] { return spill_wanted_ || stopping_; });
  }
}

void LocalStore::AwaitRoom() {
  if (!spilling_.load()) return;
  std::unique_lock<std::mutex> lock(mutex_);
  spiller_idle_.wait(lock, [this, rests = spiller_rests_] {
    return !spilling_.load() || spiller_rests_ != rests;
  });
}

Status LocalStore::CheckRoom() const {
  if (!spill_failed_.load()) return Status::OK();
  std::lock_guard lock(mutex_);
  return stats_.memory_bytes > options_.capacity_bytes ? spill_status_ : Status::OK();
}

StoreStats LocalStore::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace headrace
