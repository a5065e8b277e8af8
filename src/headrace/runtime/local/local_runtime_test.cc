#include "headrace/runtime/local/local_runtime.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "headrace/base/rng.h"
#include "headrace/runtime/local/local_testing.h"

namespace headrace {
namespace {

using testing::Driver;
using testing::InputOrder;
using testing::Iota;
using testing::MakeTaskId;
using testing::Native;
using testing::NewProgram;
using testing::RangeProgram;
using testing::UnitOrder;

std::shared_ptr<LocalRuntime> MakeRuntime() {
  LocalRuntimeOptions options;
  options.total.cpu_milli = 2000;
  return LocalRuntime::Make(options).ValueOrDie();
}

/// The same behaviour is asked of the thread lane and of the inline backend.
class LaneTest : public ::testing::TestWithParam<bool> {
 protected:
  LaneTest()
      : runtime(MakeRuntime()),
        driver(GetParam() ? runtime->NewInlineBackend(nullptr) : runtime->NewBackend()) {}

  std::shared_ptr<LocalRuntime> runtime;
  Driver driver;
};
INSTANTIATE_TEST_SUITE_P(Forms, LaneTest, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Inline" : "Threads"; });

TEST_P(LaneTest, RunsATaskToItsEnd) {
  auto program = RangeProgram(Lane::kThread, 4, 100);
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 1, 2));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_FALSE(driver.ended[MakeTaskId(0)].failure.has_value());
  EXPECT_EQ(driver.Values(MakeTaskId(0)), Iota(100, 300));
  EXPECT_EQ(driver.blocks[MakeTaskId(0)][1].info.position.ToString(), "1.1");
}

TEST_P(LaneTest, ParksWithoutCreditAndGoesOnWithIt) {
  auto program = RangeProgram(Lane::kThread, 4, 100);
  TaskOrder order = UnitOrder(program, 0, 4);
  order.credit_bytes = 1;
  const TaskId id = MakeTaskId(0);
  driver.backend->StartTask(id, order);
  ASSERT_TRUE(driver.WaitFor([&] { return driver.parked.contains(id); }));
  EXPECT_EQ(driver.blocks[id].size(), 1u);
  EXPECT_EQ(driver.parked[id], 1);
  driver.backend->GrantCredit(id, 801);  // One byte more than it has yielded.
  ASSERT_TRUE(driver.WaitFor([&] { return driver.parked[id] == 801; }));
  EXPECT_EQ(driver.blocks[id].size(), 2u);
  driver.backend->GrantCredit(id, 800);  // Less than before: says nothing.
  driver.backend->GrantCredit(id, 1'000'000);
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.Values(id), Iota(0, 400));
}

TEST_P(LaneTest, ARetrySkipsWhatWasTaken) {
  auto program = RangeProgram(Lane::kThread, 4, 100);
  TaskOrder order = UnitOrder(program, 0, 4);
  order.skip_outputs = driver.skipped = 3;
  driver.backend->StartTask(MakeTaskId(0), order);
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.Values(MakeTaskId(0)), Iota(300, 400));
}

TEST_P(LaneTest, CancelsAParkedTask) {
  auto program = RangeProgram(Lane::kThread, 4, 100);
  TaskOrder order = UnitOrder(program, 0, 4);
  order.credit_bytes = 1;
  driver.backend->StartTask(MakeTaskId(0), order);
  ASSERT_TRUE(driver.WaitFor([&] { return !driver.parked.empty(); }));
  driver.backend->CancelTask(MakeTaskId(0));
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->kind, FailureKind::kCancelled);
  driver.backend->CancelTask(MakeTaskId(0));
  driver.backend->GrantCredit(MakeTaskId(0), 5);
}

TEST_P(LaneTest, ReportsAFailure) {
  auto program = RangeProgram(Lane::kThread, 1, 100);
  program->steps.push_back(MapStep{Native([](auto) { return Status::Invalid("no good"); })});
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 1));
  ASSERT_TRUE(driver.WaitForEnds(1));
  const Failure& failure = *driver.ended[MakeTaskId(0)].failure;
  EXPECT_NE(failure.message.find("no good"), std::string::npos);
  EXPECT_EQ(failure.kind, FailureKind::kUserError);
}

TEST_P(LaneTest, FeedsTheOutputsOfOneTaskToAnother) {
  auto first = RangeProgram(Lane::kThread, 1, 100);
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(first, 0, 1));
  ASSERT_TRUE(driver.WaitForEnds(1));
  const BlockHandle block = driver.blocks[MakeTaskId(0)][0];
  auto second = NewProgram(Lane::kThread);
  second->steps.push_back(LimitStep{10});
  driver.backend->StartTask(MakeTaskId(1), InputOrder(second, block));
  ASSERT_TRUE(driver.WaitForEnds(2));
  EXPECT_EQ(driver.Values(MakeTaskId(1)), Iota(0, 10));
  driver.backend->Release(std::vector{block.object});
  EXPECT_FALSE(driver.backend->Get(block.object).ok());
}

