#include "headrace/runtime/bridge/bridge_store.h"

#include <arrow/table.h>

#include <utility>
#include <vector>

#include "headrace/runtime/bridge/task_message.h"

namespace headrace {

BlockHandle BridgeStore::Adopt(BridgeObject object, BlockInfo info) {
  std::lock_guard lock(mutex_);
  BlockHandle handle{ObjectId{next_id_++}, std::move(info)};
  entries_.emplace(handle.object, Counted{{object, handle.info}, 1});
  return handle;
}

Result<BridgeStore::Entry> BridgeStore::Find(ObjectId object) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(object);
  if (it == entries_.end()) return Status::KeyError("no object o", object.value, " in the store");
  return static_cast<const Entry&>(it->second);
}

Result<Block> BridgeStore::Get(ObjectId object) const {
  ARROW_ASSIGN_OR_RAISE(const Entry entry, Find(object));
  ARROW_ASSIGN_OR_RAISE(auto table, bridge_->Get(entry.object));
  return Block(WithRows(std::move(table), entry.info.num_rows), entry.info.num_bytes);
}

void BridgeStore::Retain(std::span<const ObjectId> objects) {
  std::lock_guard lock(mutex_);
  for (const ObjectId object : objects) {
    auto it = entries_.find(object);
    if (it != entries_.end()) ++it->second.references;
  }
}

void BridgeStore::Release(std::span<const ObjectId> objects) {
  std::vector<BridgeObject> freed;
  {
    std::lock_guard lock(mutex_);
    for (const ObjectId object : objects) {
      auto it = entries_.find(object);
      if (it == entries_.end() || --it->second.references > 0) continue;
      freed.push_back(it->second.object);
      entries_.erase(it);
    }
  }
  if (!freed.empty()) bridge_->Release(freed);
}

}  // namespace headrace
