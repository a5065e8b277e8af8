#pragma once

#include <cstdint>
#include <optional>

#include "headrace/control/plan/logical_plan.h"

// Seeds of the random verbs: in a plan, zero says that each run draws its own.

namespace headrace {

inline constexpr std::uint64_t kSeedOfEachRun = 0;

/// Returns what stands in the plan for a user's seed: odd, so never kSeedOfEachRun; that if unset.
constexpr std::uint64_t PlanSeed(std::optional<std::uint64_t> seed) {
  return seed ? 2 * *seed + 1 : kSeedOfEachRun;
}

/// Returns `plan` with a seed drawn for each operator that has kSeedOfEachRun; itself if none has.
/// A subtree that occurs twice stays one.
LogicalPtr DrawSeeds(const LogicalPtr& plan);

}  // namespace headrace
