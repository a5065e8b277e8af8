#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "headrace/block/block.h"

// The driver's view of data: names, sizes and order; never bytes.
//
//   task: Block ──put──▶ store            driver: RefBundle ──▶ queue ──▶ task input
//                          └─ ObjectId + BlockInfo ─▲
//
// Ownership: an ObjectRef is one counted reference. It is move-only, so each further reference
// shows in the code as Share(). Dropping the last one does no I/O: the ledger notes the id, and
// the scheduler turns it into an action (see RefLedger::TakeReleased).
//
// Threads: everything here belongs to one scheduler and its thread.

namespace headrace {

class RefLedger;

/// One counted reference to a stored object. Empty after a move.
class ObjectRef {
 public:
  ObjectRef() = default;
  ObjectRef(ObjectRef&& other) noexcept;
  ObjectRef& operator=(ObjectRef&& other) noexcept;
  ObjectRef(const ObjectRef&) = delete;
  ObjectRef& operator=(const ObjectRef&) = delete;
  ~ObjectRef();  // Notes the drop in the ledger.

  bool empty() const { return ledger_ == nullptr; }
  ObjectId id() const { return id_; }

  /// Returns a second reference to the same object. Requires: this one is not empty.
  [[nodiscard]] ObjectRef Share() const;

  /// Empties this reference without a release: someone else now owns the backend's reference.
  /// Requires: this is the last reference to the object.
  ObjectId HandOver() &&;

 private:
  friend class RefLedger;
  ObjectRef(RefLedger* ledger, ObjectId id) : ledger_(ledger), id_(id) {}
  void Drop();

  RefLedger* ledger_ = nullptr;
  ObjectId id_;
};

/// Counts the references that one scheduler holds on stored objects.
///
/// Invariant: an id is live (count >= 1), released (waiting in TakeReleased) or unknown; never
/// two of these. At the end of every execution live_objects() is 0. Must outlive its references.
class RefLedger {
 public:
  /// Starts to count an object that the backend reported, and returns its first reference.
  /// Requires: `id` is not live.
  [[nodiscard]] ObjectRef Adopt(ObjectId id, std::int64_t num_bytes);

  /// Takes the ids whose last reference was dropped since the previous call, oldest first.
  [[nodiscard]] std::vector<ObjectId> TakeReleased();

  /// Returns true if TakeReleased() would return something.
  bool has_released() const { return !released_.empty(); }

  std::int64_t live_bytes() const { return live_bytes_; }
  std::int64_t live_objects() const { return static_cast<std::int64_t>(live_.size()); }

 private:
  friend class ObjectRef;
  struct Entry {
    std::int64_t count = 0;
    std::int64_t num_bytes = 0;
  };
  void AddRef(ObjectId id);
  void Drop(ObjectId id);
  void Forget(ObjectId id);

  std::map<ObjectId, Entry> live_;  // Ordered, so that every walk is deterministic.
  std::vector<ObjectId> released_;
  std::int64_t live_bytes_ = 0;
};

/// Blocks that move through the operators as one item.
struct RefBundle {
  struct Item {
    ObjectRef object;
    BlockInfo info;
  };
  std::vector<Item> items;

  RefBundle() = default;
  RefBundle(RefBundle&&) noexcept = default;  // Said aloud: std::vector claims to be copyable.
  RefBundle& operator=(RefBundle&&) noexcept = default;

  std::int64_t num_rows() const;
  std::int64_t num_bytes() const;
  /// The position of the first block. Requires: not empty.
  const Position& position() const { return items.front().info.position; }
  /// Returns a bundle with its own references to the same blocks.
  [[nodiscard]] RefBundle Share() const;
};

}  // namespace headrace
