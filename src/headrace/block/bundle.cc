#include "headrace/block/bundle.h"

#include <utility>

#include "headrace/base/check.h"

namespace headrace {

ObjectRef::ObjectRef(ObjectRef&& other) noexcept
    : ledger_(other.ledger_), count_(std::exchange(other.count_, nullptr)) {}

ObjectRef& ObjectRef::operator=(ObjectRef&& other) noexcept {
  if (this != &other) {
    Drop();
    ledger_ = other.ledger_;
    count_ = std::exchange(other.count_, nullptr);
  }
  return *this;
}

ObjectRef::~ObjectRef() { Drop(); }

void ObjectRef::Drop() {
  if (count_ != nullptr) ledger_->Drop(std::exchange(count_, nullptr));
}

ObjectRef ObjectRef::Share() const {
  HEADRACE_CHECK(count_ != nullptr);
  ++count_->references;
  return ObjectRef(ledger_, count_);
}

ObjectId ObjectRef::HandOver() && {
  HEADRACE_CHECK(count_ != nullptr && count_->references == 1);
  const ObjectId id = count_->id;
  ledger_->Forget(std::exchange(count_, nullptr));
  return id;
}

ObjectRef RefLedger::Adopt(ObjectId id, std::int64_t num_bytes) {
  if (free_.empty()) free_.push_back(&counts_.emplace_back());
  ObjectRef::Count* count = free_.back();
  free_.pop_back();
  *count = {id, 1, num_bytes};
  live_bytes_ += num_bytes;
  ++live_objects_;
  return ObjectRef(this, count);
}

std::vector<ObjectId> RefLedger::TakeReleased() { return std::exchange(released_, {}); }

void RefLedger::Drop(ObjectRef::Count* count) {
  if (--count->references > 0) return;
  released_.push_back(count->id);
  Forget(count);
}

void RefLedger::Forget(ObjectRef::Count* count) {
  live_bytes_ -= count->num_bytes;
  --live_objects_;
  free_.push_back(count);
}

std::int64_t RefBundle::num_rows() const {
  std::int64_t rows = 0;
  for (const Item& item : items) rows += item.info.num_rows;
  return rows;
}

std::int64_t RefBundle::num_bytes() const {
  std::int64_t bytes = 0;
  for (const Item& item : items) bytes += item.info.num_bytes;
  return bytes;
}

RefBundle RefBundle::Share() const {
  RefBundle copy;
  copy.items.reserve(items.size());
  for (const Item& item : items) {
    copy.items.push_back({item.object.Share(), item.info, item.owner, item.task, item.index,
                          item.stands_alone, item.ends_bundle});
  }
  return copy;
}

}  // namespace headrace