TEST_P(LaneTest, DestroyingItReleasesWhatNobodyTook) {
  auto program = RangeProgram(Lane::kThread, 8, 100);
  TaskOrder order = UnitOrder(program, 0, 8);
  order.credit_bytes = 3000;
  driver.backend->StartTask(MakeTaskId(0), order);
  driver.backend->StartTask(MakeTaskId(1), UnitOrder(program, 0, 8));
  ASSERT_TRUE(driver.WaitFor([&] { return !driver.parked.empty(); }));
  const Block kept = driver.backend->Get(driver.blocks[MakeTaskId(0)][0].object).ValueOrDie();
  driver.backend.reset();
  EXPECT_EQ(runtime->store().stats().objects, 0);
  EXPECT_EQ(kept.num_rows(), 100);
}

TEST_P(LaneTest, PostWakesAWaiterOfAnotherThread) {
  std::thread poster([&] { driver.backend->Post(event::StopRequested{}); });
  std::vector<Event> events;
  while (events.empty()) driver.backend->Wait(kNever, &events);
  poster.join();
  EXPECT_TRUE(std::holds_alternative<event::StopRequested>(events[0]));
  events.clear();
  driver.backend->Wait(driver.backend->Now() + Duration::Millis(1), &events);
  EXPECT_TRUE(events.empty());
}

TEST_P(LaneTest, RandomGrantsAndCancelsLoseNothing) {
  Rng rng(11);
  auto program = RangeProgram(Lane::kThread, 10, 50);
  constexpr std::uint64_t kTasks = 200;
  std::map<TaskId, std::int64_t> credit;
  std::map<TaskId, bool> cancelled;
  for (std::uint64_t i = 0; i < kTasks; ++i) {
    TaskOrder order = UnitOrder(program, 0, 10);
    order.credit_bytes = credit[MakeTaskId(i)] = static_cast<std::int64_t>(rng.Below(3000));
    driver.backend->StartTask(MakeTaskId(i), order);
  }
  const bool all = driver.WaitFor([&] {
    for (const auto& [id, at] : std::map(driver.parked)) {
      driver.parked.erase(id);
      if (driver.ended.contains(id)) continue;
      EXPECT_EQ(at, credit[id]);
      if (rng.Below(20) == 0) {
        cancelled[id] = true;
        driver.backend->CancelTask(id);
      } else {
        credit[id] += 401 + static_cast<std::int64_t>(rng.Below(2000));  // More than it yielded.
        driver.backend->GrantCredit(id, credit[id]);
      }
    }
    return driver.ended.size() == kTasks;
  });
  ASSERT_TRUE(all);
  for (std::uint64_t i = 0; i < kTasks; ++i) {
    const TaskId id = MakeTaskId(i);
    const std::vector<std::int64_t> values = driver.Values(id);
    const auto count = static_cast<std::int64_t>(values.size());
    EXPECT_EQ(values, Iota(0, count));
    EXPECT_TRUE(cancelled[id] || count == 500);
    EXPECT_EQ(driver.ended[id].failure.has_value(), cancelled[id]);
    // Yields at most one block past its credit.
    EXPECT_LT(count * 8, credit[id] + 400);
  }
}

TEST(LocalRuntimeTest, CancelStopsARunningTask) {
  auto runtime = MakeRuntime();
  Driver driver(runtime->NewBackend());
  auto program = RangeProgram(Lane::kThread, 1'000, 10);
  std::atomic<int> calls{0};
  program->steps.push_back(MapStep{Native([&](auto batch) {
    ++calls;
    while (calls == 1) std::this_thread::yield();  // Until the test has cancelled it.
    return batch;
  })});
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 1'000));
  ASSERT_TRUE(driver.WaitFor([&] { return calls > 0; }));
  driver.backend->CancelTask(MakeTaskId(0));
  ++calls;
  ASSERT_TRUE(driver.WaitForEnds(1));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->kind, FailureKind::kCancelled);
  EXPECT_LT(calls, 1'000);
}

TEST(LocalRuntimeTest, ProcessLaneWithoutATemplateIsAnError) {
  auto runtime = MakeRuntime();
  Driver driver(runtime->NewBackend());
  auto program = RangeProgram(Lane::kProcess, 1, 10);
  driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 1));
  driver.backend->StartActor({OperatorId{0}, 0}, {program, {}});
  ASSERT_TRUE(driver.WaitFor([&] { return driver.ended.size() == 1 && driver.lost.size() == 1; }));
  EXPECT_EQ(driver.ended[MakeTaskId(0)].failure->kind, FailureKind::kSystem);
  EXPECT_EQ(driver.lost[0].failure.kind, FailureKind::kSystem);
}

TEST(LocalRuntimeTest, AForkedChildMakesItsOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer does not start threads in a forked child";
#endif
  auto runtime = MakeRuntime();
  auto program = RangeProgram(Lane::kThread, 4, 100);
  {
    Driver driver(runtime->NewBackend());
    driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 4));
    ASSERT_TRUE(driver.WaitForEnds(1));
  }
  Driver kept(runtime->NewBackend());
  kept.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 4));
  ASSERT_TRUE(kept.WaitForEnds(1));
  testing::AwaitSleepOfOthers();
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = !runtime->usable();
    good = good && !kept.backend->Get(kept.blocks[MakeTaskId(0)].at(0).object).ok();
    kept.backend.reset();
    runtime.reset();
    Driver driver(MakeRuntime()->NewBackend());
    driver.backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 4));
    good = good && driver.WaitForEnds(1) && driver.Values(MakeTaskId(0)) == Iota(0, 400);
    driver.backend.reset();
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(runtime->usable());
  EXPECT_EQ(kept.Values(MakeTaskId(0)), Iota(0, 400));
}

}  // namespace
}  // namespace headrace
