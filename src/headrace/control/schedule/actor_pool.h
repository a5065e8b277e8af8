#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// The actors of one operator: who lives, who is free. Decides nothing about resources.
///
///   Add ──▶ kStarting ──ready──▶ kReady ──a task lost its worker──▶ kSuspect
///               └──────────────────┴──── lost or stopped ─────────────┴──▶ kGone
class ActorPoolState {
 public:
  enum class State : std::uint8_t { kStarting, kReady, kSuspect, kGone };

  explicit ActorPoolState(const ActorPool& spec) : spec_(spec) {}

  const ActorPool& spec() const { return spec_; }

  /// Adds an actor that is starting and returns its ordinal.
  std::uint32_t Add();
  /// Returns false if the actor is not starting.
  bool SetReady(std::uint32_t ordinal);
  /// No more tasks go to the actor: one of them lost its worker, so the actor will be reported
  /// lost.
  void SetSuspect(std::uint32_t ordinal);
  /// The actor was lost or is stopped. Returns its state until now.
  State SetGone(std::uint32_t ordinal);

  State state(std::uint32_t ordinal) const {
    return ordinal < actors_.size() ? actors_[ordinal].state : State::kGone;
  }
  /// The actor was stopped for its memory: what else it had to do was not at fault.
  void SetOverMemory(std::uint32_t ordinal) { actors_[ordinal].over_memory = true; }
  bool over_memory(std::uint32_t ordinal) const { return actors_[ordinal].over_memory; }
  std::int32_t tasks(std::uint32_t ordinal) const { return actors_[ordinal].tasks; }

  /// Whether it ever had several tasks at once.
  bool had_several(std::uint32_t ordinal) const { return actors_[ordinal].had_several; }

  /// From now on actors get one task at a time.
  void LimitToOneTask();

  /// Returns the ready actor with the fewest tasks and room for one more, the oldest of equals,
  /// or -1.
  std::int32_t FindFree() const;
  void TaskStarted(std::uint32_t ordinal);
  void TaskEnded(std::uint32_t ordinal);

  /// Returns the youngest ready or suspect actor without tasks, or -1.
  std::int32_t FindIdle() const;
  /// Returns the youngest suspect actor, or -1.
  std::int32_t FindSuspect() const;

  /// Ordinals of actors that are not gone, oldest first.
  const std::vector<std::uint32_t>& live() const { return live_; }
  std::int32_t num_live() const { return static_cast<std::int32_t>(live_.size()); }
  std::int32_t num_starting() const { return num_starting_; }
  std::int32_t num_ready() const { return num_ready_; }
  std::int32_t num_added() const { return static_cast<std::int32_t>(actors_.size()); }
  /// Room for tasks in ready actors.
  std::int64_t free_slots() const { return free_slots_; }

  // Faults in a row, for the bounds on restarts. Kept by the scheduler.
  std::int32_t start_failures = 0;  // Since an actor was ready.
  std::int32_t start_errors = 0;    // Of these the last ones that were no lost worker.
  std::int32_t losses = 0;          // Since a task ended well or an idle actor was stopped.
  std::int32_t memory_losses = 0;   // Stopped for their memory while nothing ran, since a task did.

 private:
  struct Actor {
    State state = State::kStarting;
    std::int32_t tasks = 0;
    bool over_memory = false;
    bool had_several = false;
  };
  std::int64_t RoomOf(const Actor& actor) const {
    if (actor.state != State::kReady) return 0;
    return std::max<std::int64_t>(0, spec_.max_tasks_in_flight - actor.tasks);
  }

  ActorPool spec_;
  std::vector<Actor> actors_;
  std::vector<std::uint32_t> live_;
  std::int32_t num_starting_ = 0;
  std::int32_t num_ready_ = 0;
  std::int64_t free_slots_ = 0;
};

}  // namespace headrace
