#include "headrace/control/schedule/scheduler.h"

#include <gtest/gtest.h>

#include "headrace/protocol/program.h"

namespace headrace {
namespace {

OperatorSpec Task(std::string name, std::vector<OperatorId> inputs, std::uint32_t tasks = 0) {
  auto program = std::make_shared<TaskProgram>();
  program->name = name;
  TaskOperator task;
  task.program = std::move(program);
  for (std::uint32_t i = 0; i < tasks; ++i) task.unit_groups.push_back({i});
  return {.name = std::move(name), .kind = std::move(task), .inputs = std::move(inputs)};
}

const BackendTraits kTraits{{.cpu_milli = 4000}, 1 << 20, true};

/// Takes all actions, as text.
std::vector<std::string> Actions(Scheduler* scheduler) {
  std::vector<std::string> texts;
  for (const Action& action : scheduler->TakeActions()) texts.push_back(ToString(action));
  return texts;
}

BlockHandle Block(std::uint64_t object, std::int64_t bytes) {
  BlockHandle block{ObjectId{object}, {}};
  block.info.num_rows = 1;
  block.info.num_bytes = bytes;
  return block;
}

TEST(Scheduler, RefusesPlansThatAreNoTree) {
  EXPECT_FALSE(Scheduler::Make({}, {}, kTraits).ok());
  PhysicalPlan two_ends{{Task("a", {}), Task("b", {})}};
  EXPECT_FALSE(Scheduler::Make(two_ends, {}, kTraits).ok());
  PhysicalPlan ahead{{Task("a", {OperatorId{1}}), Task("b", {OperatorId{0}})}};
  EXPECT_FALSE(Scheduler::Make(ahead, {}, kTraits).ok());
  PhysicalPlan shared{{Task("a", {}),
                       Task("b", {OperatorId{0}}),
                       {"u", UnionOperator{}, {OperatorId{0}, OperatorId{1}}}}};
  EXPECT_FALSE(Scheduler::Make(shared, {}, kTraits).ok());
  PhysicalPlan uncut{{Task("a", {}), {"limit", LimitOperator{5, nullptr}, {OperatorId{0}}}}};
  EXPECT_FALSE(Scheduler::Make(uncut, {}, kTraits).ok());
}

TEST(Scheduler, RefusesWhatCannotRun) {
  PhysicalPlan plan{{Task("big", {})}};
  std::get<TaskOperator>(plan.operators[0].kind).cost.cpu_milli = 8000;
  const auto made = Scheduler::Make(plan, {}, kTraits);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.status().message().find("big"), std::string::npos);
  ExecutionOptions options;
  options.resource_limits = Resources{.cpu_milli = 2000};
  std::get<TaskOperator>(plan.operators[0].kind).cost.cpu_milli = 3000;
  EXPECT_FALSE(Scheduler::Make(plan, options, kTraits).ok());
}

TEST(Scheduler, WaitsForWhatMayCome) {
  PhysicalPlan plan{{Task("big", {}, 3)}};
  std::get<TaskOperator>(plan.operators[0].kind).cost.cpu_milli = 8000;
  BackendTraits traits = kTraits;
  traits.possible = Resources{.cpu_milli = 10'000};
  ExecutionOptions options;
  options.exclude_resources = Resources{.cpu_milli = 1000};
  auto scheduler = *Scheduler::Make(plan, options, traits);
  scheduler->Step(event::OutputWanted{0, 5}, Instant{1});
  EXPECT_TRUE(Actions(scheduler.get()).empty());
  const Resources each{.cpu_milli = 8000};
  EXPECT_EQ(scheduler->Demands(), (std::vector<ResourceDemand>{{each, 3}}));
  // What the options exclude is not for this run.
  scheduler->Step(event::CapacityChanged{{.cpu_milli = 8500}}, Instant{2});
  EXPECT_TRUE(Actions(scheduler.get()).empty());
  scheduler->Step(event::CapacityChanged{{.cpu_milli = 9000}}, Instant{3});
  EXPECT_EQ(Actions(scheduler.get()).size(), 1U);
  EXPECT_EQ(scheduler->Demands(), (std::vector<ResourceDemand>{{each, 2}}));
  // Less than what runs needs: nothing more starts.
  scheduler->Step(event::CapacityChanged{{.cpu_milli = 2000}}, Instant{4});
  EXPECT_TRUE(Actions(scheduler.get()).empty());
  scheduler->CheckInvariants();
}

TEST(Scheduler, FinishesAtOnceWithNothingToDo) {
  auto scheduler = *Scheduler::Make(PhysicalPlan{{Task("empty", {}, 0)}}, {}, kTraits);
  EXPECT_EQ(Actions(scheduler.get()), std::vector<std::string>{"finish"});
  EXPECT_TRUE(scheduler->finished());
}

TEST(Scheduler, DeliversWhatIsThereAndHandsItOver) {
  InputOperator input;
  input.blocks = {Block(1, 10), Block(1, 10)};  // One object, held twice.
  PhysicalPlan plan{{{"in", input, {}}}};
  auto scheduler = *Scheduler::Make(plan, {}, kTraits);
  EXPECT_TRUE(Actions(scheduler.get()).empty());
  scheduler->Step(event::OutputWanted{0, 5}, Instant{1});
  EXPECT_EQ(Actions(scheduler.get()).size(), 2U);  // Both delivered, finish; no release.
  EXPECT_EQ(scheduler->charged_bytes(), 0);        // It was there before.
  scheduler->Step(event::OutputConsumed{0, 20}, Instant{2});
  scheduler->CheckInvariants();
}

TEST(Scheduler, AFailureBehindTheLastRowOfALimitDoesNoHarm) {
  for (const bool together : {true, false}) {
    LimitOperator limit{5, std::make_shared<TaskProgram>()};
    PhysicalPlan plan{{Task("read", {}, 2), {"limit", limit, {OperatorId{0}}}}};
    auto scheduler = *Scheduler::Make(plan, {}, kTraits);
    scheduler->Step(event::OutputWanted{0, 5}, Instant{1});
    const TaskId first{OperatorId{0}, 0, 0};
    event::BlockYielded yielded{first, 0, Block(1, 10)};
    yielded.block.info.num_rows = 5;
    std::vector<Event> events = {yielded, event::TaskEnded{first, Failure{}, {}},
                                 event::TaskEnded{{OperatorId{0}, 0, 1}, {}, {}}};
    if (together) {
      scheduler->Step(events, Instant{2});
    } else {
      for (Event& event : events) scheduler->Step(std::move(event), Instant{2});
    }
    EXPECT_EQ(Actions(scheduler.get()).back(), "finish") << together;
  }
}

TEST(Scheduler, ReleasesBlocksThatItDoesNotKnow) {
  auto scheduler = *Scheduler::Make(PhysicalPlan{{Task("read", {}, 1)}}, {}, kTraits);
  EXPECT_EQ(Actions(scheduler.get()).size(), 1U);
  const TaskId task{OperatorId{0}, 0, 0};
  scheduler->Step(event::BlockYielded{task, 0, Block(1, 10)}, Instant{1});
  scheduler->Step(event::BlockYielded{task, 0, Block(2, 10)}, Instant{1});  // Again.
  scheduler->Step(event::BlockYielded{{OperatorId{0}, 1, 0}, 1, Block(3, 10)}, Instant{1});
  scheduler->Step(event::BlockYielded{{OperatorId{7}, 0, 0}, 0, Block(4, 10)}, Instant{1});
  EXPECT_EQ(Actions(scheduler.get()),
            (std::vector<std::string>{"release [o2]", "release [o3]", "release [o4]"}));
  scheduler->CheckInvariants();
}

TEST(Scheduler, StartsALostTaskBeforeThoseWhoseOutputsWaitForIts) {
  PhysicalPlan plan{{Task("read", {}, 2)}};
  plan.operators[0].keep_order = true;
  auto scheduler = *Scheduler::Make(plan, {}, kTraits);
  EXPECT_EQ(Actions(scheduler.get()).size(), 2U);
  const TaskId first{.op = OperatorId{0}, .ordinal = 0}, second{.op = OperatorId{0}, .ordinal = 1};
  scheduler->Step(event::OutputWanted{0, 5}, Instant{1});
  scheduler->Step(event::BlockYielded{second, 0, Block(1, 2 << 20)}, Instant{2});  // All there is.
  scheduler->Step(event::TaskParked{second, 1 << 20}, Instant{3});
  EXPECT_TRUE(Actions(scheduler.get()).empty());
  const Status lost = Status::IOError("gone");
  scheduler->Step(
      event::TaskEnded{first, Failure::FromStatus(FailureKind::kWorkerLost, lost), TaskStats{}},
      Instant{4});
  const auto actions = Actions(scheduler.get());
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_TRUE(actions[0].starts_with("start")) << actions[0];
  scheduler->CheckInvariants();
}

/// Says no to everything.
class Never final : public BackpressurePolicy {
 public:
  std::string_view name() const override { return "never"; }
  WaitReason MayStart(OperatorId, const AccountView&) const override {
    return WaitReason::kConcurrencyCap;
  }
};

/// Lets no task have more than 3 bytes of credit.
class Little final : public BackpressurePolicy {
 public:
  std::string_view name() const override { return "little"; }
  WaitReason MayStart(OperatorId, const AccountView& view) const override {
    return view.operators[0].tasks_running < 2 ? WaitReason::kNone : WaitReason::kConcurrencyCap;
  }
  std::int64_t CreditBytes(OperatorId, std::int64_t, const AccountView&) const override {
    return 3;
  }
};

template <class Policy>
std::unique_ptr<Scheduler> WithPolicy() {
  std::vector<std::unique_ptr<BackpressurePolicy>> policies;
  policies.push_back(std::make_unique<Policy>());
  return *Scheduler::Make(PhysicalPlan{{Task("read", {}, 5)}}, {}, kTraits, std::move(policies));
}

TEST(Scheduler, APolicyHoldsBackUntilNothingElseCanRun) {
  auto scheduler = WithPolicy<Never>();
  EXPECT_TRUE(Actions(scheduler.get()).empty());
  EXPECT_EQ(scheduler->Snapshot()[0].waits_for, WaitReason::kConcurrencyCap);
  scheduler->Step(event::OutputWanted{0, 1}, Instant{1});
  EXPECT_EQ(Actions(scheduler.get()).size(), 1U);
  EXPECT_EQ(scheduler->liveness_overrides(), 1);
}

TEST(Scheduler, APolicyTakesLess) {
  auto scheduler = WithPolicy<Little>();
  const std::vector<std::string> actions = Actions(scheduler.get());
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_NE(actions[0].find("credit=3"), std::string::npos) << actions[0];
}

/// Fails after some questions.
class Failing final : public BackpressurePolicy {
 public:
  std::string_view name() const override { return "failing"; }
  WaitReason MayStart(OperatorId op, const AccountView& view) const override {
    const OperatorLoad& load = view.operators[static_cast<std::size_t>(op.value)];
    EXPECT_EQ(load.name, "read");
    EXPECT_EQ(load.cost.cpu_milli, 1000);
    failed_ = load.tasks_done > 0;
    return WaitReason::kNone;
  }
  std::optional<Failure> failure() const override {
    if (!failed_) return std::nullopt;
    Failure failure;
    failure.message = "of its own";
    return failure;
  }

 private:
  mutable bool failed_ = false;
};

TEST(Scheduler, APolicyThatFailsEndsTheRun) {
  auto scheduler = WithPolicy<Failing>();
  const std::size_t running = Actions(scheduler.get()).size();
  ASSERT_GT(running, 0U);
  std::vector<std::string> actions;
  for (std::uint64_t task = 0; task < running; ++task) {
    scheduler->Step(event::TaskEnded{{OperatorId{0}, 0, task}, {}, {}}, Instant{1});
    for (std::string& action : Actions(scheduler.get())) actions.push_back(std::move(action));
  }
  for (std::uint64_t task = running; !scheduler->finished() && task < 5; ++task) {
    scheduler->Step(event::TaskEnded{{OperatorId{0}, 0, task}, {}, {}}, Instant{1});
    for (std::string& action : Actions(scheduler.get())) actions.push_back(std::move(action));
  }
  EXPECT_EQ(actions.back(), "finish failed system: of its own");
}

TEST(Scheduler, PoliciesAreAskedLast) {
  const BackendTraits none{{.cpu_milli = 1000}, 0, true};
  std::vector<std::unique_ptr<BackpressurePolicy>> policies;
  policies.push_back(std::make_unique<Never>());
  auto scheduler =
      *Scheduler::Make(PhysicalPlan{{Task("read", {}, 5)}}, {}, none, std::move(policies));
  EXPECT_EQ(scheduler->Snapshot()[0].waits_for, WaitReason::kNoCredit);
}

/// Ends the first `count` tasks of operator 0 after `nanos` each; returns the tasks running then.
std::int64_t RunningAfter(Scheduler* scheduler, std::uint64_t count, std::int64_t nanos) {
  for (std::uint64_t i = 0; i < count; ++i) {
    scheduler->Step(event::TaskEnded{{OperatorId{0}, 0, i}, {}, {.wall_nanos = nanos}},
                    Instant{static_cast<std::int64_t>(i)});
  }
  return scheduler->Snapshot()[0].tasks_running;
}

TEST(Scheduler, SendsShortTasksAhead) {
  const auto run = [](std::int64_t nanos, std::uint64_t ended) {
    ExecutionOptions options;
    options.target_max_block_bytes = 10;
    auto scheduler = *Scheduler::Make(PhysicalPlan{{Task("read", {}, 500)}}, options, kTraits);
    return RunningAfter(scheduler.get(), ended, nanos);
  };
  EXPECT_EQ(run(50'000, 7), 4);            // Not known yet: a task for each cpu.
  EXPECT_EQ(run(50'000, 8), 4 * (1 + 4));  // 200 us of work more.
  EXPECT_EQ(run(1'000, 8), 4 * (1 + 64));
  EXPECT_EQ(run(1'000'000, 8), 4);
}

TEST(Scheduler, FailsWhenAnActorsStartFailsThreeTimesInARow) {
  PhysicalPlan plan{{Task("read", {}, 1), Task("pool", {OperatorId{0}})}};
  std::get<TaskOperator>(plan.operators[1].kind).compute = ActorPool{};
  auto scheduler = *Scheduler::Make(plan, {}, kTraits);
  Failure failure;
  failure.kind = FailureKind::kUserError;
  failure.message = "no such model";
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(scheduler->Snapshot()[1].actors_starting, 1);
    scheduler->Step(event::ActorLost{{OperatorId{1}, i}, failure}, Instant{1});
  }
  EXPECT_EQ(scheduler->Snapshot()[1].actors_starting, 0);
  scheduler->Step(event::TaskEnded{{OperatorId{0}, 0, 0}, {}, {}}, Instant{2});
  const std::vector<std::string> actions = Actions(scheduler.get());
  EXPECT_NE(actions.back().find("no such model"), std::string::npos) << actions.back();
  EXPECT_TRUE(scheduler->finished());
}

TEST(Scheduler, TellsWhatAnOperatorWaitsFor) {
  ExecutionOptions options;
  options.target_max_block_bytes = 10;
  PhysicalPlan plan{{Task("read", {}, 9), Task("map", {OperatorId{0}})}};
  auto scheduler = *Scheduler::Make(plan, options, kTraits);
  (void)Actions(scheduler.get());
  scheduler->Step(event::TimePassed{}, Instant{1'000});
  scheduler->Step(event::TimePassed{}, Instant{6'000});
  const std::vector<OperatorState> states = scheduler->Snapshot();
  EXPECT_EQ(states[0].waits_for, WaitReason::kNoCpu);
  EXPECT_EQ(states[0].wait_nanos[static_cast<int>(WaitReason::kNoCpu)], 5'000);
  EXPECT_EQ(states[0].tasks_running, 4);
  EXPECT_EQ(states[0].tasks_total, 9);
  EXPECT_EQ(states[1].waits_for, WaitReason::kNoInput);
}

}  // namespace
}  // namespace headrace
