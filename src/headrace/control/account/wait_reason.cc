#include "headrace/control/account/wait_reason.h"

namespace headrace {

std::string_view ToString(WaitReason reason) {
  switch (reason) {
    case WaitReason::kNone:
      return "running";
    case WaitReason::kNoInput:
      return "no input";
    case WaitReason::kNoCpu:
      return "no cpu";
    case WaitReason::kNoGpu:
      return "no gpu";
    case WaitReason::kNoMemory:
      return "no memory";
    case WaitReason::kNoCustomResource:
      return "no custom resource";
    case WaitReason::kNoActor:
      return "no actor";
    case WaitReason::kConcurrencyCap:
      return "concurrency cap";
    case WaitReason::kNoCredit:
      return "no credit";
    case WaitReason::kConsumer:
      return "consumer";
    case WaitReason::kPolicy:
      return "policy";
    case WaitReason::kFinished:
      return "finished";
  }
  return "unknown";
}

}  // namespace headrace
