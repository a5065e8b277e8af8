#include "headrace/control/account/job_memory.h"

#include <algorithm>

#include "headrace/base/check.h"

namespace headrace {
namespace {

// The weight of what is forgotten: 1 / 8.
constexpr std::int64_t kForget = 8;

}  // namespace

JobMemory::JobMemory(const Ledger* ledger, bool limited, std::int64_t free_bytes)
    : ledger_(ledger),
      limited_(limited),
      available_(free_bytes),
      uses_(static_cast<std::size_t>(ledger->num_operators())) {}

void JobMemory::Release(std::int64_t bytes) {
  charged_ -= bytes;
  HEADRACE_CHECK(charged_ >= 0);
}

void JobMemory::Learn(OperatorId op, std::int64_t peak_bytes) {
  if (peak_bytes <= 0) return;
  std::int64_t& learned = at(op).learned;
  learned = std::max(peak_bytes, learned - (learned - peak_bytes) / kForget);
}

void JobMemory::Raise(OperatorId op, std::int64_t bytes) {
  at(op).learned = std::max(at(op).learned, bytes);
}

std::int64_t JobMemory::Expected(OperatorId op, std::int64_t guess) const {
  return known(op) ? std::max(at(op).learned, at(op).declared) : guess;
}

void JobMemory::Measured(std::int64_t free_bytes, std::int64_t heap_bytes) {
  std::int64_t blocks = ledger_->charged();
  for (int i = 0; i < ledger_->num_operators(); ++i) {
    const OperatorId op{i};
    if (!ledger_->borrowed(op)) blocks -= ledger_->held(op, Place::kCredit);
  }
  available_ = blocks + heap_bytes + free_bytes;
}

}  // namespace headrace
