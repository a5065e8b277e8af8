#include "headrace/block/bundle.h"

#include <gtest/gtest.h>

#include <utility>

namespace headrace {
namespace {

TEST(RefLedger, ReleasesAtTheLastReference) {
  RefLedger ledger;
  {
    ObjectRef first = ledger.Adopt(ObjectId{7}, 100);
    ObjectRef second = first.Share();
    first = ObjectRef();
    EXPECT_FALSE(ledger.has_released());
    EXPECT_EQ(ledger.live_bytes(), 100);
    EXPECT_EQ(second.id(), ObjectId{7});
  }
  EXPECT_EQ(ledger.TakeReleased(), std::vector<ObjectId>{ObjectId{7}});
  EXPECT_FALSE(ledger.has_released());
  EXPECT_EQ(ledger.live_objects(), 0);
  EXPECT_EQ(ledger.live_bytes(), 0);
}

TEST(RefLedger, ReleasesEachAdoptedReferenceOfOneObject) {
  RefLedger ledger;
  ObjectRef a = ledger.Adopt(ObjectId{1}, 10);
  ObjectRef b = ledger.Adopt(ObjectId{1}, 10);
  EXPECT_EQ(ledger.live_objects(), 2);
  a = ObjectRef();
  EXPECT_EQ(ledger.TakeReleased().size(), 1U);
  b = ObjectRef();
  EXPECT_EQ(ledger.TakeReleased().size(), 1U);
}

TEST(RefLedger, ReleasesInTheOrderOfTheDrops) {
  RefLedger ledger;
  {
    ObjectRef a = ledger.Adopt(ObjectId{1}, 1);
    ObjectRef b = ledger.Adopt(ObjectId{2}, 1);
    a = ObjectRef();
  }
  EXPECT_EQ(ledger.TakeReleased(), (std::vector<ObjectId>{ObjectId{1}, ObjectId{2}}));
}

TEST(RefLedger, HandsOverWithoutARelease) {
  RefLedger ledger;
  ObjectRef ref = ledger.Adopt(ObjectId{3}, 5);
  EXPECT_EQ(std::move(ref).HandOver(), ObjectId{3});
  EXPECT_TRUE(ref.empty());
  EXPECT_FALSE(ledger.has_released());
  EXPECT_EQ(ledger.live_objects(), 0);
}

TEST(RefLedgerDeathTest, DoesNotHandOverASharedReference) {
  RefLedger ledger;
  ObjectRef ref = ledger.Adopt(ObjectId{3}, 5);
  ObjectRef other = ref.Share();
  EXPECT_DEATH((void)std::move(ref).HandOver(), "references == 1");
}

TEST(ObjectRef, IsEmptyAfterAMove) {
  RefLedger ledger;
  ObjectRef a = ledger.Adopt(ObjectId{1}, 1);
  ObjectRef b = std::move(a);
  EXPECT_TRUE(a.empty());
  ObjectRef& same = b;
  b = std::move(same);
  EXPECT_FALSE(b.empty());
  EXPECT_FALSE(ledger.has_released());
}

TEST(RefBundle, SumsAndShares) {
  RefLedger ledger;
  RefBundle bundle;
  for (std::uint32_t i = 0; i < 3; ++i) {
    RefBundle::Item item{ledger.Adopt(ObjectId{i}, 10), {}, OperatorId{2}};
    item.info.num_rows = i;
    item.info.num_bytes = 10;
    item.info.position = Position{{i}};
    bundle.items.push_back(std::move(item));
  }
  EXPECT_EQ(bundle.num_rows(), 3);
  EXPECT_EQ(bundle.num_bytes(), 30);
  EXPECT_EQ(bundle.position().ToString(), "0");
  RefBundle copy = bundle.Share();
  EXPECT_EQ(copy.items[1].owner, OperatorId{2});
  bundle.items.clear();
  EXPECT_FALSE(ledger.has_released());
  copy.items.clear();
  EXPECT_EQ(ledger.TakeReleased().size(), 3U);
}

}  // namespace
}  // namespace headrace
