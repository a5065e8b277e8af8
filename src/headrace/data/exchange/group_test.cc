#include <set>

#include "headrace/data/exchange/key_hash.h"
#include "headrace/data/exchange/testing.h"

namespace headrace {
namespace {

using testing::OrderByArrow;
using testing::Pull;
using testing::PullTable;
using testing::RandomTable;
using testing::RowsOf;
using testing::StreamOf;
using testing::TablePtr;

TEST(GroupStream, BatchesHoldWholeGroups) {
  Rng rng(1);
  for (int round = 0; round < 100; ++round) {
    const auto table = RandomTable({arrow::int16(), arrow::float64(), arrow::utf8()},
                                   static_cast<std::int64_t>(rng.Below(2000)), 5, &rng);
    const std::vector<std::string> keys = round % 3 == 0   ? std::vector<std::string>{"k0"}
                                          : round % 3 == 1 ? std::vector<std::string>{"k1", "k0"}
                                                           : std::vector<std::string>{"k2"};
    const auto batches =
        Pull(MakeGroupStream(StreamOf(testing::CutAtRandom(table, &rng)), {keys}, 2000, {}))
            .ValueOrDie();
    ASSERT_FALSE(batches.empty());
    std::vector<SortKey> order;
    for (const auto& key : keys) order.push_back({key});
    ASSERT_EQ(RowsOf(*testing::Joined(batches)), OrderByArrow(table, order));
    if (table->num_rows() > 1000) {
      EXPECT_GT(batches.size(), 2u);
    }
    std::set<std::uint64_t> seen;
    for (const Batch& batch : batches) {
      std::vector<std::uint64_t> hashes;
      ASSERT_TRUE(HashRows(*batch.block.table(), keys, nullptr, &hashes).ok());
      const std::set<std::uint64_t> groups(hashes.begin(), hashes.end());
      for (const std::uint64_t group : groups) EXPECT_TRUE(seen.insert(group).second);
    }
  }
}

TEST(GroupStream, NoKeysAreOneGroup) {
  Rng rng(2);
  const auto table = RandomTable({arrow::int16()}, 500, 5, &rng);
  const auto batches = Pull(MakeGroupStream(StreamOf({table, table}), {{}}, 100, {})).ValueOrDie();
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].block.num_rows(), 1000);
}

// ---- Zip.

TEST(ZipStream, AlignsRowsOverBoundaries) {
  Rng rng(3);
  for (int round = 0; round < 50; ++round) {
    const auto rows = static_cast<std::int64_t>(rng.Below(200));
    const auto left = RandomTable({arrow::int64()}, rows, 5, &rng);
    const auto right = RandomTable({arrow::utf8(), arrow::int8()}, rows, 5, &rng);
    const auto zipped = PullTable(MakeZipStream(StreamOf(testing::CutAtRandom(left, &rng)),
                                                StreamOf(testing::CutAtRandom(right, &rng)), {}));
    EXPECT_EQ(zipped->schema()->field_names(),
              (std::vector<std::string>{"k0", "row", "k0_1", "k1", "row_1"}));
    EXPECT_EQ(zipped->num_rows(), rows);
    EXPECT_TRUE(zipped->GetColumnByName("k0")->Equals(*left->column(0)));
    EXPECT_TRUE(zipped->GetColumnByName("row_1")->Equals(*right->column(2)));
  }
}

TEST(ZipStream, DifferentCountsFail) {
  Rng rng(4);
  const auto table = RandomTable({arrow::int64()}, 100, 0, &rng);
  for (const bool swap : {false, true}) {
    StreamPtr longer = StreamOf({table->Slice(0, 30), table->Slice(30)});
    StreamPtr shorter = StreamOf({table->Slice(0, 37)});
    if (swap) std::swap(longer, shorter);
    const auto failed = Pull(MakeZipStream(std::move(longer), std::move(shorter), {}));
    ASSERT_TRUE(failed.status().IsInvalid());
    EXPECT_NE(failed.status().message().find("100"), std::string::npos);
    EXPECT_NE(failed.status().message().find("37"), std::string::npos);
  }
  EXPECT_FALSE(Pull(MakeZipStream(StreamOf({}), StreamOf({table}), {})).ok());
  EXPECT_TRUE(Pull(MakeZipStream(StreamOf({}), StreamOf({}), {})).ValueOrDie().empty());
}

}  // namespace
}  // namespace headrace
