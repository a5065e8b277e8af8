#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "headrace/base/rng.h"
#include "headrace/control/account/policy.h"

// A user's policy as bad as it can be: it says no at random, takes a random part of what it is
// offered, and may fail in mid-run.

namespace headrace::simtest {

struct RandomPolicyOptions {
  std::uint64_t seed = 0;  // 0: no policy.
  double no_chance = 0;
  double less_chance = 0;
  std::int64_t fails_after = -1;  // Questions. -1: never.
};

/// Not pure: equal views may give different answers, as those of a user may.
class RandomPolicy final : public BackpressurePolicy {
 public:
  explicit RandomPolicy(const RandomPolicyOptions& options)
      : options_(options), rng_(options.seed) {}

  std::string_view name() const override { return "random"; }

  WaitReason MayStart(OperatorId, const AccountView&) const override {
    ++asked_;
    return rng_.Chance(options_.no_chance) ? WaitReason::kPolicy : WaitReason::kNone;
  }

  std::int64_t CreditBytes(OperatorId, std::int64_t offered, const AccountView&) const override {
    ++asked_;
    if (!rng_.Chance(options_.less_chance)) return offered;
    return static_cast<std::int64_t>(rng_.Below(static_cast<std::uint64_t>(offered) + 1));
  }

  std::optional<Failure> failure() const override {
    if (options_.fails_after < 0 || asked_ <= options_.fails_after) return std::nullopt;
    Failure failure;
    failure.kind = FailureKind::kUserError;
    failure.message = "the policy failed";
    failure.context = "policy random";
    return failure;
  }

 private:
  const RandomPolicyOptions options_;
  mutable Rng rng_;
  mutable std::int64_t asked_ = 0;
};

}  // namespace headrace::simtest
