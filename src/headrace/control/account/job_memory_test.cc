#include "headrace/control/account/job_memory.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

constexpr OperatorId kFirst{0};
constexpr OperatorId kSecond{1};

TEST(JobMemory, BlocksCreditAndHeapsTakeFromOneRoom) {
  Ledger ledger(2);
  JobMemory memory(&ledger, true, 1000);
  EXPECT_EQ(memory.room(), 1000);
  ledger.Charge(kFirst, Place::kCredit, 100);
  memory.Charge(300);
  EXPECT_EQ(memory.room(), 600);
  ledger.Move(kFirst, Place::kCredit, Place::kOutputQueue, 100);
  EXPECT_EQ(memory.room(), 600);
  memory.Release(300);
  ledger.Release(kFirst, Place::kOutputQueue, 100);
  EXPECT_EQ(memory.room(), 1000);
}

TEST(JobMemory, AMeasurementSaysWhatThereIsInAll) {
  Ledger ledger(2);
  JobMemory memory(&ledger, true, 1000);
  ledger.Charge(kFirst, Place::kInputQueue, 200);
  ledger.Charge(kFirst, Place::kCredit, 50);
  memory.Charge(300);
  // Blocks of 200 and a heap of 100 are there, 600 are free: others hold 100 of the 1000.
  memory.Measured(600, 100);
  EXPECT_EQ(memory.available(), 900);
  EXPECT_EQ(memory.room(), 900 - 250 - 300);
  memory.Measured(-500, 100);
  EXPECT_LT(memory.room(), 0);
}

TEST(JobMemory, BorrowedBlocksAreNotThisRuns) {
  Ledger ledger(2);
  ledger.SetBorrowed(kFirst);
  ledger.Charge(kFirst, Place::kInputQueue, 200);
  JobMemory memory(&ledger, true, 1000);
  memory.Measured(700, 0);
  EXPECT_EQ(memory.available(), 700);
}

TEST(JobMemory, LearnsAMaximumAndForgetsItSlowly) {
  Ledger ledger(2);
  JobMemory memory(&ledger, true, 1000);
  EXPECT_EQ(memory.Expected(kSecond, 77), 77);
  memory.Learn(kSecond, 0);  // Unknown.
  EXPECT_EQ(memory.Expected(kSecond, 77), 77);
  memory.Learn(kSecond, 100);
  EXPECT_EQ(memory.Expected(kSecond, 77), 100);
  memory.Learn(kSecond, 500);
  memory.Learn(kSecond, 100);
  EXPECT_EQ(memory.Expected(kSecond, 77), 450);
  for (int i = 0; i < 100; ++i) memory.Learn(kSecond, 100);
  EXPECT_LT(memory.Expected(kSecond, 77), 110);
  EXPECT_EQ(memory.Expected(kFirst, 77), 77);
}

TEST(JobMemory, WhatIsDeclaredIsTheLeast) {
  Ledger ledger(2);
  JobMemory memory(&ledger, true, 1000);
  memory.SetDeclared(kSecond, 300);
  EXPECT_EQ(memory.Expected(kSecond, 77), 300);
  memory.Learn(kSecond, 100);
  EXPECT_EQ(memory.Expected(kSecond, 77), 300);
  memory.Raise(kSecond, 400);
  EXPECT_EQ(memory.Expected(kSecond, 77), 400);
}

}  // namespace
}  // namespace headrace
