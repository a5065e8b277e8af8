#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/status.h"

namespace headrace {

struct JoinSide;

/// The right sides of joins that many tasks of one execution read: each is hashed once. A side is
/// kept until Forget() or the end. Threads: all methods from any thread.
class JoinSides {
 public:
  using Make = std::function<Result<std::shared_ptr<JoinSide>>()>;

  /// Returns the side that was made of the blocks `objects` under the name `how`; made now if it is
  /// not there, while others who ask for it wait. What fails is not kept.
  Result<std::shared_ptr<JoinSide>> Get(const std::vector<ObjectId>& objects,
                                        const std::string& how, const Make& make);

  /// Drops the sides that are made of any of these.
  void Forget(std::span<const ObjectId> objects);

 private:
  struct Entry {
    std::mutex mutex;
    std::shared_ptr<JoinSide> side;  // Guarded by it.
  };
  using Key = std::pair<std::vector<ObjectId>, std::string>;

  std::mutex mutex_;
  std::atomic<bool> any_{false};                   // Entries were added. Written under mutex_.
  std::map<Key, std::shared_ptr<Entry>> entries_;  // Guarded by mutex_.
};

}  // namespace headrace
