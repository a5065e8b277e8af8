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
  const bool is_new = live_.try_emplace(id, Entry{1, num_bytes}).second;
  HEADRACE_CHECK(is_new);
  live_bytes_ += num_bytes;
  return ObjectRef(this, id);
}

std::vector<ObjectId> RefLedger::TakeReleased() { return std::exchange(released_, {}); }

void RefLedger::AddRef(ObjectId id) { ++live_.at(id).count; }

void RefLedger::Drop(ObjectId id) {
  auto at = live_.find(id);
  HEADRACE_CHECK(at != live_.end() && at->second.count > 0);
  if (--at->second.count > 0) return;
  live_bytes_ -= at->second.num_bytes;
  live_.erase(at);
  released_.push_back(id);
}

void RefLedger::Forget(ObjectId id) {
  auto at = live_.find(id);
  HEADRACE_CHECK(at != live_.end() && at->second.count == 1);
  live_bytes_ -= at->second.num_bytes;
  live_.erase(at);
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
  for (const Item& item : items) copy.items.push_back({item.object.Share(), item.info});
  return copy;
}

}  // namespace headrace
