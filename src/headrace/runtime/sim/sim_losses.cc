#include <utility>

#include "headrace/runtime/sim/sim_backend.h"

// Blocks that are lost in the simulated machine: when a task is to read them, as on a real one.

namespace headrace {

/// Decides which of the task's inputs it will not find.
void SimBackend::LoseInputs(Task* task) {
  if (options_.spill_lost_chance == 0 && options_.block_lost_chance == 0 &&
      !options_.blocks_always_lost) {
    return;
  }
  for (const ObjectId input : task->order.inputs) {
    Object& object = objects_.at(input);
    if (!object.lost && object.name.has_value()) {
      const bool is_lossy = options_.lossy.contains(std::get<0>(*object.name).value);
      if (object.spilled) {
        if (options_.blocks_always_lost || rng_.Chance(options_.spill_lost_chance)) Lose(&object);
        if (object.lost && rng_.Chance(options_.all_lost_chance)) {
          for (auto& [id, other] : objects_) {
            if (other.spilled) Lose(&other);
          }
        }
      } else if (is_lossy && rng_.Chance(options_.block_lost_chance)) {
        Lose(&object);
      }
    }
    if (object.lost) task->lost.push_back(input);
  }
}

void SimBackend::Lose(Object* object) {
  if (object->lost || !object->name) return;
  std::int32_t& times = losses_[*object->name];
  const bool may = lost_objects_ < options_.losses_max && times + 1 < options_.max_attempts;
  if (!options_.blocks_always_lost && !may) return;
  ++times;
  ++lost_objects_;
  object->lost = true;
  if (!std::exchange(object->spilled, true)) object_bytes_ -= object->num_bytes;
}

void SimBackend::EndWithoutInput(TaskId id, std::vector<Event>* events) {
  Failure failure;
  failure.kind = FailureKind::kInputLost;
  failure.code = arrow::StatusCode::IOError;
  failure.message = "simulated";
  event::ObjectsLost lost{tasks_.at(id).lost, failure};
  lost.failure.kind = FailureKind::kSystem;
  Report(std::move(lost), events);
  EndTask(id, failure, events);
}

}  // namespace headrace
