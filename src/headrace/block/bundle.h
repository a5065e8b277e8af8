#pragma once

#include <cstdint>
#include <deque>
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

  bool empty() const { return count_ == nullptr; }
  /// Requires: not empty.
  ObjectId id() const { return count_->id; }

  /// Returns a second reference to the same object. Requires: this one is not empty.
  [[nodiscard]] ObjectRef Share() const;

  /// Empties this reference without a release: someone else now owns the backend's reference.
  /// Requires: this is the last reference of those shared from one adopted.
  ObjectId HandOver() &&;

 private:
  friend class RefLedger;
  struct Count {
    ObjectId id;
    std::int64_t references = 0;
    std::int64_t num_bytes = 0;
  };
  ObjectRef(RefLedger* ledger, Count* count) : ledger_(ledger), count_(count) {}
  void Drop();

  RefLedger* ledger_ = nullptr;
  Count* count_ = nullptr;
};

/// Counts the references that one scheduler holds on stored objects.
///
/// Each adopted reference of the backend has a count of its own, of the ObjectRefs shared from
/// it; at zero it is to be released. At the end of every execution live_objects() is 0. Must
/// outlive its references.
class RefLedger {
 public:
  /// Takes over a reference that the backend reported. An object may be adopted again while it
  /// is live (one dataset twice in a union): each adopted reference is released on its own.
  [[nodiscard]] ObjectRef Adopt(ObjectId id, std::int64_t num_bytes);

  /// Takes the backend's references to give up, one entry each, oldest first.
  [[nodiscard]] std::vector<ObjectId> TakeReleased();

  /// Returns true if TakeReleased() would return something.
  bool has_released() const { return !released_.empty(); }

  /// Bytes and number of the adopted references, an object counted once for each.
  std::int64_t live_bytes() const { return live_bytes_; }
  std::int64_t live_objects() const { return live_objects_; }

 private:
  friend class ObjectRef;
  void Drop(ObjectRef::Count* count);
  void Forget(ObjectRef::Count* count);

  std::deque<ObjectRef::Count> counts_;  // Never shrinks: references point into it.
  std::vector<ObjectRef::Count*> free_;
  std::vector<ObjectId> released_;
  std::int64_t live_bytes_ = 0;
  std::int64_t live_objects_ = 0;
};

/// A block's name in one run: which output of which task it is, which no attempt changes. Of blocks
/// that existed before the run, `task` is their number.
struct BlockName {
  OperatorId op;
  std::uint32_t task = 0;
  std::uint32_t index = 0;
  friend constexpr auto operator<=>(const BlockName&, const BlockName&) = default;
};

/// Blocks that move through the operators as one item.
struct RefBundle {
  struct Item {
    ObjectRef object;  // Empty: lost, and not made again yet; then it has no bytes.
    BlockInfo info;
    OperatorId owner;  // In whose accounts the bytes stand: the operator that made the block.
    std::uint32_t task = 0, index = 0;  // As in BlockName.
    // For who joins blocks into bundles, where large ones need not wait for their turn:
    bool stands_alone = false;  // It is large, and a bundle by itself.
    bool ends_bundle = false;   // Blocks before it and blocks from it on are not neighbours.

    BlockName name() const { return {owner, task, index}; }
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
