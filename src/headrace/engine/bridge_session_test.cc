#include <arrow/api.h>
#include <gtest/gtest.h>

#include "headrace/data/read/source.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/bridge/bridge_backend.h"
#include "headrace/runtime/bridge/bridge_testing.h"

// Whole plans on a cluster of this process: the same sessions, plans and runs as on this machine.

namespace headrace {
namespace {

constexpr std::int64_t kBridgedRows = 10'000;

class BridgeSessionTest : public ::testing::Test {
 protected:
  BridgeSessionTest()
      : cluster_(std::make_shared<testing::FakeCluster>()),
        session_(
            Session::Make({}, MakeBridgeSource(std::make_shared<testing::FakeBridge>(cluster_)))
                .ValueOrDie()) {}

  static LogicalPtr Range() {
    logical::Read read;
    read.source = MakeRangeSource(kBridgedRows);
    read.parallelism = 8;
    return LogicalOperator::Make(std::move(read));
  }

  /// Runs `plan` and returns its column "id" in order of position.
  std::vector<std::int64_t> Run(const LogicalPtr& plan) {
    auto execution = session_->Execute(plan, {}).ValueOrDie();
    const logical::InputData kept = session_->Keep(*execution).ValueOrDie();
    std::vector<std::int64_t> ids;
    for (const BlockHandle& handle : kept.blocks) {
      auto table = session_->storage()->Get(handle.object).ValueOrDie().table();
      for (const auto& chunk : table->GetColumnByName("id")->chunks()) {
        const auto& array = static_cast<const arrow::Int64Array&>(*chunk);
        for (std::int64_t i = 0; i < array.length(); ++i) ids.push_back(array.Value(i));
      }
    }
    return ids;
  }

  std::shared_ptr<testing::FakeCluster> cluster_;
  std::shared_ptr<Session> session_;
};

TEST_F(BridgeSessionTest, SortsOnTheCluster) {
  logical::Sort sort;
  sort.keys = {SortKey{"id", true, false}};
  const std::vector<std::int64_t> ids = Run(LogicalOperator::Make(sort, {Range()}));
  ASSERT_EQ(ids.size(), static_cast<std::size_t>(kBridgedRows));
  for (std::int64_t i = 0; i < kBridgedRows; ++i) ASSERT_EQ(ids[i], kBridgedRows - 1 - i);
  EXPECT_TRUE(cluster_->objects.empty());
}

TEST_F(BridgeSessionTest, ALimitEndsWhatIsNotNeeded) {
  const std::vector<std::int64_t> ids = Run(LogicalOperator::Make(logical::Limit{5}, {Range()}));
  EXPECT_EQ(ids, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_TRUE(cluster_->objects.empty());
}

TEST_F(BridgeSessionTest, LostTasksRunAgain) {
  cluster_->lost_tasks = {1, 2, 5};
  const std::vector<std::int64_t> ids = Run(Range());
  ASSERT_EQ(ids.size(), static_cast<std::size_t>(kBridgedRows));
  for (std::int64_t i = 0; i < kBridgedRows; ++i) ASSERT_EQ(ids[i], i);
  EXPECT_TRUE(cluster_->lost_tasks.empty());
}

TEST_F(BridgeSessionTest, TheInlineModeIsRefused) {
  const auto run = session_->ExecuteInline(Range(), {}, nullptr);
  EXPECT_TRUE(run.status().IsNotImplemented());
}

}  // namespace
}  // namespace headrace
