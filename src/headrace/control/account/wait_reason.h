#pragma once

#include <cstdint>
#include <string_view>

namespace headrace {

/// Why an operator does not start work now. Shown to users; every "no" has one.
enum class WaitReason : std::uint8_t {
  kNone,
  kNoInput,
  kNoCpu,
  kNoGpu,
  kNoMemory,
  kNoCustomResource,
  kNoActor,  // All actors of the pool are busy or starting.
  kConcurrencyCap,
  kNoCredit,  // No object-store budget.
  kConsumer,  // The consumer does not ask for more.
  kPolicy,    // A user's policy holds it back; see policy.h.
  kFinished,
};
inline constexpr int kNumWaitReasons = 12;

/// Returns the words shown to users: "no input", "no credit", ...
std::string_view ToString(WaitReason reason);

}  // namespace headrace
