#include "headrace/protocol/event.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "headrace/base/wire.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

constexpr TaskId kTask{{1}, 0, 4};
constexpr TaskId kRetry{{2}, 1, 17};

BlockInfo SampleInfo() {
  BlockInfo info;
  info.num_rows = 100;
  info.num_bytes = 800;
  info.position = {{4, 0}};
  info.schema = arrow::schema({arrow::field("a", arrow::list(arrow::utf8()))});
  info.input_files =
      std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"/a", "/b"});
  return info;
}

Failure SampleFailure() {
  return {FailureKind::kUserError,
          arrow::StatusCode::KeyError,
          "no key\nmore",
          "at row 3",
          "File f.py",
          std::make_shared<const std::string>("pickled")};
}

std::vector<Event> Samples() {
  return {
      event::BlockYielded{kTask, 3, {{17}, SampleInfo()}},
      event::TaskParked{kTask, 1000},
      event::TaskEnded{kTask, std::nullopt, {1, 2, 3, 4, 5, 6, 7, {"a"}}},
      event::TaskEnded{kRetry, SampleFailure(), {}},
      event::ActorReady{{{3}, 7}, 1 << 20},
      event::ActorLost{{{3}, 7}, SampleFailure(), 5},
      event::OutputWanted{1, 2},
      event::OutputConsumed{0, 4096},
      event::CapacityChanged{
          {.cpu_milli = 1500, .gpu_milli = 1, .memory_bytes = 2, .custom_milli = {{"TPU", 2000}}}},
      event::TimePassed{},
      event::StopRequested{},
      event::MemoryMeasured{-5, 100, {{kTask, 60}, {kRetry, 40}}}};
}

std::string Bytes(const Event& event) {
  WireWriter out;
  WriteEvent(event, &out);
  return out.Take();
}

TEST(EventTest, EveryEventComesBack) {
  for (const Event& event : Samples()) {
    const std::string bytes = Bytes(event);
    WireReader in(bytes);
    auto back = ReadEvent(&in);
    ASSERT_TRUE(back.ok()) << ToString(event);
    EXPECT_TRUE(in.Finish().ok());
    EXPECT_EQ(back->index(), event.index());
    EXPECT_EQ(ToString(*back), ToString(event));
    EXPECT_EQ(Bytes(*back), bytes);
  }
}

TEST(EventTest, YieldComesBackWithoutSchema) {
  const std::string bytes = Bytes(Samples().front());
  WireReader in(bytes);
  const auto yielded = std::get<event::BlockYielded>(ReadEvent(&in).ValueOrDie());
  EXPECT_EQ(yielded.task, kTask);
  EXPECT_EQ(yielded.index, 3u);
  EXPECT_EQ(yielded.block.object, ObjectId{17});
  EXPECT_EQ(yielded.block.info.position, (Position{{4, 0}}));
  EXPECT_EQ(yielded.block.info.schema, nullptr);
  EXPECT_EQ(*yielded.block.info.input_files, (std::vector<std::string>{"/a", "/b"}));
}

TEST(EventTest, EveryPrefixAndUnknownTagIsAnError) {
  for (const Event& event : Samples()) {
    const std::string bytes = Bytes(event);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      WireReader in(std::string_view(bytes).substr(0, size));
      EXPECT_FALSE(ReadEvent(&in).ok()) << ToString(event) << " cut to " << size;
    }
  }
  const std::string unknown = "\x2a";
  WireReader in(unknown);
  EXPECT_FALSE(ReadEvent(&in).ok());
}

TEST(EventTest, BlockInfoComesBackWithItsSchema) {
  const BlockInfo info = SampleInfo();
  WireWriter out;
  WriteBlockInfo(info, &out);
  WriteBlockInfo(info, &out);
  WriteBlockInfo(BlockInfo(), &out);
  const std::string bytes = out.Take();
  WireReader in(bytes);
  auto first = ReadBlockInfo(&in).ValueOrDie();
  auto second = ReadBlockInfo(&in).ValueOrDie();
  auto empty = ReadBlockInfo(&in).ValueOrDie();
  ASSERT_TRUE(in.Finish().ok());
  EXPECT_EQ(first.num_rows, 100);
  EXPECT_EQ(first.num_bytes, 800);
  EXPECT_EQ(first.position, info.position);
  EXPECT_TRUE(first.schema->Equals(*info.schema));
  EXPECT_EQ(*first.input_files, *info.input_files);
  EXPECT_EQ(first.schema, second.schema) << "equal schemas should be one object";
  EXPECT_EQ(empty.schema, nullptr);
  EXPECT_EQ(empty.input_files, nullptr);
}

TEST(EventTest, ManySchemasDoNotMixUp) {
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 20; ++i) {
      BlockInfo info;
      info.schema = arrow::schema({arrow::field("c" + std::to_string(i), arrow::int64())});
      WireWriter out;
      WriteBlockInfo(info, &out);
      WireReader in(out.bytes());
      EXPECT_TRUE(ReadBlockInfo(&in).ValueOrDie().schema->Equals(*info.schema));
    }
  }
}

