#include "headrace/block/bundle.h"

#include <utility>

#include "headrace/base/check.h"

namespace headrace {

ObjectRef::ObjectRef(ObjectRef&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)), id_(other.id_) {}

ObjectRef& ObjectRef::operator=(ObjectRef&& other) noexcept {
  if (this != &other) {
    Drop();
    ledger_ = std::exchange(other.ledger_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

ObjectRef::~ObjectRef() { Drop(); }

void ObjectRef::Drop() {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->Drop(id_);
}

ObjectRef ObjectRef::Share() const {
  HEADRACE_CHECK(ledger_ != nullptr);
  ledger_->AddRef(id_);
  return ObjectRef(ledger_, id_);
}

ObjectId ObjectRef::HandOver() && {
  HEADRACE_CHECK(ledger_ != nullptr);
  std::exchange(ledger_, nullptr)->Forget(id_);
  return id_;
}

ObjectRef RefLedger::Adopt(ObjectId id, std::int64_t num_bytes) {
  Entry& entry = live_[id];
  HEADRACE_CHECK(entry.references == 0 || entry.num_bytes == num_bytes);
  entry.num_bytes = num_bytes;
  ++entry.references;
  ++entry.adopted;
  live_bytes_ += num_bytes;
  return ObjectRef(this, id);
}

std::vector<ObjectId> RefLedger::TakeReleased() { return std::exchange(released_, {}); }

void RefLedger::AddRef(ObjectId id) { ++live_.at(id).references; }

void RefLedger::Drop(ObjectId id) {
  auto at = live_.find(id);
  HEADRACE_CHECK(at != live_.end() && at->second.references > 0);
  Entry& entry = at->second;
  --entry.references;
  if (entry.adopted <= entry.references) return;
  --entry.adopted;
  live_bytes_ -= entry.num_bytes;
  if (entry.references == 0) live_.erase(at);
  released_.push_back(id);
}

void RefLedger::Forget(ObjectId id) {
  auto at = live_.find(id);
  HEADRACE_CHECK(at != live_.end() && at->second.references <= at->second.adopted);
  Entry& entry = at->second;
  --entry.references;
  --entry.adopted;
  live_bytes_ -= entry.num_bytes;
  if (entry.references == 0) live_.erase(at);
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
  for (const Item& item : items) copy.items.push_back({item.object.Share(), item.info, item.owner});
  return copy;
}

}  // namespace headrace
