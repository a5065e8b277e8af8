#include "headrace/control/plan/pieces.h"

#include <gtest/gtest.h>

#include "headrace/control/plan/lower.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

PhysicalPlan LoweredPieces(const LogicalPtr& plan, std::uint64_t first_program = 1) {
  LoweringContext context;
  context.capacity = {.cpu_milli = 2000};
  context.next_program_id = first_program;
  return Lower(plan, &context).ValueOrDie();
}

PhysicalPlan Split(const LogicalPtr& plan) {
  PhysicalPlan physical = LoweredPieces(plan);
  EXPECT_TRUE(SplitIntoPieces(&physical).ok());
  return physical;
}

std::vector<std::string> Positions(const PhysicalPlan& plan) {
  std::vector<std::string> positions;
  for (const Piece& piece : ListPieces(plan)) positions.push_back(piece.position.ToString());
  return positions;
}

TEST(PiecesTest, AreTheTasksOfSourcesAndTheBlocksThatExist) {
  EXPECT_EQ(Positions(Split(Write(MapRows(Read())))),
            (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(Positions(Split(Write(MapRows(Input(3))))), (std::vector<std::string>{"0", "1", "2"}));
}

TEST(PiecesTest, HaveTheNumbersOfTheUnionsOnTheirWay) {
  const LogicalPtr inner = MapRows(Union({Input(2), Read()}));
  EXPECT_EQ(Positions(Split(Write(Union({inner, MapRows(Read())})))),
            (std::vector<std::string>{"0.0.0", "0.0.1", "0.1.0", "0.1.1", "0.1.2", "0.1.3", "1.0",
                                      "1.1", "1.2", "1.3"}));
}

TEST(PiecesTest, BundlesEndWithThem) {
  const PhysicalPlan plan = Split(Write(MapRows(Union({MapBatches(Read(), "f", 10), Read()}))));
  std::vector<std::int32_t> depths;
  for (const OperatorSpec& op : plan.operators) {
    if (const auto* task = op.As<TaskOperator>()) depths.push_back(task->piece_depth);
  }
  // Two reads and the map above one; behind the union a position has one more part.
  EXPECT_EQ(depths, (std::vector<std::int32_t>{1, 1, 1, 2, 2}));
  EXPECT_TRUE(plan.reports_pieces);
  const PhysicalPlan whole = LoweredPieces(Write(Read()));
  for (const OperatorSpec& op : whole.operators) {
    EXPECT_EQ(op.As<TaskOperator>()->piece_depth, 0);
  }
}

TEST(PiecesTest, WhatIsDoneDoesNotRun) {
  PhysicalPlan plan = Split(Write(Union({MapRows(Read()), Input(3)})));
  TakeOutPieces({Position{{0, 1}}, Position{{0, 2}}, Position{{1, 0}}}, &plan);
  EXPECT_EQ(Positions(plan), (std::vector<std::string>{"0.0", "0.3", "1.1", "1.2"}));
  const auto* read = plan.operators.front().As<TaskOperator>();
  EXPECT_EQ(read->unit_groups, (std::vector<UnitGroup>{{0}, {3}}));
  TakeOutPieces({Position{{0, 0}}, Position{{0, 3}}, Position{{1, 1}}, Position{{1, 2}}}, &plan);
  EXPECT_TRUE(Positions(plan).empty());
}

TEST(PiecesTest, AreRefusedWhereAnOperatorMixesThem) {
  const auto refused = [](const LogicalPtr& plan, const std::string& told) {
    PhysicalPlan physical = LoweredPieces(plan);
    const Status status = SplitIntoPieces(&physical);
    EXPECT_TRUE(status.IsInvalid());
    EXPECT_NE(status.message().find(told), std::string::npos) << status.message();
    EXPECT_FALSE(physical.reports_pieces);
  };
  refused(Write(Limit(Read(), 7)), "'limit=7' cannot be resumed");
  refused(Write(Sort(Read(), {})), "'Sort' cannot be resumed");
  refused(Write(Union({Read(), Zip({Read(), Read()})})), "'Zip' cannot be resumed");
  const LogicalPtr input = Input(2);
  refused(Write(Union({input, input})), "the same blocks in memory twice");
}

TEST(PiecesTest, DescriptionsAreEqualForEqualOutputs) {
  const auto of = [](const LogicalPtr& plan, std::uint64_t first = 1) {
    return DescribeOutputs(LoweredPieces(plan, first));
  };
  const auto batches = [](std::int64_t rows) { return Write(MapBatches(Read(), "f", rows)); };
  EXPECT_EQ(of(batches(10)), of(batches(10), 77));
  EXPECT_NE(of(batches(10)), of(batches(11)));
  EXPECT_NE(of(Write(Read())), of(Write(Read({.units = 5}))));
  EXPECT_NE(of(Write(Filter(Read(), Gt(Col("a"), Lit(1))))),
            of(Write(Filter(Read(), Gt(Col("a"), Lit(2))))));
  EXPECT_NE(of(Write(Limit(Read(), 7))), of(Write(Limit(Read(), 8))));
  EXPECT_NE(of(Write(Repartition(Read(), 7))), of(Write(Repartition(Read(), 8))));
  const auto tolerant = [](const std::string& on_error, bool drops_rows) {
    auto function = Function(FunctionKind::kMapRows, "f");
    function->on_error = on_error;
    function->drops_rows = drops_rows;
    return Write(Map(Read(), function));
  };
  EXPECT_EQ(of(tolerant("a pickle", true)), of(tolerant("another process's", true)));
  EXPECT_NE(of(tolerant("", true)), of(tolerant("", false)));
  const auto described = of(Write(Read()));
  ASSERT_EQ(described.size(), 2U);
  EXPECT_EQ(described[0].first, "ReadParquet");
  EXPECT_EQ(described[1].first, "Write");
}

}  // namespace
}  // namespace headrace
