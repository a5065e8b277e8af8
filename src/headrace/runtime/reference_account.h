#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/runtime/short_mutex.h"

namespace headrace {

/// The object references that one backend gave out and that were not taken back, so that it can
/// release what is left at its end. Threads: all methods from any thread.
class ReferenceAccount {
 public:
  void Add(ObjectId object) {
    std::lock_guard lock(mutex_);
    ++references_[object];
  }
  void Add(std::span<const ObjectId> objects) {
    std::lock_guard lock(mutex_);
    for (const ObjectId object : objects) ++references_[object];
  }

  /// Takes back one reference to each; returns those of them that were given out.
  [[nodiscard]] std::vector<ObjectId> Take(std::span<const ObjectId> objects) {
    std::vector<ObjectId> known;
    known.reserve(objects.size());
    std::lock_guard lock(mutex_);
    for (const ObjectId object : objects) {
      auto it = references_.find(object);
      if (it == references_.end()) continue;
      if (--it->second == 0) references_.erase(it);
      known.push_back(object);
    }
    return known;
  }

  /// Takes back all that are left, each as often as it was given out.
  [[nodiscard]] std::vector<ObjectId> TakeAll() {
    std::vector<ObjectId> rest;
    std::lock_guard lock(mutex_);
    for (const auto& [object, count] : references_) {
      rest.insert(rest.end(), static_cast<std::size_t>(count), object);
    }
    references_.clear();
    return rest;
  }

 private:
  ShortMutex mutex_;
  std::unordered_map<ObjectId, std::int64_t> references_;  // Guarded by mutex_.
};

}  // namespace headrace
