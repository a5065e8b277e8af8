#include "headrace/observe/event_log.h"

#include <arrow/type.h>
#include <gtest/gtest.h>

#include "headrace/observe/timeline.h"
#include "headrace/observe/trace.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

PhysicalPlan Plan() {
  auto source = std::make_shared<ReadSource>();
  source->format = "parquet";
  source->units.resize(2);
  source->units[0].path = "a.parquet";
  source->units[1].path = "b.parquet";
  source->file_system.pickled = std::make_shared<const std::string>("a secret");
  auto program = std::make_shared<TaskProgram>();
  program->name = "Read";
  ReadStep read;
  read.source = std::move(source);
  auto function = std::make_shared<FunctionSpec>();
  function->payload = std::make_shared<const std::string>("a secret");
  program->steps = {std::move(read), MapStep{std::move(function)}};
  TaskOperator reading;
  reading.program = std::move(program);
  reading.unit_groups = {{0}, {1}};
  return {{{"Read", std::move(reading), {}}}};
}

const BackendTraits kTraits{{.cpu_milli = 1000}, 1 << 20, true};

/// Says no to the first questions, and takes half of every credit.
class Hesitant final : public BackpressurePolicy {
 public:
  explicit Hesitant(int times) : left_(times) {}
  std::string_view name() const override { return "hesitant"; }
  WaitReason MayStart(OperatorId, const AccountView&) const override {
    return left_-- > 0 ? WaitReason::kPolicy : WaitReason::kNone;
  }
  std::int64_t CreditBytes(OperatorId, std::int64_t offered, const AccountView&) const override {
    return offered / 2;
  }

 private:
  mutable int left_;
};

/// Fails at the second question.
class Broken final : public BackpressurePolicy {
 public:
  std::string_view name() const override { return "broken"; }
  WaitReason MayStart(OperatorId, const AccountView&) const override {
    ++asked_;
    return WaitReason::kNone;
  }
  std::optional<Failure> failure() const override {
    if (asked_ < 2) return std::nullopt;
    Failure failure;
    failure.kind = FailureKind::kUserError;
    failure.message = "no more";
    return failure;
  }

 private:
  mutable int asked_ = 0;
};

template <class Policy, class... Args>
Policies One(Args... args) {
  Policies policies;
  policies.push_back(std::make_unique<Policy>(args...));
  return policies;
}

/// Records a run of two tasks, of which each yields a block; `schema` may be null.
std::string Recorded(Policies policies = {}, std::shared_ptr<arrow::Schema> schema = nullptr) {
  EventLogEncoder encoder;
  auto tape = std::make_shared<PolicyTape>();
  std::vector<std::string> names;
  for (const auto& policy : policies) names.emplace_back(policy->name());
  std::string bytes = encoder.Header(Plan(), {}, kTraits, names);
  auto scheduler = *Scheduler::Make(Plan(), {}, kTraits, Tape(std::move(policies), tape));
  const auto poll = [&] {
    bytes += encoder.RecordAnswers(tape->Take());
    for (const Action& action : scheduler->TakeActions()) bytes += encoder.Record(action);
  };
  const auto step = [&](const Event& event, std::int64_t at) {
    bytes += encoder.Record(Instant{at}, event);
    scheduler->Step(event, Instant{at});
    poll();
  };
  poll();
  step(event::OutputWanted{0, 5}, 1'000'000);
  step(event::OutputConsumed{0, 1}, 1'000'000);
  for (std::uint64_t task = 0; task < 2; ++task) {
    const auto at = static_cast<std::int64_t>(task) * 2'000'000;
    const TaskId id{OperatorId{0}, 0, task};
    BlockInfo info;
    info.num_rows = 10;
    info.num_bytes = 4096;
    info.schema = schema;
    info.position = Position{{static_cast<std::uint32_t>(task), 0}};
    step(event::BlockYielded{id, 0, {ObjectId{task + 1}, info}}, at + 2'000'000);
    step(event::TaskParked{id, 1 << 30}, at + 2'400'000);
    step(event::TaskEnded{id, {}, {}}, at + 3'000'000 + (task == 1 ? 1'000'000 : 0));
  }
  EXPECT_TRUE(scheduler->finished());
  return bytes;
}

TEST(EventLog, ReplaysWhatWasRecorded) {
  auto log = ParseEventLog(Recorded());
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->events.size(), 8U);
  EXPECT_EQ(log->cut, "");
  EXPECT_EQ(log->begin().nanos, 1'000'000);
  EXPECT_EQ(log->end().nanos, 6'000'000);
  EXPECT_EQ(Replay(*log), Status::OK());
}

TEST(EventLog, HoldsFilesButNoFunctionAndNoCredential) {
  const std::string bytes = Recorded();
  EXPECT_NE(bytes.find("b.parquet"), std::string::npos);
  EXPECT_EQ(bytes.find("a secret"), std::string::npos);
}

TEST(EventLog, KeepsEachSchemaOnce) {
  const auto schema = arrow::schema({arrow::field("a_column_of_the_test", arrow::int64())});
  const std::string bytes = Recorded({}, schema);
  const std::size_t first = bytes.find("a_column_of_the_test");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(bytes.find("a_column_of_the_test", first + 1), std::string::npos);
  auto log = *ParseEventLog(bytes);
  int blocks = 0;
  for (const Event& event : log.events) {
    const auto* yielded = std::get_if<event::BlockYielded>(&event);
    if (yielded == nullptr) continue;
    ++blocks;
    ASSERT_NE(yielded->block.info.schema, nullptr);
    EXPECT_TRUE(yielded->block.info.schema->Equals(*schema));
  }
  EXPECT_EQ(blocks, 2);
}

