#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/table.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/runtime/store/fork_guard.h"
#include "headrace/runtime/store/local_store.h"
#include "headrace/runtime/store/losses.h"

namespace headrace {
namespace {

// What waits to be freed by the next PutMade(): at most 4 MiB.
constexpr std::size_t kDeferredMax = 256;
constexpr std::int64_t kDeferredBytesMax = 16 << 10;
constexpr std::size_t kSpareNodesMax = 256;

thread_local const char this_thread = 0;  // Its address is the thread's mark.

// Returns true if the table holds little memory, also that which it shares with others.
bool IsSmall(const arrow::Table& table) {
  std::int64_t bytes = 0;
  for (const auto& column : table.columns()) {
    for (const auto& chunk : column->chunks()) {
      const arrow::ArrayData& data = *chunk->data();
      if (!data.child_data.empty() || data.dictionary != nullptr) return false;
      for (const auto& buffer : data.buffers) bytes += buffer == nullptr ? 0 : buffer->capacity();
      if (bytes > kDeferredBytesMax) return false;
    }
  }
  return true;
}

// Returns what the store keeps of `info`: the table has the schema.
BlockInfo Kept(const BlockInfo& info, std::shared_ptr<arrow::Schema> schema) {
  return {info.num_rows, info.num_bytes,   std::move(schema),
          info.position, info.input_files, nullptr};
}

// Returns the bytes that `rows` of the block's rows have, about.
std::int64_t ShareOf(const BlockInfo& info, std::int64_t rows) {
  if (rows >= info.num_rows) return info.num_bytes;
  return static_cast<std::int64_t>(static_cast<double>(info.num_bytes) * static_cast<double>(rows) /
                                   static_cast<double>(info.num_rows));
}

Block PartOf(std::shared_ptr<arrow::Table> table, const RowRange& rows, const BlockInfo& info) {
  const std::int64_t all = table->num_rows();
  const std::int64_t end = rows.end < 0 ? all : std::min(rows.end, all);
  const std::int64_t begin = std::clamp<std::int64_t>(rows.begin, 0, end);
  if (end - begin != all) table = table->Slice(begin, end - begin);
  return Block(std::move(table), ShareOf(info, end - begin));
}

}  // namespace

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

BlockHandle LocalStore::Put(const Block& block, BlockInfo info, ObjectOwner* owner) {
  BlockHandle handle{{}, std::move(info)};
  Entry entry;
  entry.info = Kept(handle.info, nullptr);
  entry.table = block.table();
  handle.object = Insert(std::move(entry), owner);
  return handle;
}

BlockHandle LocalStore::PutMade(Block block, BlockInfo info, ObjectOwner* owner) {
  BlockHandle handle{{}, std::move(info)};
  Entry entry;
  entry.info = Kept(handle.info, nullptr);
  entry.table = std::move(block).table();
  if (IsSmall(*entry.table)) entry.maker = &this_thread;
  // Freed after the lock is given back. A few at a time: as much as the next task may allocate fits
  // in the thread's own cache. More than one: so they become fewer.
  std::shared_ptr<arrow::Table> deferred[2];
  std::lock_guard lock(mutex_);
  handle.object = InsertLocked(std::move(entry), owner);
  for (std::shared_ptr<arrow::Table>& table : deferred) {
    if (deferred_.empty()) break;
    table = std::move(deferred_.back());
    deferred_.pop_back();
  }
  return handle;
}

BlockHandle LocalStore::PutShared(SharedTable table, BlockInfo info, ObjectOwner* owner) {
  BlockHandle handle{{}, std::move(info)};
  Entry entry;
  entry.info = Kept(handle.info, handle.info.schema);
  entry.shared = std::move(table);
  handle.object = Insert(std::move(entry), owner);
  return handle;
}

ObjectId LocalStore::Insert(Entry entry, ObjectOwner* owner) {
  std::lock_guard lock(mutex_);
  return InsertLocked(std::move(entry), owner);
}

ObjectId LocalStore::InsertLocked(Entry entry, ObjectOwner* owner) {
  const ObjectId object{next_id_++};
  ++stats_.objects;
  stats_.memory_bytes += entry.info.num_bytes;
  if (entry.shared.has_value()) stats_.shared_bytes += entry.info.num_bytes;
  AddReference(&entry, owner);
  if (spare_nodes_.empty()) {
    entries_.emplace(object, std::move(entry));
  } else {
    spare_nodes_.back().key() = object;
    spare_nodes_.back().mapped() = std::move(entry);
    entries_.insert(std::move(spare_nodes_.back()));
    spare_nodes_.pop_back();
  }
  if (stats_.memory_bytes > options_.capacity_bytes) {
    if (!spiller_.joinable()) spiller_ = std::thread([this] { RunSpiller(); });
    spill_wanted_ = true;
    spilling_.store(true);
    over_capacity_.notify_one();
  }
  return object;
}

// Checked before the lock is taken: a thread of the parent may have held it when it forked.
bool LocalStore::InForkedChild() const { return ForkGeneration() != generation_; }

Result<Block> LocalStore::Get(ObjectId object, const RowRange& rows) {
  if (InForkedChild()) return Status::Invalid("the object store belongs to the parent process");
  std::shared_ptr<arrow::Table> table;
  std::shared_ptr<SpillFile> file;
  SharedTable shared;
  BlockInfo info;
  {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(object);
    if (it == entries_.end()) return Status::KeyError("no object ", object.value, " in the store");
    const Entry& entry = it->second;
    info.num_bytes = entry.info.num_bytes;
    info.num_rows = entry.info.num_rows;
    table = entry.table;
    file = entry.file;
    if (entry.shared.has_value()) shared = *entry.shared;
  }
  if (table == nullptr && file == nullptr) {
    ARROW_ASSIGN_OR_RAISE(table, DecodeLayout(shared));
  }
  if (table != nullptr) return PartOf(std::move(table), rows, info);
  auto read = file->Read(rows.begin, rows.end);
  if (!read.ok()) return Losses::Of(object, read.status());
  const std::int64_t bytes = ShareOf(info, (*read)->num_rows());
  std::lock_guard lock(mutex_);
  stats_.restored_bytes_total += bytes;
  return Block(*std::move(read), bytes);
}

Result<BlockInfo> LocalStore::Info(ObjectId object) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(object);
  if (it == entries_.end()) return Status::KeyError("no object ", object.value, " in the store");
  BlockInfo info = it->second.info;
  if (info.schema == nullptr) info.schema = it->second.table->schema();
  return info;
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

// ---- References -------------------------------------------------------------------------------

void LocalStore::AddReference(Entry* entry, ObjectOwner* owner) {
  if (owner != nullptr) ++owner->references_;
  for (Hold& hold : entry->holds) {
    if (hold.owner != owner) continue;
    ++hold.references;
    return;
  }
  entry->holds.push_back({owner, 1});
}

void LocalStore::Retain(std::span<const ObjectId> objects, ObjectOwner* owner) {
  if (InForkedChild()) return;
  std::lock_guard lock(mutex_);
  for (const ObjectId object : objects) {
    auto it = entries_.find(object);
    HEADRACE_CHECK(it != entries_.end());
    AddReference(&it->second, owner);
  }
}

void LocalStore::Release(std::span<const ObjectId> objects, ObjectOwner* owner) {
  if (InForkedChild()) return;
  std::vector<Entry> freed;  // Destroyed after the lock is given back.
  std::lock_guard lock(mutex_);
  for (const ObjectId object : objects) {
    auto it = entries_.find(object);
    const bool held = it != entries_.end() && Drop(it, owner, 1, &freed);
    HEADRACE_CHECK(held || owner != nullptr);
  }
}

void LocalStore::ReleaseAll(ObjectOwner* owner) {
  if (InForkedChild()) return;
  std::vector<Entry> freed;
  std::vector<std::shared_ptr<arrow::Table>> deferred;
  std::lock_guard lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end() && owner->references_ > 0;) {
    Drop(it++, owner, INT64_MAX, &freed);
  }
  deferred.swap(deferred_);
}

