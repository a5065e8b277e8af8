#include "headrace/control/schedule/actor_pool.h"

#include <algorithm>

#include "headrace/base/check.h"

namespace headrace {

std::uint32_t ActorPoolState::Add() {
  const auto ordinal = static_cast<std::uint32_t>(actors_.size());
  actors_.push_back({});
  live_.push_back(ordinal);
  ++num_starting_;
  return ordinal;
}

bool ActorPoolState::SetReady(std::uint32_t ordinal) {
  if (state(ordinal) != State::kStarting) return false;
  actors_[ordinal].state = State::kReady;
  --num_starting_;
  ++num_ready_;
  free_slots_ += RoomOf(actors_[ordinal]);
  return true;
}

void ActorPoolState::SetSuspect(std::uint32_t ordinal) {
  if (state(ordinal) != State::kReady) return;
  free_slots_ -= RoomOf(actors_[ordinal]);
  actors_[ordinal].state = State::kSuspect;
  --num_ready_;
}

ActorPoolState::State ActorPoolState::SetGone(std::uint32_t ordinal) {
  const State before = state(ordinal);
  if (before == State::kGone) return before;
  free_slots_ -= RoomOf(actors_[ordinal]);
  if (before == State::kStarting) --num_starting_;
  if (before == State::kReady) --num_ready_;
  actors_[ordinal].state = State::kGone;
  live_.erase(std::lower_bound(live_.begin(), live_.end(), ordinal));
  return before;
}

std::int32_t ActorPoolState::FindFree() const {
  if (free_slots_ == 0) return -1;
  std::int32_t best = -1;
  for (const std::uint32_t ordinal : live_) {
    const Actor& actor = actors_[ordinal];
    if (RoomOf(actor) <= 0) continue;
    if (best < 0 || actor.tasks < actors_[static_cast<std::size_t>(best)].tasks) {
      best = static_cast<std::int32_t>(ordinal);
    }
  }
  return best;
}

void ActorPoolState::TaskStarted(std::uint32_t ordinal) {
  Actor& actor = actors_[ordinal];
  HEADRACE_CHECK(RoomOf(actor) > 0);
  ++actor.tasks;
  actor.had_several = actor.had_several || actor.tasks > 1;
  --free_slots_;
}

void ActorPoolState::TaskEnded(std::uint32_t ordinal) {
  Actor& actor = actors_[ordinal];
  HEADRACE_CHECK(actor.tasks > 0);
  free_slots_ -= RoomOf(actor);
  --actor.tasks;
  free_slots_ += RoomOf(actor);
}

void ActorPoolState::LimitToOneTask() {
  spec_.max_tasks_in_flight = 1;
  free_slots_ = 0;
  for (const std::uint32_t ordinal : live_) free_slots_ += RoomOf(actors_[ordinal]);
}

std::int32_t ActorPoolState::FindIdle() const {
  for (auto at = live_.rbegin(); at != live_.rend(); ++at) {
    const Actor& actor = actors_[*at];
    if (actor.state != State::kStarting && actor.tasks == 0) return static_cast<std::int32_t>(*at);
  }
  return -1;
}

std::int32_t ActorPoolState::FindSuspect() const {
  for (auto at = live_.rbegin(); at != live_.rend(); ++at) {
    if (actors_[*at].state == State::kSuspect) return static_cast<std::int32_t>(*at);
  }
  return -1;
}

}  // namespace headrace
