#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/control/account/policy.h"

// What the user's policies of a run said, on a tape: a policy may be any code, so a run is
// replayed with its recorded answers instead.
//
// The scheduler asks in an order that its events and the answers determine, so the answers of all
// policies stand on one tape, in that order. Pure.

namespace headrace {

using Policies = std::vector<std::unique_ptr<BackpressurePolicy>>;

/// Answers that are written at its end.
class PolicyTape {
 public:
  /// Returns what was answered since the last call.
  std::string Take() { return std::exchange(bytes_, {}); }

 private:
  friend class TapedPolicy;
  std::string bytes_;
};

/// Answers that are read from its start.
class PolicyPlayer {
 public:
  /// `bytes` must outlive this.
  explicit PolicyPlayer(std::string_view bytes) : rest_(bytes) {}

  /// Returns true once a policy was asked something else than on the tape.
  bool differs() const { return differs_; }

 private:
  friend class PlayedPolicy;
  std::string_view rest_;
  bool differs_ = false;
};

/// Returns policies that ask `policies` and write what they say on `tape`.
Policies Tape(Policies policies, std::shared_ptr<PolicyTape> tape);

/// Returns policies that say what is on the tape.
Policies Play(const std::vector<std::string>& names, std::shared_ptr<PolicyPlayer> player);

}  // namespace headrace
