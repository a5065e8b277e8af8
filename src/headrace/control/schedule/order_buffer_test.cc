#include "headrace/control/schedule/order_buffer.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

RefBundle::Item Item(std::uint32_t part) {
  RefBundle::Item item;
  item.info.position = Position{{part}};
  return item;
}

/// Takes all that may leave, as the parts of their positions.
std::vector<std::uint32_t> Drain(OrderBuffer* buffer) {
  std::vector<std::uint32_t> parts;
  while (buffer->HasNext()) parts.push_back(buffer->TakeNext().info.position.path[0]);
  return parts;
}

using Parts = std::vector<std::uint32_t>;

TEST(OrderBuffer, BlocksOfTheOldestTaskPassAtOnce) {
  OrderBuffer buffer;
  buffer.Add(0, Item(1));
  EXPECT_EQ(Drain(&buffer), Parts{1});
  buffer.Add(0, Item(2));
  EXPECT_EQ(Drain(&buffer), Parts{2});
}

TEST(OrderBuffer, OthersWaitForTheirTurn) {
  OrderBuffer buffer;
  buffer.Add(2, Item(20));
  buffer.End(2);
  buffer.Add(1, Item(10));
  EXPECT_EQ(Drain(&buffer), Parts{});
  buffer.Add(0, Item(0));
  buffer.End(0);
  EXPECT_EQ(Drain(&buffer), (Parts{0, 10}));
  buffer.Add(1, Item(11));
  buffer.End(1);
  EXPECT_EQ(Drain(&buffer), (Parts{11, 20}));
}

TEST(OrderBuffer, TasksWithoutBlocksDoNotHoldOthersBack) {
  OrderBuffer buffer;
  buffer.Add(3, Item(30));
  for (const std::uint64_t ordinal : {1, 0, 2}) buffer.End(ordinal);
  EXPECT_EQ(Drain(&buffer), Parts{30});
}

TEST(OrderBuffer, TakeAllEmptiesItInOrder) {
  OrderBuffer buffer;
  buffer.Add(1, Item(10));
  buffer.Add(0, Item(0));
  EXPECT_EQ(buffer.TakeAll().size(), 2U);
  EXPECT_FALSE(buffer.HasNext());
  buffer.End(0);
  buffer.Add(1, Item(11));
  EXPECT_EQ(Drain(&buffer), Parts{11});
}

RefBundle::Item Item(std::uint32_t part, std::int64_t rows) {
  RefBundle::Item item = Item(part);
  item.info.num_rows = rows;
  return item;
}

struct Passed {
  std::uint32_t part;
  bool alone, ends_bundle;
  bool operator==(const Passed&) const = default;
};

std::vector<Passed> Pass(OrderBuffer* buffer) {
  std::vector<Passed> passed;
  while (buffer->HasNext()) {
    const RefBundle::Item item = buffer->TakeNext();
    passed.push_back({item.info.position.path[0], item.stands_alone, item.ends_bundle});
  }
  return passed;
}

TEST(OrderBuffer, LargeBlocksDoNotWait) {
  OrderBuffer buffer(100);
  buffer.Add(1, Item(10, 100));
  buffer.Add(1, Item(11, 30));
  EXPECT_EQ(Pass(&buffer), (std::vector<Passed>{{10, true, false}}));
  buffer.Add(0, Item(0, 20));
  EXPECT_EQ(Pass(&buffer), (std::vector<Passed>{{0, false, false}}));
  buffer.Add(0, Item(1, 500));  // In its turn: what was gathered before it is over.
  EXPECT_EQ(Pass(&buffer), (std::vector<Passed>{{1, true, true}}));
  buffer.End(0);
  EXPECT_EQ(Pass(&buffer), (std::vector<Passed>{{11, false, true}}));  // 10 stands before it.
  buffer.Add(1, Item(12, 99));
  EXPECT_EQ(Pass(&buffer), (std::vector<Passed>{{12, false, false}}));
}

TEST(OrderBuffer, TakeAllGivesLargeBlocksOnce) {
  OrderBuffer buffer(100);
  buffer.Add(1, Item(10, 100));
  buffer.Add(1, Item(11, 1));
  EXPECT_EQ(buffer.TakeNext().info.position.path[0], 10U);
  buffer.Add(2, Item(20, 100));
  std::int64_t rows = 0;
  buffer.ForEach([&](const RefBundle::Item& item) { rows += item.info.num_rows; });
  EXPECT_EQ(rows, 101);
  EXPECT_EQ(buffer.TakeAll().size(), 2U);
  EXPECT_FALSE(buffer.HasNext());
}

}  // namespace
}  // namespace headrace