TEST(EventTest, BlockInfoPrefixIsAnError) {
  WireWriter out;
  WriteBlockInfo(SampleInfo(), &out);
  const std::string bytes = out.Take();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    WireReader in(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(ReadBlockInfo(&in).ok()) << "cut to " << size;
  }
}

TEST(EventTest, FailureAndStatsComeBackOrAreBad) {
  WireWriter out;
  WriteFailure(SampleFailure(), &out);
  WriteTaskStats({1, 2, 3, 4, 5, 6, 7, {"a", "b"}}, &out);
  const std::string bytes = out.Take();
  WireReader in(bytes);
  const Failure failure = ReadFailure(&in);
  const TaskStats stats = ReadTaskStats(&in);
  ASSERT_TRUE(in.Finish().ok());
  EXPECT_EQ(failure.kind, FailureKind::kUserError);
  EXPECT_EQ(failure.code, arrow::StatusCode::KeyError);
  EXPECT_EQ(failure.message, "no key\nmore");
  EXPECT_EQ(failure.context, "at row 3");
  EXPECT_EQ(failure.traceback, "File f.py");
  EXPECT_EQ(*failure.exception, "pickled");
  EXPECT_EQ(stats.wall_nanos, 1);
  EXPECT_EQ(stats.cpu_nanos, 2);
  EXPECT_EQ(stats.function_nanos, 3);
  EXPECT_EQ(stats.rows_in, 4);
  EXPECT_EQ(stats.peak_heap_bytes, 5);
  EXPECT_EQ(stats.errored_rows, 6);
  EXPECT_EQ(stats.letter_rows, 7);
  EXPECT_EQ(stats.letters, (std::vector<std::string>{"a", "b"}));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    WireReader cut(std::string_view(bytes).substr(0, size));
    (void)ReadFailure(&cut);
    (void)ReadTaskStats(&cut);
    EXPECT_TRUE(cut.bad()) << "cut to " << size;
  }
}

TEST(EventTest, FailureKeepsTheStatus) {
  const auto failure =
      Failure::FromStatus(FailureKind::kDataError, Status::IOError("gone"), "f.csv");
  EXPECT_EQ(failure.kind, FailureKind::kDataError);
  EXPECT_EQ(failure.message, "gone");
  EXPECT_TRUE(failure.ToStatus().IsIOError());
  EXPECT_EQ(failure.ToStatus().message(), "gone\nf.csv");
  Failure none;
  none.code = arrow::StatusCode::OK;
  EXPECT_FALSE(none.ToStatus().ok());
}

TEST(EventTest, TranscriptLines) {
  std::string lines;
  for (const Event& event : Samples()) lines += ToString(event) + "\n";
  EXPECT_EQ(lines,
            "yield 1#4 [3] o17 rows=100 bytes=800 at 4.0\n"
            "park 1#4 credit=1000\n"
            "end 1#4\n"
            "end 2#17.1 failed user_error: no key\n"
            "actor ready 3@7 heap=1048576\n"
            "actor lost 3@7 user_error: no key heap=5\n"
            "want output 1 blocks=2\n"
            "consumed output 0 bytes=4096\n"
            "capacity cpu=1.5 gpu=0.001 memory=2 TPU=2\n"
            "time\n"
            "stop\n"
            "memory free=-5 heap=100, 1#4 heap=60, 2#17.1 heap=40\n");
}

TEST(EventTest, ActionLines) {
  auto program = std::make_shared<TaskProgram>();
  program->name = "Map(f)";
  TaskOrder order;
  order.program = program;
  order.inputs = {{1}, {2}};
  order.units = {0, 3};
  order.position = {{5}};
  order.cost = {.cpu_milli = 1000};
  order.actor = ActorId{{2}, 1};
  order.credit_bytes = 64;
  order.skip_outputs = 2;
  const std::vector<Action> actions = {action::StartTask{kTask, order},
                                       action::GrantCredit{kTask, 128},
                                       action::CancelTask{kTask},
                                       action::StartActor{{{2}, 1}, {program, {.gpu_milli = 500}}},
                                       action::StopActor{{{2}, 1}},
                                       action::ReleaseObjects{{{1}, {2}}},
                                       action::DeliverOutput{0, {{{17}, SampleInfo()}}},
                                       action::Finish{},
                                       action::Finish{SampleFailure()}};
  std::string lines;
  for (const Action& action : actions) lines += ToString(action) + "\n";
  EXPECT_EQ(lines,
            "start 1#4 Map(f) units [0 3] inputs [o1 o2] at 5 cost cpu=1 actor 2@1 credit=64 "
            "skip=2\n"
            "grant 1#4 credit=128\n"
            "cancel 1#4\n"
            "start actor 2@1 Map(f) cost gpu=0.5\n"
            "stop actor 2@1\n"
            "release [o1 o2]\n"
            "deliver output 0 o17 rows=100 bytes=800 at 4.0\n"
            "finish\n"
            "finish failed user_error: no key\n");
}

}  // namespace
}  // namespace headrace