/// Drops up to `most` references of `owner`; returns false if it has none.
bool LocalStore::Drop(Entries::iterator it, ObjectOwner* owner, std::int64_t most,
                      std::vector<Entry>* freed) {
  auto& holds = it->second.holds;
  const auto hold =
      std::find_if(holds.begin(), holds.end(), [owner](const Hold& h) { return h.owner == owner; });
  if (hold == holds.end()) return false;
  const std::int64_t dropped = std::min(most, hold->references);
  if (owner != nullptr) owner->references_ -= dropped;
  hold->references -= dropped;
  if (hold->references > 0) return true;
  *hold = holds.back();
  holds.pop_back();
  if (holds.empty()) Remove(it, freed);
  return true;
}

/// Takes an entry that nobody refers to out of the books.
void LocalStore::Remove(Entries::iterator it, std::vector<Entry>* freed) {
  Entry& entry = it->second;
  const std::int64_t num_bytes = entry.info.num_bytes;
  --stats_.objects;
  if (entry.file != nullptr) {
    stats_.spilled_bytes -= entry.file->num_bytes();
  } else {
    stats_.memory_bytes -= num_bytes;
    if (entry.shared.has_value()) stats_.shared_bytes -= num_bytes;
  }
  const bool defer = entry.maker != nullptr && entry.maker != &this_thread &&
                     entry.table != nullptr && !entry.shared && deferred_.size() < kDeferredMax;
  if (defer) deferred_.push_back(std::move(entry.table));
  if (!defer || entry.info.input_files != nullptr) freed->push_back(std::move(entry));
  auto node = entries_.extract(it);
  if (spare_nodes_.size() < kSpareNodesMax) spare_nodes_.push_back(std::move(node));
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
  if (entry.table != nullptr) entry.info.schema = entry.table->schema();
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
