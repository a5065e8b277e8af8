#include "headrace/control/account/ledger.h"

#include <algorithm>

namespace headrace {

void Ledger::Charge(OperatorId op, Place to, std::int64_t bytes) {
  HEADRACE_CHECK(bytes >= 0);
  Account& account = at(op);
  HEADRACE_CHECK(IsCharged(to));
  account.bytes[static_cast<std::size_t>(to)] += bytes;
  account.total += bytes;
  if (IsStored(to)) stored_ += bytes;
  if (!account.borrowed) {
    charged_ += bytes;
    peak_charged_ = std::max(peak_charged_, charged_);
  }
  ++version_;
}

void Ledger::Move(OperatorId op, Place from, Place to, std::int64_t bytes) {
  HEADRACE_CHECK(bytes >= 0);
  Account& account = at(op);
  std::int64_t& source = account.bytes[static_cast<std::size_t>(from)];
  HEADRACE_CHECK(source >= bytes);
  source -= bytes;
  account.bytes[static_cast<std::size_t>(to)] += bytes;
  if (IsStored(from)) stored_ -= bytes;
  if (IsStored(to)) stored_ += bytes;
  const std::int64_t more = (IsCharged(to) ? bytes : 0) - (IsCharged(from) ? bytes : 0);
  account.total += more;
  if (!account.borrowed) {
    charged_ += more;
    peak_charged_ = std::max(peak_charged_, charged_);
  }
  ++version_;
}

void Ledger::Release(OperatorId op, Place from, std::int64_t bytes) {
  HEADRACE_CHECK(bytes >= 0);
  Account& account = at(op);
  std::int64_t& source = account.bytes[static_cast<std::size_t>(from)];
  HEADRACE_CHECK(source >= bytes);
  source -= bytes;
  if (IsStored(from)) stored_ -= bytes;
  if (IsCharged(from)) {
    account.total -= bytes;
    if (!account.borrowed) charged_ -= bytes;
  }
  ++version_;
}

void Ledger::CheckInvariants() const {
  std::int64_t charged = 0;
  std::int64_t stored = 0;
  for (const Account& account : accounts_) {
    std::int64_t total = 0;
    for (int place = 0; place < kNumPlaces; ++place) {
      const std::int64_t bytes = account.bytes[static_cast<std::size_t>(place)];
      HEADRACE_CHECK(bytes >= 0);
      if (IsCharged(static_cast<Place>(place))) total += bytes;
      if (IsStored(static_cast<Place>(place))) stored += bytes;
    }
    HEADRACE_CHECK(total == account.total);
    if (!account.borrowed) charged += total;
  }
  HEADRACE_CHECK(charged == charged_);
  HEADRACE_CHECK(stored == stored_);
}

}  // namespace headrace
