#include <gtest/gtest.h>

#include "headrace/control/schedule/scheduler.h"
#include "headrace/protocol/program.h"

// Blocks that are lost and made again, step by step. The simulator runs whole plans.

namespace headrace {
namespace {

/// A scheduler, and what it does as text.
class RemakeTest : public ::testing::Test {
 protected:
  static ProgramPtr Named(const std::string& name) {
    auto program = std::make_shared<TaskProgram>();
    program->name = name;
    return program;
  }
  void Read(std::uint32_t tasks) {
    TaskOperator task;
    task.program = Named("read");
    for (std::uint32_t i = 0; i < tasks; ++i) task.unit_groups.push_back({i});
    Add("read", std::move(task), {});
  }
  void Existing(std::vector<std::uint64_t> objects) {
    InputOperator input;
    for (const std::uint64_t object : objects) {
      input.blocks.push_back({ObjectId{object}, Info(2)});
    }
    Add("in", std::move(input), {});
  }
  void Map() {
    TaskOperator task;
    task.program = Named("map");
    Add("map", std::move(task), {Last()});
  }
  void Exchange(std::int64_t partitions) {
    ExchangeOperator exchange;
    exchange.program = Named("X");
    exchange.partitions = partitions;
    Add("X", std::move(exchange), {Last()});
  }
  void Start(std::int64_t cpus = 4) {
    options_.target_max_block_bytes = 100;
    scheduler_ =
        *Scheduler::Make(std::move(plan_), options_, {{.cpu_milli = 1000 * cpus}, 1 << 20});
    Do(event::OutputWanted{0, 100});
  }

  /// Steps, checks the books, and returns the actions as lines.
  std::string Do(Event event) {
    scheduler_->Step(std::move(event), Instant{++now_});
    scheduler_->CheckInvariants();
    std::string text;
    for (const Action& action : scheduler_->TakeActions()) text += ToString(action) + "\n";
    return text;
  }
  static TaskId Of(std::int32_t op, std::uint64_t ordinal, std::uint32_t attempt = 0) {
    return {OperatorId{op}, attempt, ordinal};
  }
  std::string Yield(TaskId task, std::uint64_t object, std::uint32_t index = 0,
                    std::int64_t rows = 2) {
    event::BlockYielded e{task, index, {ObjectId{object}, Info(rows)}};
    e.block.info.position.path = {static_cast<std::uint32_t>(task.ordinal), index};
    return Do(std::move(e));
  }
  std::string End(TaskId task) { return Do(event::TaskEnded{task, {}, {}}); }
  std::string Fail(TaskId task, FailureKind kind, const std::string& message = "why") {
    Failure failure;
    failure.kind = kind;
    failure.message = message;
    return Do(event::TaskEnded{task, failure, {}});
  }
  /// The block is lost, which `reader` has found.
  std::string Lose(std::uint64_t object, TaskId reader) {
    Failure failure;
    failure.message = "the file is gone";
    const std::string text = Do(event::ObjectsLost{{ObjectId{object}}, failure});
    return text + Fail(reader, FailureKind::kInputLost);
  }
  Scheduler& scheduler() { return *scheduler_; }

  ExecutionOptions options_;
  PhysicalPlan plan_;

 private:
  OperatorId Last() const {
    return OperatorId{static_cast<std::int32_t>(plan_.operators.size()) - 1};
  }
  static BlockInfo Info(std::int64_t rows) {
    BlockInfo info;
    info.num_rows = rows;
    info.num_bytes = rows * 10;
    return info;
  }
  void Add(const char* name, decltype(OperatorSpec::kind) kind, std::vector<OperatorId> inputs) {
    plan_.operators.push_back({.name = name, .kind = std::move(kind), .inputs = std::move(inputs)});
  }

