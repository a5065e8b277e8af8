#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>

#include "headrace/base/id.h"
#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/runtime/bridge/bridge.h"

namespace headrace {

/// The blocks of all executions of a session, which lie in the cluster: what is known about each,
/// and how many references the engine has given out. The last one lets the cluster's go. Threads:
/// all methods from any thread.
class BridgeStore {
 public:
  explicit BridgeStore(std::shared_ptr<Bridge> bridge) : bridge_(std::move(bridge)) {}

  struct Entry {
    BridgeObject object = 0;
    BlockInfo info;
  };

  /// Takes over the engine's reference to `object`; the result has one.
  BlockHandle Adopt(BridgeObject object, BlockInfo info);
  Result<Entry> Find(ObjectId object) const;
  Result<Block> Get(ObjectId object) const;

  void Retain(std::span<const ObjectId> objects);
  void Release(std::span<const ObjectId> objects);

  Bridge& bridge() { return *bridge_; }

 private:
  struct Counted : Entry {
    std::int64_t references = 1;
  };

  const std::shared_ptr<Bridge> bridge_;
  mutable std::mutex mutex_;  // Guards all below. The bridge is not called under it.
  std::unordered_map<ObjectId, Counted> entries_;
  std::uint64_t next_id_ = 1;
};

}  // namespace headrace
