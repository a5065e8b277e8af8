#include "headrace/engine/piece_tracker.h"

#include <variant>

namespace headrace {

PieceTracker::PieceTracker(const PhysicalPlan& plan) {
  for (Piece& piece : ListPieces(plan)) {
    const std::size_t index = pieces_.size();
    pieces_.push_back({std::move(piece.position), 0});
    const OperatorSpec& op = plan.operators[static_cast<std::size_t>(piece.op.value)];
    if (const auto* input = op.As<InputOperator>()) {
      AddObject(input->blocks[piece.part].object, index);
    } else {
      by_part_[{piece.op, piece.part}] = index;
    }
  }
}

void PieceTracker::On(const Event& event) {
  if (const auto* yielded = std::get_if<event::BlockYielded>(&event)) {
    const auto task = tasks_.find({yielded->task.op, yielded->task.ordinal});
    if (task != tasks_.end()) AddObject(yielded->block.object, task->second.piece);
  } else if (const auto* ended = std::get_if<event::TaskEnded>(&event)) {
    // A task whose worker was lost starts again; another failure loses what the piece lacks.
    const auto task = tasks_.find({ended->task.op, ended->task.ordinal});
    if (task == tasks_.end() || ended->failure) return;
    const std::size_t piece = task->second.piece;
    for (const ObjectId input : task->second.inputs) {
      if (const auto object = objects_.find(input); object != objects_.end()) {
        object->second.consumed = true;
      }
    }
    tasks_.erase(task);
    DropOne(piece);
  }
}

const Position* PieceTracker::PieceOf(const TaskId& task) const {
  const auto found = tasks_.find({task.op, task.ordinal});
  return found == tasks_.end() ? nullptr : &pieces_[found->second.piece].position;
}

void PieceTracker::On(const Action& action) {
  if (const auto* start = std::get_if<action::StartTask>(&action)) {
    Start(start->task, start->order);
  } else if (const auto* released = std::get_if<action::ReleaseObjects>(&action)) {
    for (const ObjectId object : released->objects) DropObject(object, false);
  } else if (const auto* delivered = std::get_if<action::DeliverOutput>(&action)) {
    for (const BlockHandle& block : delivered->blocks) DropObject(block.object, true);
  }
}

void PieceTracker::Start(const TaskId& task, const TaskOrder& order) {
  if (order.again) return;  // Its piece has its end.
  std::size_t piece = 0;
  if (!order.inputs.empty()) {
    const auto object = objects_.find(order.inputs.front());
    if (object == objects_.end()) return;
    piece = object->second.piece;
  } else {
    if (order.units.empty()) return;
    const auto part = by_part_.find({task.op, order.units.front()});
    if (part == by_part_.end()) return;
    piece = part->second;
  }
  if (tasks_.try_emplace({task.op, task.ordinal}, Task{piece, order.inputs}).second) {
    ++pieces_[piece].live;
  }
}

void PieceTracker::AddObject(ObjectId object, std::size_t piece) {
  if (objects_.try_emplace(object, Object{piece}).second) ++pieces_[piece].live;
}

void PieceTracker::DropObject(ObjectId object, bool delivered) {
  const auto found = objects_.find(object);
  if (found == objects_.end()) return;
  const Object dropped = found->second;
  objects_.erase(found);
  // What a run that fails or stops throws away stays counted: its piece has not ended.
  if (delivered || dropped.consumed) DropOne(dropped.piece);
}

void PieceTracker::DropOne(std::size_t piece) {
  if (--pieces_[piece].live == 0) ended_.push_back(pieces_[piece].position);
}

}  // namespace headrace
