#include "headrace/protocol/exchange.h"

#include <gtest/gtest.h>

#include "headrace/base/wire.h"
#include "headrace/protocol/event.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

TaskProgram ExchangeProgram() {
  TaskProgram program;
  program.name = "all";
  program.steps = {
      ScatterStep{{"a", "b"}, 64, 7},
      SortStep{{{"a", true, false}, {"b", false, true}}, 10},
      MergeStep{{{"a", true, false}}, -1},
      ShuffleStep{9},
      GroupStep{{"k"}},
      AggregateStep{AggregateStep::Phase::kPartial,
                    {"k"},
                    {{AggregateKind::kStd, "x", "std(x)", false, 1},
                     {AggregateKind::kCount, "", "count()", true, 0}}},
      JoinStep{JoinKind::kLeftAnti, {"k"}, {"j"}, "_l", "_r"},
      ZipStep{},
  };
  return program;
}

std::string ExchangeBytes(const TaskProgram& program) {
  WireWriter out;
  WriteProgram(program, &out);
  return out.Take();
}

TEST(ExchangeWireTest, EveryStepComesBack) {
  const std::string bytes = ExchangeBytes(ExchangeProgram());
  WireReader in(bytes);
  const auto back = ReadProgram(&in).ValueOrDie();
  ASSERT_TRUE(in.Finish().ok());
  ASSERT_EQ(back->steps.size(), 8U);
  EXPECT_EQ(ExchangeBytes(*back), bytes);
  const auto& scatter = std::get<ScatterStep>(back->steps[0]);
  EXPECT_EQ(scatter.keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(scatter.buckets, 64);
  EXPECT_EQ(scatter.seed, 7U);
  const auto& sort = std::get<SortStep>(back->steps[1]);
  EXPECT_EQ(sort.keys, (std::vector<SortKey>{{"a", true, false}, {"b", false, true}}));
  EXPECT_EQ(sort.limit, 10);
  EXPECT_EQ(std::get<ShuffleStep>(back->steps[3]).seed, 9U);
  const auto& fold = std::get<AggregateStep>(back->steps[5]);
  EXPECT_EQ(fold.phase, AggregateStep::Phase::kPartial);
  EXPECT_EQ(fold.aggregates[0], (AggregateSpec{AggregateKind::kStd, "x", "std(x)", false, 1}));
  const auto& join = std::get<JoinStep>(back->steps[6]);
  EXPECT_EQ(join.kind, JoinKind::kLeftAnti);
  EXPECT_EQ(join.right_keys, std::vector<std::string>{"j"});
  EXPECT_EQ(join.right_suffix, "_r");
}

TEST(ExchangeWireTest, PrefixesAreErrorsAndChangedBytesNeverCrash) {
  const std::string bytes = ExchangeBytes(ExchangeProgram());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    WireReader cut(std::string_view(bytes).substr(0, at));
    EXPECT_FALSE(ReadProgram(&cut).ok()) << "cut to " << at;
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    WireReader in(changed);
    (void)ReadProgram(&in);
  }
}

TEST(ExchangeWireTest, RangesComeBackOrAreBad) {
  const std::vector<RowRange> ranges = {{0, -1}, {3, 9}};
  const KeyRange keys{RunBound{"k", 3}, std::nullopt, {0, 1, 1}};
  WireWriter out;
  WriteRowRanges(ranges, &out);
  WriteKeyRange(keys, &out);
  const std::string bytes = out.Take();
  WireReader in(bytes);
  EXPECT_EQ(ReadRowRanges(&in), ranges);
  EXPECT_EQ(ReadKeyRange(&in), keys);
  EXPECT_TRUE(in.Finish().ok());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    WireReader cut(std::string_view(bytes).substr(0, size));
    (void)ReadRowRanges(&cut);
    (void)ReadKeyRange(&cut);
    EXPECT_TRUE(cut.bad()) << "cut to " << size;
  }
}

TEST(ExchangeWireTest, IndexesTravelWithTheirBlocks) {
  auto index = std::make_shared<BlockIndex>();
  index->buckets = BucketOffsets(std::vector<std::int64_t>{0, 2, 2, 7});
  index->keys = {"a", std::string("b\0c", 3)};
  index->stride = 64;
  event::BlockYielded yielded;
  yielded.block.info.num_rows = 7;
  yielded.block.info.index = index;
  WireWriter out;
  WriteEvent(yielded, &out);
  WireReader in(out.bytes());
  const auto back = std::get<event::BlockYielded>(ReadEvent(&in).ValueOrDie());
  ASSERT_NE(back.block.info.index, nullptr);
  EXPECT_EQ(*back.block.info.index, *index);
  WireWriter info;
  WriteBlockInfo(yielded.block.info, &info);
  WireReader info_in(info.bytes());
  EXPECT_EQ(*ReadBlockInfo(&info_in).ValueOrDie().index, *index);
}

TEST(ExchangeWireTest, SpilledComesBack) {
  event::ObjectsSpilled spilled{{ObjectId{1}, ObjectId{2}}, {ObjectId{2}}, std::nullopt};
  spilled.failure = Failure::FromStatus(FailureKind::kSystem, Status::IOError("full"));
  WireWriter out;
  WriteEvent(spilled, &out);
  WireReader in(out.bytes());
  const Event back = ReadEvent(&in).ValueOrDie();
  EXPECT_EQ(ToString(back), "spilled [o2] of [o1 o2] failed system: full");
  EXPECT_EQ(ToString(Action(action::SpillObjects{{ObjectId{3}}})), "spill [o3]");
}

TEST(ExchangeWireTest, OrdersShowRangesAndSides) {
  TaskOrder order;
  order.inputs = {ObjectId{1}, ObjectId{2}, ObjectId{3}};
  order.ranges = {{0, 5}, {3, -1}, {0, 0}};
  order.left_inputs = 2;
  const std::string text = ToString(Action(action::StartTask{{}, order}));
  EXPECT_NE(text.find("[o1[0,5) o2[3,) | o3[0,0)]"), std::string::npos) << text;
}

TEST(ExchangeText, AggregatesAsUsersWriteThem) {
  EXPECT_EQ(ToString(AggregateSpec{AggregateKind::kSum, "x", "", true, 0}), "sum(x)");
  EXPECT_EQ(ToString(AggregateSpec{}), "count()");
}

}  // namespace
}  // namespace headrace
