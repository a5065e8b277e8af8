#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

// Names of the things that the scheduler and a backend talk about.
//
// Ids are plain numbers that the scheduler (tasks, actors) or the backend (objects) hands out
// in order, so they are equal in every run of the same events.

namespace headrace {

/// An operator of one physical plan: its index in topological order, sources first.
struct OperatorId {
  std::int32_t value = -1;
  friend constexpr auto operator<=>(const OperatorId&, const OperatorId&) = default;
};

/// A block in the object store of a backend. Never reused.
struct ObjectId {
  std::uint64_t value = 0;
  friend constexpr auto operator<=>(const ObjectId&, const ObjectId&) = default;
};

/// One attempt of one task. `ordinal` counts the tasks of an operator from 0.
struct TaskId {
  OperatorId op;
  std::uint32_t attempt = 0;
  std::uint64_t ordinal = 0;
  friend constexpr auto operator<=>(const TaskId&, const TaskId&) = default;
  /// Prints as "2#17" or, from the second attempt on, "2#17.1".
  std::string ToString() const;
};

/// One actor of an operator's pool. Never reused: a replacement has a new ordinal.
struct ActorId {
  OperatorId op;
  std::uint32_t ordinal = 0;
  friend constexpr auto operator<=>(const ActorId&, const ActorId&) = default;
};

inline std::string TaskId::ToString() const {
  std::string text = std::to_string(op.value) + "#" + std::to_string(ordinal);
  if (attempt > 0) text += "." + std::to_string(attempt);
  return text;
}

}  // namespace headrace

template <>
struct std::hash<headrace::ObjectId> {
  std::size_t operator()(headrace::ObjectId id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9E3779B97F4A7C15ULL);
  }
};

template <>
struct std::hash<headrace::TaskId> {
  std::size_t operator()(const headrace::TaskId& id) const noexcept {
    std::uint64_t h = id.ordinal * 0x9E3779B97F4A7C15ULL;
    h ^= (static_cast<std::uint64_t>(static_cast<std::uint32_t>(id.op.value)) << 32 | id.attempt) +
         (h << 6) + (h >> 2);
    return static_cast<std::size_t>(h);
  }
};
