#include "headrace/data/exchange/join_sides.h"

#include <algorithm>
#include <utility>

namespace headrace {

Result<std::shared_ptr<JoinSide>> JoinSides::Get(const std::vector<ObjectId>& objects,
                                                 const std::string& how, const Make& make) {
  std::shared_ptr<Entry> entry;
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<Entry>& known = entries_[{objects, how}];
    if (known == nullptr) known = std::make_shared<Entry>();
    entry = known;
    any_.store(true, std::memory_order_relaxed);
  }
  std::lock_guard lock(entry->mutex);
  if (entry->side == nullptr) {
    ARROW_ASSIGN_OR_RAISE(entry->side, make());
  }
  return entry->side;
}

void JoinSides::Forget(std::span<const ObjectId> objects) {
  if (!any_.load(std::memory_order_relaxed)) return;
  std::vector<std::shared_ptr<Entry>> dropped;  // Freed after the lock is given back.
  std::lock_guard lock(mutex_);
  if (entries_.empty()) return;
  std::erase_if(entries_, [&](const auto& entry) {
    const bool drop = std::any_of(entry.first.first.begin(), entry.first.first.end(), [&](auto id) {
      return std::find(objects.begin(), objects.end(), id) != objects.end();
    });
    if (drop) dropped.push_back(entry.second);
    return drop;
  });
}

}  // namespace headrace