  std::unique_ptr<Scheduler> scheduler_;
  std::int64_t now_ = 0;
};

void ExpectHas(const std::string& text, const std::string& part, bool has, int line) {
  EXPECT_EQ(text.find(part) != std::string::npos, has) << "line " << line << ": " << text;
}
#define EXPECT_HAS(text, part) ExpectHas((text), (part), true, __LINE__)
#define EXPECT_HAS_NOT(text, part) ExpectHas((text), (part), false, __LINE__)

TEST_F(RemakeTest, ALostBlockIsMadeAgainAndItsReaderGoesOn) {
  Read(2), Exchange(1), Start();
  Yield(Of(0, 0), 1), Yield(Of(0, 1), 2);
  End(Of(0, 0));
  EXPECT_HAS(End(Of(0, 1)), "start 1#0 X inputs [o1[0,2) o2[0,2)]");
  std::string text = Lose(1, Of(1, 0));
  EXPECT_HAS(text, "start 0#0.1 read units [0]");
  EXPECT_HAS(text, " again");
  EXPECT_HAS(text, "release [o1]");
  EXPECT_HAS_NOT(text, "start 1#");
  text = Yield(Of(0, 0, 1), 7);
  EXPECT_HAS(text, "cancel 0#0.1");  // Nobody wants the rest.
  EXPECT_HAS(text, "start 1#0.1 X inputs [o7[0,2) o2[0,2)]");
  Fail(Of(0, 0, 1), FailureKind::kCancelled);
  EXPECT_EQ(scheduler().Snapshot()[0].blocks_remade, 1);
  EXPECT_EQ(scheduler().Snapshot()[0].output_blocks, 2);
  Yield(Of(1, 0, 1), 9);
  EXPECT_EQ(End(Of(1, 0, 1)), "release [o7 o2]\nfinish\n");
}

TEST_F(RemakeTest, OnlyTheLostOutputIsKept) {
  Read(1), Exchange(1), Start();
  for (std::uint32_t i = 0; i < 4; ++i) Yield(Of(0, 0), 1 + i, i);
  End(Of(0, 0));
  Failure failure;
  Do(event::ObjectsLost{{ObjectId{2}, ObjectId{4}}, failure});
  EXPECT_HAS(Fail(Of(1, 0), FailureKind::kInputLost), " skip=1 again");
  EXPECT_HAS_NOT(Yield(Of(0, 0, 1), 12, 1), "cancel");
  EXPECT_HAS(Yield(Of(0, 0, 1), 13, 2), "release [o13]");
  const std::string text = Yield(Of(0, 0, 1), 14, 3);
  EXPECT_HAS(text, "cancel 0#0.1");
  EXPECT_HAS(text, "inputs [o1[0,2) o12[0,2) o3[0,2) o14[0,2)]");
}

TEST_F(RemakeTest, NobodyStartsOnWhatIsLostAndReadersEndFirst) {
  Read(1), Exchange(4), Start(2);
  Yield(Of(0, 0), 1, 0, 8);
  End(Of(0, 0));  // Two of the four tasks run.
  std::string text = Lose(1, Of(1, 0));
  EXPECT_HAS_NOT(text, "start");  // The other one still reads it.
  text = End(Of(1, 1));
  EXPECT_HAS(text, "start 0#0.1 read");
  EXPECT_HAS_NOT(text, "start 1#");
  text = Yield(Of(0, 0, 1), 5, 0, 8);
  EXPECT_HAS(text, "start 1#0.1 X inputs [o5[0,2)]");
}

TEST_F(RemakeTest, InputsOfInputsAreMadeFirst) {
  Read(1), Map(), Exchange(1), Map(), Exchange(1), Start(8);
  Yield(Of(0, 0), 1), End(Of(0, 0));
  Yield(Of(1, 0), 2);
  EXPECT_HAS(End(Of(1, 0)), "start 2#0 X inputs [o2[0,2)]");
  Yield(Of(2, 0), 3), End(Of(2, 0));
  Yield(Of(3, 0), 4);
  EXPECT_HAS(End(Of(3, 0)), "start 4#0 X inputs [o4[0,2)]");
  // Nothing is left of all that; it begins anew at the source.
  EXPECT_HAS(Lose(4, Of(4, 0)), "start 0#0.1 read units [0]");
  EXPECT_HAS(Yield(Of(0, 0, 1), 11), "start 1#0.1 map inputs [o11]");
  EXPECT_HAS(Yield(Of(1, 0, 1), 12), "start 2#0.1 X inputs [o12[0,2)]");
  EXPECT_HAS(Yield(Of(2, 0, 1), 13), "start 3#0.1 map inputs [o13]");
  EXPECT_HAS(Yield(Of(3, 0, 1), 14), "start 4#0.1 X inputs [o14[0,2)]");
  for (std::int32_t op = 0; op < 3; ++op) EXPECT_HAS_NOT(End(Of(op, 0, 1)), "finish");
  End(Of(3, 0, 1));
  EXPECT_HAS(End(Of(4, 0, 1)), "finish\n");
}

TEST_F(RemakeTest, TheInputOfAMapIsMadeAgain) {
  Read(1), Map(), Exchange(1), Start();
  Yield(Of(0, 0), 1);
  End(Of(0, 0));
  EXPECT_HAS(Lose(1, Of(1, 0)), "start 0#0.1 read units [0]");
  EXPECT_HAS(Yield(Of(0, 0, 1), 5), "start 1#0.1 map inputs [o5]");
}

TEST_F(RemakeTest, ALostWorkerOfARemakeIsNoMatter) {
  Read(1), Exchange(1), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  Lose(1, Of(1, 0));
  EXPECT_HAS(Fail(Of(0, 0, 1), FailureKind::kWorkerLost), "start 0#0.2 read units [0]");
  EXPECT_HAS(Yield(Of(0, 0, 2), 5), "start 1#0.1 X inputs [o5[0,2)]");
}

TEST_F(RemakeTest, ABlockThatIsLostTooOftenEndsTheRun) {
  options_.max_task_attempts = 4;
  Read(1), Exchange(1), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  for (std::uint32_t i = 1; i <= 3; ++i) {
    EXPECT_HAS(Lose(i, Of(1, 0, i - 1)), "start 0#0." + std::to_string(i));
    Yield(Of(0, 0, i), i + 1), End(Of(0, 0, i));
  }
  const std::string text = Lose(4, Of(1, 0, 3));
  EXPECT_HAS(text, "finish failed system: the file is gone");
}

TEST_F(RemakeTest, WhatFailsWhenItRunsAgainSaysWhyItRan) {
  Read(1), Exchange(1), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  Lose(1, Of(1, 0));
  EXPECT_HAS(Fail(Of(0, 0, 1), FailureKind::kDataError, "no such file"),
             "finish failed data_error: no such file");
}

TEST_F(RemakeTest, ABlockThatComesOtherwiseEndsTheRun) {
  Read(1), Exchange(1), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  Lose(1, Of(1, 0));
  Yield(Of(0, 0, 1), 5, 0, 3);
  EXPECT_HAS(End(Of(0, 0, 1)), "finish failed system: the file is gone");
}

TEST_F(RemakeTest, BlocksFromBeforeTheRunAreGivenAgainButNotMade) {
  Existing({1}), Map(), Exchange(1), Start();
  Yield(Of(1, 0), 2);
  EXPECT_HAS_NOT(End(Of(1, 0)), "release");  // It may be needed again.
  EXPECT_HAS(Lose(2, Of(2, 0)), "start 1#0.1 map inputs [o1]");
  Yield(Of(1, 0, 1), 3);
  End(Of(1, 0, 1));
  EXPECT_EQ(End(Of(2, 0, 1)), "release [o3]\nrelease [o1]\nfinish\n");
}

TEST_F(RemakeTest, ALostBlockFromBeforeTheRunEndsIt) {
  Existing({1}), Map(), Exchange(1), Start();
  EXPECT_HAS(Lose(1, Of(1, 0)), "finish failed system: the file is gone");
}

TEST_F(RemakeTest, WithoutAnExchangeNothingIsKeptToMakeItAgain) {
  Read(1), Map(), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  EXPECT_HAS(Lose(1, Of(1, 0)), "finish failed system: the file is gone");
}

TEST_F(RemakeTest, TasksThatFailForInputsThatNobodyLostEndTheRun) {
  Read(1), Exchange(1), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  std::string text;
  for (std::uint32_t attempt = 0; attempt < 20 && text.find("finish") == std::string::npos;
       ++attempt) {
    text = Fail(Of(1, 0, attempt), FailureKind::kInputLost, "cannot be read");
  }
  EXPECT_HAS(text, "finish failed input_lost: cannot be read");
}

TEST_F(RemakeTest, AStopWhileABlockIsMadeAgainEndsAll) {
  Read(1), Map(), Exchange(1), Start();
  Yield(Of(0, 0), 1), End(Of(0, 0));
  Yield(Of(1, 0), 2), End(Of(1, 0));
  Lose(2, Of(2, 0));
  EXPECT_HAS(Do(event::StopRequested{}), "cancel 0#0.1");
  EXPECT_HAS(Fail(Of(0, 0, 1), FailureKind::kCancelled), "finish\n");
}

}  // namespace
}  // namespace headrace
