#include "headrace/control/account/ledger.h"

#include <gtest/gtest.h>

#include "headrace/base/rng.h"
#include "headrace/control/account/reservation.h"

namespace headrace {
namespace {

constexpr OperatorId kRead{0};
constexpr OperatorId kMap{1};

TEST(Ledger, FollowsABlockFromCreditToConsumer) {
  Ledger ledger(2);
  ledger.Charge(kRead, Place::kCredit, 100);
  EXPECT_EQ(ledger.stored(), 0);
  ledger.Move(kRead, Place::kCredit, Place::kOutputQueue, 80);
  EXPECT_EQ(ledger.stored(), 80);
  ledger.Move(kRead, Place::kOutputQueue, Place::kInputQueue, 80);
  ledger.Move(kRead, Place::kInputQueue, Place::kConsumer, 80);
  EXPECT_EQ(ledger.stored(), 0);
  EXPECT_EQ(ledger.charged(), 100);
  ledger.Release(kRead, Place::kCredit, 20);
  ledger.Release(kRead, Place::kConsumer, 80);
  EXPECT_EQ(ledger.charged(), 0);
  EXPECT_EQ(ledger.peak_charged(), 100);
  ledger.CheckInvariants();
}

TEST(Ledger, DoesNotCountBorrowedBlocks) {
  Ledger ledger(2);
  ledger.SetBorrowed(kRead);
  ledger.Charge(kRead, Place::kOutputQueue, 50);
  EXPECT_EQ(ledger.charged(), 0);
  EXPECT_EQ(ledger.stored(), 50);
  EXPECT_EQ(ledger.held(kRead, Place::kOutputQueue), 50);
  ledger.CheckInvariants();
}

TEST(LedgerDeathTest, NoAccountBecomesNegative) {
  Ledger ledger(1);
  ledger.Charge(kRead, Place::kCredit, 10);
  EXPECT_DEATH(ledger.Release(kRead, Place::kCredit, 11), "source >= bytes");
  EXPECT_DEATH(ledger.Move(kRead, Place::kInputQueue, Place::kTaskInput, 1), "source >= bytes");
  EXPECT_DEATH(ledger.Charge(kRead, Place::kCredit, -1), "bytes >= 0");
}

TEST(Reservation, DividesHalfAndSharesTheRest) {
  Ledger ledger(2);
  Reservation reservation(&ledger, 800, 0.5, Division::kEqual, {1, -1});
  reservation.SetEligible(kRead, true);
  reservation.SetEligible(kMap, true);
  EXPECT_EQ(reservation.task_share(kRead), 100);
  EXPECT_EQ(reservation.StartRoom(kRead), 500);  // Its task half and all that is shared.
  EXPECT_EQ(reservation.GrantRoom(kRead), 600);
  reservation.SetEligible(kMap, false);
  EXPECT_EQ(reservation.task_share(kMap), 0);
  EXPECT_EQ(reservation.task_share(kRead), 200);
}

TEST(Reservation, ProtectsTheShareOfOthers) {
  Ledger ledger(2);
  Reservation reservation(&ledger, 800, 0.5, Division::kEqual, {1, -1});
  reservation.SetEligible(kRead, true);
  reservation.SetEligible(kMap, true);
  ledger.Charge(kRead, Place::kCredit, 500);
  EXPECT_EQ(reservation.StartRoom(kRead), 0);
  EXPECT_EQ(reservation.GrantRoom(kRead), 100);  // The half for outputs.
  EXPECT_EQ(reservation.StartRoom(kMap), 100);
  ledger.Charge(kRead, Place::kOutputQueue, 200);  // An overshoot of 100 is taken from all.
  EXPECT_EQ(reservation.StartRoom(kMap), 0);
  EXPECT_EQ(reservation.GrantRoom(kMap), 100);
}

TEST(Reservation, ChargesWithinTheRoomStayWithinTheBudget) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const int operators = 1 + static_cast<int>(rng.Below(6));
    Ledger ledger(operators);
    const auto budget = static_cast<std::int64_t>(rng.Below(10'000));
    std::vector<std::int32_t> consumers;
    for (int i = 0; i < operators; ++i) consumers.push_back(i + 1 < operators ? i + 1 : -1);
    const auto division = rng.Chance(0.5) ? Division::kEqual : Division::kByNeed;
    Reservation reservation(&ledger, budget, rng.Uniform(), division, consumers);
    for (int i = 0; i < operators; ++i) reservation.SetEligible({i}, rng.Chance(0.8));
    for (int step = 0; step < 200; ++step) {
      const OperatorId op{static_cast<std::int32_t>(rng.Below(operators))};
      const std::int64_t room =
          rng.Chance(0.5) ? reservation.StartRoom(op) : reservation.GrantRoom(op);
      const auto bytes = static_cast<std::int64_t>(rng.Below(room + 1));
      ledger.Charge(op, rng.Chance(0.5) ? Place::kCredit : Place::kOutputQueue, bytes);
      ASSERT_LE(ledger.charged(), budget) << "seed " << seed;
      if (rng.Chance(0.3)) {
        ledger.Release(op, Place::kCredit, ledger.held(op, Place::kCredit));
      }
      if (rng.Chance(0.1)) reservation.SetEligible(op, rng.Chance(0.5));
      if (rng.Chance(0.1)) {
        std::vector<std::int64_t> needs;
        for (int i = 0; i < operators; ++i) {
          needs.push_back(static_cast<std::int64_t>(rng.Below(5'000)));
        }
        reservation.SetNeeds(std::move(needs));
      }
    }
  }
}

}  // namespace
}  // namespace headrace
