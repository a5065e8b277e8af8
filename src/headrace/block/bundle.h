#pragma once

#include <cstdint>
#include <unordered_map>
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

  /// Empties this reference without a release: someone else now owns a backend's reference.
  /// Requires: this reference was adopted, not shared.
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
/// Invariant: of each live object there are at least as many references here as the backend
/// holds for this scheduler, and at least one of the latter. At the end of every execution
/// live_objects() is 0. Must outlive its references.
class RefLedger {
 public:
  /// Takes over a reference that the backend reported. An object may be adopted again while it
  /// is live (one dataset twice in a union): each adopted reference is released on its own.
  [[nodiscard]] ObjectRef Adopt(ObjectId id, std::int64_t num_bytes);

  /// Takes the backend's references to give up, one entry each, oldest first.
  [[nodiscard]] std::vector<ObjectId> TakeReleased();

  /// Returns true if TakeReleased() would return something.
  bool has_released() const { return !released_.empty(); }

  /// Bytes of the adopted references, an object counted once for each.
  std::int64_t live_bytes() const { return live_bytes_; }
  std::int64_t live_objects() const { return static_cast<std::int64_t>(live_.size()); }

 private:
  friend class ObjectRef;
  struct Entry {
    std::int64_t references = 0;  // ObjectRefs.
    std::int64_t adopted = 0;     // References that the backend holds for us.
    std::int64_t num_bytes = 0;
  };
  void AddRef(ObjectId id);
  void Drop(ObjectId id);
  void Forget(ObjectId id);

  std::unordered_map<ObjectId, Entry> live_;  // Looked up, never walked.
  std::vector<ObjectId> released_;
  std::int64_t live_bytes_ = 0;
};

/// Blocks that move through the operators as one item.
struct RefBundle {
  struct Item {
    ObjectRef object;
    BlockInfo info;
    OperatorId owner;  // In whose accounts the bytes stand: the operator that made the block.
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
