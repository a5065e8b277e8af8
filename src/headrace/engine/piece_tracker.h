#pragma once

#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "headrace/control/plan/pieces.h"
#include "headrace/protocol/event.h"

namespace headrace {

/// Sees from the events and actions of a run which pieces of its plan have ended: those that have
/// no running task and no block left that the scheduler holds. A piece of which a task failed, or
/// a block was thrown away, never ends here, unless the task ran again to its end. Threads: one.
///
/// Why this is sound: a task begins while its inputs are held, and they are held until after its
/// end; its outputs are seen before its end. So between the start of a piece's first task and its
/// end there is always one of the two.
class PieceTracker {
 public:
  /// Requires: SplitIntoPieces() took the plan.
  explicit PieceTracker(const PhysicalPlan& plan);

  /// Sees an event, in the order in which the scheduler gets them.
  void On(const Event& event);
  /// Sees an action, in the order in which they are performed.
  void On(const Action& action);

  /// Returns the position of the piece of a task that has not ended, or null.
  const Position* PieceOf(const TaskId& task) const;

  /// Gives the positions of the pieces that have ended since the last call.
  std::vector<Position> TakeEnded() { return std::exchange(ended_, {}); }

 private:
  using TaskKey = std::pair<OperatorId, std::uint64_t>;  // All attempts of a task.
  void Start(const TaskId& task, const TaskOrder& order);
  void AddObject(ObjectId object, std::size_t piece);
  void DropObject(ObjectId object, bool delivered);
  void DropOne(std::size_t piece);

  struct State {
    Position position;
    std::int64_t live = 0;  // Unended tasks and held blocks.
  };
  struct Task {
    std::size_t piece = 0;
    SmallVector<ObjectId, 2> inputs;
  };
  struct Object {
    std::size_t piece = 0;
    bool consumed = false;  // By a task that ended well.
  };
  std::vector<State> pieces_;
  std::map<std::pair<OperatorId, std::uint32_t>, std::size_t> by_part_;  // Of read tasks.
  std::map<TaskKey, Task> tasks_;
  std::unordered_map<ObjectId, Object> objects_;
  std::vector<Position> ended_;
};

}  // namespace headrace
