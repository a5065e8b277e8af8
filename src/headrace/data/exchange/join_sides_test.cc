#include "headrace/data/exchange/join_sides.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "headrace/data/exchange/join_table.h"

namespace headrace {
namespace {

Result<std::shared_ptr<JoinSide>> MakeSide() {
  ARROW_ASSIGN_OR_RAISE(
      auto table, arrow::Table::MakeEmpty(arrow::schema({arrow::field("k", arrow::int64())})));
  ARROW_ASSIGN_OR_RAISE(auto rows, JoinTable::Make(*table, arrow::default_memory_pool()));
  ARROW_ASSIGN_OR_RAISE(auto columns, RowGatherer::Make(table, arrow::default_memory_pool()));
  return std::make_shared<JoinSide>(std::move(rows), std::move(columns));
}

TEST(JoinSides, AreMadeOnceForAllThreads) {
  JoinSides sides;
  std::atomic<int> made{0};
  std::vector<std::shared_ptr<JoinSide>> got(4);
  std::vector<std::thread> threads;
  for (auto& one : got) {
    threads.emplace_back([&] {
      one = *sides.Get({ObjectId{1}, ObjectId{2}}, "k", [&] {
        ++made;
        return MakeSide();
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  for (const auto& one : got) EXPECT_EQ(one, got.front());
}

TEST(JoinSides, AreApartByNameAndObjects) {
  JoinSides sides;
  const auto first = *sides.Get({ObjectId{1}}, "k", MakeSide);
  EXPECT_NE(*sides.Get({ObjectId{1}}, "j", MakeSide), first);
  EXPECT_NE(*sides.Get({ObjectId{1}, ObjectId{2}}, "k", MakeSide), first);
  EXPECT_EQ(*sides.Get({ObjectId{1}}, "k", MakeSide), first);
}

TEST(JoinSides, AreForgottenWithAnyOfTheirObjects) {
  JoinSides sides;
  std::weak_ptr<JoinSide> first = *sides.Get({ObjectId{1}, ObjectId{2}}, "k", MakeSide);
  EXPECT_FALSE(first.expired());
  const ObjectId other{3}, second{2};
  sides.Forget({&other, 1});
  EXPECT_FALSE(first.expired());
  sides.Forget({&second, 1});
  EXPECT_TRUE(first.expired());
}

TEST(JoinSides, WhatFailsIsTriedAgain) {
  JoinSides sides;
  const auto fails = []() -> Result<std::shared_ptr<JoinSide>> { return Status::Invalid("no"); };
  EXPECT_TRUE(sides.Get({ObjectId{1}}, "k", fails).status().IsInvalid());
  EXPECT_TRUE(sides.Get({ObjectId{1}}, "k", MakeSide).ok());
}

}  // namespace
}  // namespace headrace