TEST(EventLog, NamesTheFirstDifference) {
  auto log = *ParseEventLog(Recorded());
  log.entries.back().action = "deliver nothing";
  const Status status = Replay(log);
  EXPECT_NE(status.message().find("the log has \"deliver nothing\", the replay gave \"finish\""),
            std::string::npos)
      << status;
  log.entries.pop_back();
  EXPECT_NE(Replay(log).message().find("the log has \"its end\", the replay gave \"finish\""),
            std::string::npos);
  log = *ParseEventLog(Recorded());
  log.traits.total.cpu_milli = 2000;
  EXPECT_FALSE(Replay(log).ok());
}

TEST(EventLog, ALogThatWasCutSaysSo) {
  const std::string bytes = Recorded(One<Hesitant>(2));
  int cuts = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto log = ParseEventLog(std::string_view(bytes).substr(0, size));
    if (!log.ok()) continue;
    ++cuts;
    EXPECT_NE(log->cut, "") << size;
    // What is whole replays, but where the policies' last answers are missing.
    const Status status = Replay(*log);
    EXPECT_TRUE(status.ok() || log->cut.find("not whole") != std::string::npos ||
                status.message().find("policies") != std::string::npos)
        << size << status;
  }
  EXPECT_GT(cuts, 100);
}

TEST(EventLog, EveryOtherChangeOfAByteIsFound) {
  const std::string bytes = Recorded();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    auto log = ParseEventLog(damaged);
    EXPECT_TRUE(!log.ok() || !log->cut.empty()) << "byte " << i;
  }
  EXPECT_EQ(ParseEventLog("nothing of ours").status().message(), "not an event log of Headrace");
  EXPECT_EQ(ParseEventLog("HRLOG001").status().message(),
            "the event log is of another version of Headrace");
}

TEST(PolicyTape, AReplayNeedsNoPolicy) {
  const std::string bytes = Recorded(One<Hesitant>(1));
  EXPECT_NE(bytes, Recorded());
  auto log = *ParseEventLog(bytes);
  EXPECT_EQ(log.policies, std::vector<std::string>{"hesitant"});
  EXPECT_EQ(Replay(log), Status::OK());
  log.answers.resize(log.answers.size() - 1);
  EXPECT_NE(Replay(log).message().find("policies"), std::string::npos);
}

TEST(PolicyTape, AFailureIsReplayedAsWell) {
  EventLogEncoder encoder;
  auto tape = std::make_shared<PolicyTape>();
  std::string bytes = encoder.Header(Plan(), {}, kTraits, {"broken"});
  auto scheduler = *Scheduler::Make(Plan(), {}, kTraits, Tape(One<Broken>(), tape));
  const auto poll = [&] {
    bytes += encoder.RecordAnswers(tape->Take());
    for (const Action& action : scheduler->TakeActions()) bytes += encoder.Record(action);
  };
  poll();
  const std::vector<Event> events = {event::OutputWanted{0, 1},
                                     event::TaskEnded{{OperatorId{0}, 0, 0}, {}, {}},
                                     event::TaskEnded{{OperatorId{0}, 0, 1}, {}, {}}};
  Instant now;
  for (const Event& event : events) {
    now.nanos += 1;
    bytes += encoder.Record(now, event);
    scheduler->Step(event, now);
    poll();
  }
  EXPECT_TRUE(scheduler->finished());
  auto log = ParseEventLog(bytes);
  ASSERT_TRUE(log.ok()) << log.status();
  EXPECT_EQ(log->cut, "");
  EXPECT_NE(log->entries.back().action.find("user_error: no more"), std::string::npos);
  EXPECT_EQ(Replay(*log), Status::OK());
}

TEST(Timeline, AveragesTasksAndKeepsPeaks) {
  auto log = *ParseEventLog(Recorded());
  Timeline timeline(log, 5);  // From 1 ms to 6 ms: a millisecond each.
  ASSERT_EQ(Replay(log, {&timeline}), Status::OK());
  const std::vector<TimelineSlice>& slices = timeline.slices().at(0);
  ASSERT_EQ(slices.size(), 5U);
  for (const TimelineSlice& slice : slices) EXPECT_NEAR(slice.tasks_running, 1, 1e-9);
  EXPECT_GE(slices[1].held_bytes_max, 4096);
  EXPECT_NEAR(slices[0].waits[static_cast<std::size_t>(WaitReason::kNoCpu)], 1, 1e-9);
  const std::string text = timeline.Render();
  for (const char* part : {"1 Read\n", "running", "queued", "memory", "1.0 ################",
                           "no cpu\n", "1 operators, 5ms, a budget of 1MiB",
                           "Operator 1 Read: 2 tasks executed", "* Total time: 5ms"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
}

TEST(Trace, HasASpanForEachTask) {
  auto log = *ParseEventLog(Recorded());
  Trace trace(log);
  ASSERT_EQ(Replay(log, {&trace}), Status::OK());
  const std::string json = trace.Finish();
  for (const char* part : {R"("name":"Read #0","pid":2,"tid":1,"ts":0.000,"dur":2000.000)",
                           R"("name":"Read #1","pid":2,"tid":1,"ts":2000.000,"dur":3000.000)",
                           R"("rows":10,"bytes":4096,"outcome":"done")", R"("name":"finished")",
                           R"("name":"charged")"}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << " in\n" << json;
  }
}

}  // namespace
}  // namespace headrace
