#include "headrace/runtime/bridge/bridge_backend.h"

#include <gtest/gtest.h>

#include "headrace/runtime/bridge/bridge_testing.h"
#include "headrace/runtime/local/local_testing.h"

namespace headrace {
namespace {

using testing::Driver;
using testing::FakeBridge;
using testing::FakeCluster;
using testing::InputOrder;
using testing::Iota;
using testing::MakeTaskId;
using testing::NamedFunction;
using testing::Native;
using testing::NewProgram;
using testing::RangeProgram;
using testing::UnitOrder;

class BridgeBackendTest : public ::testing::Test {
 protected:
  BridgeBackendTest()
      : cluster(std::make_shared<FakeCluster>()),
        source(MakeBridgeSource(std::make_shared<FakeBridge>(cluster))),
        driver(source->NewBackend("").ValueOrDie()) {}

  std::size_t NumObjects() {
    std::lock_guard lock(cluster->mutex);
    return cluster->objects.size();
  }

  /// Starts task 0 with credit for one of its four blocks, and waits until it has used it.
  bool StartParked() {
    TaskOrder order = UnitOrder(RangeProgram(Lane::kThread, 4, 100), 0, 4);
    order.credit_bytes = 1;
    driver.backend->StartTask(MakeTaskId(0), order);
    return driver.WaitFor([&] { return driver.parked.contains(MakeTaskId(0)); });
  }

  std::shared_ptr<FakeCluster> cluster;
  std::shared_ptr<BackendSource> source;
  Driver driver;
};

TEST_F(BridgeBackendTest, RunsATaskToItsEnd) {
  const TaskId id = MakeTaskId(0);
  driver.backend->StartTask(id, UnitOrder(RangeProgram(Lane::kThread, 4, 100), 1, 2));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_FALSE(driver.ended[id].failure.has_value());
  EXPECT_EQ(driver.Values(id), Iota(100, 300));
  EXPECT_EQ(driver.blocks[id][1].info.position.ToString(), "1.1");
  EXPECT_EQ(cluster->costs.at(0).cpu_milli, 1000);
}

TEST_F(BridgeBackendTest, ABlockGoesIntoTheNextTaskCutToItsRows) {
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(RangeProgram(Lane::kThread, 1, 100), 0, 1));
  ASSERT_TRUE(driver.WaitForEnds(1));
  auto same = NewProgram(Lane::kThread);
  same->steps.push_back(LimitStep{1000});
  TaskOrder order = InputOrder(same, driver.blocks[MakeTaskId(0)].at(0));
  order.ranges = {{20, 30}};
  driver.backend->StartTask(MakeTaskId(1), order);
  ASSERT_TRUE(driver.WaitForEnds(2));
  EXPECT_FALSE(driver.ended[MakeTaskId(1)].failure.has_value());
  EXPECT_EQ(driver.Values(MakeTaskId(1)), Iota(20, 30));
}

TEST_F(BridgeBackendTest, ParksWithoutCreditAndGoesOnWithIt) {
  const TaskId id = MakeTaskId(0);
  ASSERT_TRUE(StartParked());
  EXPECT_EQ(driver.blocks[id].size(), 1u);
  EXPECT_EQ(driver.parked[id], 1);
  driver.backend->GrantCredit(id, 1'000'000);
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.Values(id), Iota(0, 400));
}

TEST_F(BridgeBackendTest, ARetrySkipsWhatWasTaken) {
  TaskOrder order = UnitOrder(RangeProgram(Lane::kThread, 4, 100), 0, 4);
  order.skip_outputs = driver.skipped = 3;
  driver.backend->StartTask(MakeTaskId(0), order);
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.Values(MakeTaskId(0)), Iota(300, 400));
}

TEST_F(BridgeBackendTest, AProgramGoesOverOnce) {
  auto program = RangeProgram(Lane::kThread, 4, 100);
  for (std::uint32_t i = 0; i < 4; ++i) {
    driver.backend->StartTask(MakeTaskId(i), UnitOrder(program, i, 1));
  }
  ASSERT_TRUE(driver.WaitForEnds(4));
  EXPECT_EQ(cluster->registered, 1);
}

TEST_F(BridgeBackendTest, AProgramSaysWhereItsTasksRun) {
  auto program = RangeProgram(Lane::kThread, 4, 100);
  program->where = "near the files";
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 1));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(cluster->places, std::vector<std::string>{"near the files"});
}

TEST_F(BridgeBackendTest, TellsDemandsAndHearsOfGrowth) {
  const std::vector<ResourceDemand> demands = {{Resources{.gpu_milli = 1000}, 2}};
  driver.backend->Want(demands);
  EXPECT_EQ(cluster->demands, demands);
  cluster->capacities = {Resources{.cpu_milli = 7000}};
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(RangeProgram(Lane::kThread, 1, 1), 0, 1));
  std::vector<Event> events;
  driver.backend->Wait(kNever, &events);
  const auto* changed = std::get_if<event::CapacityChanged>(&events.at(0));
  ASSERT_NE(changed, nullptr);
  EXPECT_EQ(changed->total.cpu_milli, 7000);
}

