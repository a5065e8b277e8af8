#include "headrace/engine/piece_tracker.h"

#include <arrow/scalar.h>
#include <gtest/gtest.h>

#include <map>

#include "headrace/data/read/source.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

namespace headrace {
namespace {

constexpr OperatorId kRead{0};
constexpr OperatorId kMap{1};

// A source of two tasks, over units 0 and 3, and a map.
PhysicalPlan MakePlan() {
  PhysicalPlan plan;
  TaskOperator read;
  read.unit_groups = {{0, 1, 2}, {3}};
  plan.operators.push_back({"Read", read, {}, false});
  plan.operators.push_back({"Map", TaskOperator{}, {kRead}, false});
  plan.reports_pieces = true;
  return plan;
}

class PieceTrackerTest : public ::testing::Test {
 protected:
  void Start(TaskId task, const std::vector<ObjectId>& inputs,
             const std::vector<std::uint32_t>& units = {}) {
    TaskOrder order;
    order.inputs = inputs;
    order.units = units;
    tracker_.On(Action(action::StartTask{task, order}));
  }
  void Yield(TaskId task, ObjectId object) {
    event::BlockYielded yielded;
    yielded.task = task;
    yielded.block.object = object;
    tracker_.On(Event(yielded));
  }
  void End(TaskId task, std::optional<FailureKind> failure = std::nullopt) {
    event::TaskEnded ended;
    ended.task = task;
    if (failure) {
      ended.failure.emplace();
      ended.failure->kind = *failure;
    }
    tracker_.On(Event(ended));
  }
  void Release(ObjectId object) { tracker_.On(Action(action::ReleaseObjects{{object}})); }
  void Deliver(ObjectId object) {
    action::DeliverOutput delivered;
    delivered.blocks.push_back({object, {}});
    tracker_.On(Action(delivered));
  }
  std::vector<std::string> Ended() {
    std::vector<std::string> text;
    for (const Position& position : tracker_.TakeEnded()) text.push_back(position.ToString());
    return text;
  }
  using Texts = std::vector<std::string>;

  PieceTracker tracker_{MakePlan()};
};

TEST_F(PieceTrackerTest, APieceEndsWithItsLastBlock) {
  Start({kRead, 0, 0}, {}, {0, 1, 2});
  Start({kRead, 0, 1}, {}, {3});
  Yield({kRead, 0, 0}, {10});
  Yield({kRead, 0, 1}, {20});
  End({kRead, 0, 0});
  End({kRead, 0, 1});
  Start({kMap, 0, 0}, {{10}});
  Yield({kMap, 0, 0}, {11});
  Deliver({11});
  EXPECT_EQ(Ended(), Texts{});  // Its task may yield more.
  End({kMap, 0, 0});
  EXPECT_EQ(Ended(), Texts{});
  Release({10});
  EXPECT_EQ(Ended(), Texts{"0"});
  Start({kMap, 0, 1}, {{20}});
  End({kMap, 0, 1});
  Release({20});
  EXPECT_EQ(Ended(), Texts{"3"});  // All its rows were filtered out.
}

TEST_F(PieceTrackerTest, KnowsThePieceOfATask) {
  Start({kRead, 0, 1}, {}, {3});
  Yield({kRead, 0, 1}, {20});
  Start({kMap, 0, 1}, {{20}});
  ASSERT_NE(tracker_.PieceOf({kMap, 0, 1}), nullptr);
  EXPECT_EQ(tracker_.PieceOf({kMap, 0, 1})->ToString(), "3");
  End({kMap, 0, 1});
  EXPECT_EQ(tracker_.PieceOf({kMap, 0, 1}), nullptr);
}

TEST_F(PieceTrackerTest, APieceWaitsForTheSecondAttempt) {
  Start({kRead, 0, 1}, {}, {3});
  End({kRead, 0, 1}, FailureKind::kWorkerLost);
  EXPECT_EQ(Ended(), Texts{});
  Start({kRead, 1, 1}, {}, {3});
  End({kRead, 1, 1});
  EXPECT_EQ(Ended(), Texts{"3"});
}

TEST_F(PieceTrackerTest, WhatFailsOrIsThrownAwayNeverEnds) {
  Start({kRead, 0, 0}, {}, {0, 1, 2});
  Start({kRead, 0, 1}, {}, {3});
  Yield({kRead, 0, 0}, {10});
  Yield({kRead, 0, 1}, {20});
  End({kRead, 0, 0});
  End({kRead, 0, 1});
  Start({kMap, 0, 0}, {{10}});
  End({kMap, 0, 0}, FailureKind::kUserError);
  Release({10});
  Release({20});  // The run stops: nobody takes the block any more.
  EXPECT_EQ(Ended(), Texts{});
}

// Operators that are not fused, a union, and rows that a filter leaves out: each piece is told
// once, when all its blocks were given.
TEST(PieceTrackerRunTest, TellsEachPieceOnceAfterItsBlocks) {
  LocalRuntimeOptions options;
  options.total.cpu_milli = 2000;
  auto session = Session::Make(std::move(options)).ValueOrDie();
  const auto filtered = [](std::int64_t rows, std::int64_t parts, std::int64_t least) {
    logical::Read read;
    read.source = MakeRangeSource(rows);
    read.parallelism = parts;
    const ExprPtr predicate = MakeExpr(expr::Call{
        "greater_equal",
        {MakeExpr(expr::Column{"id"}), MakeExpr(expr::Literal{arrow::MakeScalar(least)})},
        "",
        ""});
    return LogicalOperator::Make(logical::Filter{predicate, {std::nullopt, TaskPool{3}}},
                                 {LogicalOperator::Make(std::move(read))});
  };
  const LogicalPtr plan =
      LogicalOperator::Make(logical::Union{}, {filtered(4000, 40, 700), filtered(100, 5, 0)});
  const std::vector<Position> pieces = session->PlanPieces(plan, {}).ValueOrDie();
  ASSERT_EQ(pieces.size(), 45U);
  const std::set<Position> done{pieces[20], pieces[40]};
  auto execution = session->Execute(plan, {}, &done).ValueOrDie();
  std::map<Position, std::int64_t> rows;
  std::set<Position> ended;
  const auto take_ended = [&] {
    for (const Position& piece : execution->TakeEndedPieces()) {
      EXPECT_TRUE(ended.insert(piece).second) << piece.ToString();
    }
  };
  while (auto block = execution->Next().ValueOrDie()) {
    const Position::Path& path = block->info.position.path;
    const Position piece{{path[0], path[1]}};
    EXPECT_FALSE(ended.contains(piece)) << "told too early: " << piece.ToString();
    rows[piece] += block->info.num_rows;
    execution->backend().Release({&block->object, 1});
    take_ended();
  }
  take_ended();
  EXPECT_EQ(ended.size(), 43U);
  EXPECT_TRUE(ended.contains(pieces[0]));  // Without rows.
  std::int64_t total = 0;
  for (const auto& [piece, count] : rows) total += count;
  EXPECT_EQ(total, 3300 - 100 + 100 - 20);
  for (const Position& piece : done) EXPECT_FALSE(rows.contains(piece));
}

}  // namespace
}  // namespace headrace