TEST_F(BridgeBackendTest, ALostTaskEndsAsLost) {
  cluster->lost_tasks = {1};
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(RangeProgram(Lane::kThread, 4, 100), 0, 1));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->kind, FailureKind::kWorkerLost);
  EXPECT_TRUE(driver.blocks[MakeTaskId(0)].empty());
}

TEST_F(BridgeBackendTest, ACancelledTaskEndsAsCancelled) {
  ASSERT_TRUE(StartParked());
  driver.backend->CancelTask(MakeTaskId(0));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->kind, FailureKind::kCancelled);
}

TEST_F(BridgeBackendTest, WhatCannotTravelFailsTheTask) {
  auto program = RangeProgram(Lane::kThread, 1, 1);
  program->steps.push_back(MapStep{Native([](auto batch) { return batch; })});
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 1));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->code, arrow::StatusCode::NotImplemented);
}

TEST_F(BridgeBackendTest, AnActorIsReadyOrSaysWhyNot) {
  driver.backend->StartActor({OperatorId{0}, 0}, {RangeProgram(Lane::kProcess, 1, 1), {}});
  ASSERT_TRUE(driver.WaitFor([&] { return driver.ready.size() == 1; }));
  auto program = RangeProgram(Lane::kProcess, 1, 1);
  program->steps.push_back(MapStep{NamedFunction("resize", 0, /*is_class=*/true)});
  driver.backend->StartActor({OperatorId{0}, 1}, {program, {}});
  ASSERT_TRUE(driver.WaitFor([&] { return driver.lost.size() == 1; }));
  EXPECT_NE(driver.lost[0].failure.message.find("resize"), std::string::npos);
  // Tasks of an actor that is gone end as lost.
  TaskOrder order = UnitOrder(RangeProgram(Lane::kProcess, 1, 1), 0, 1);
  order.actor = ActorId{OperatorId{0}, 1};
  driver.backend->StartTask(MakeTaskId(0), order);
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->kind, FailureKind::kWorkerLost);
}

TEST_F(BridgeBackendTest, ALostHeadEndsEverything) {
  ASSERT_TRUE(StartParked());
  {
    std::lock_guard lock(cluster->mutex);
    cluster->head_lost = true;
  }
  driver.backend->GrantCredit(MakeTaskId(0), 1'000'000);
  ASSERT_TRUE(driver.WaitForEnds(1));
  const Failure& failure = *driver.ended[MakeTaskId(0)].failure;
  EXPECT_EQ(failure.kind, FailureKind::kSystem);
  EXPECT_NE(failure.message.find("the head is lost"), std::string::npos);
}

TEST_F(BridgeBackendTest, ObjectsLiveAsLongAsTheirLastReference) {
  auto other = source->NewBackend("").ValueOrDie();
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(RangeProgram(Lane::kThread, 2, 100), 0, 2));
  ASSERT_TRUE(driver.WaitForEnds(1));
  const std::vector<BlockHandle>& blocks = driver.blocks[MakeTaskId(0)];
  ASSERT_EQ(blocks.size(), 2u);
  const ObjectId kept = blocks[0].object;
  other->Retain({&kept, 1});
  driver.backend.reset();  // With the reference to the second block.
  EXPECT_EQ(NumObjects(), 1u);
  EXPECT_EQ(other->Get(kept).ValueOrDie().num_rows(), 100);
  other->Release({&kept, 1});
  EXPECT_EQ(NumObjects(), 0u);
  EXPECT_FALSE(other->Get(kept).ok());
}

TEST_F(BridgeBackendTest, RowsWithoutColumnsKeepTheirNumber) {
  const arrow::ChunkedArrayVector none;
  EXPECT_EQ(WithRows(arrow::Table::Make(arrow::schema({}), none, 0), 7)->num_rows(), 7);
}

TEST_F(BridgeBackendTest, WhatIsToBeSpilledLeavesTheBudget) {
  const arrow::ChunkedArrayVector none;
  const Block block(arrow::Table::Make(arrow::schema({}), none, 3));
  const BlockHandle put = driver.backend->Put(block).ValueOrDie();
  driver.backend->SpillObjects({put.object});
  ASSERT_TRUE(driver.WaitFor([&] { return !driver.events.empty(); }));
  const auto* spilled = std::get_if<event::ObjectsSpilled>(&driver.events[0]);
  ASSERT_NE(spilled, nullptr);
  EXPECT_EQ(spilled->spilled, std::vector<ObjectId>{put.object});
}

}  // namespace
}  // namespace headrace
