#include "headrace/runtime/local/worker_link.h"

#include <arrow/type.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace headrace {
namespace {

class WorkerLinkTest : public ::testing::Test {
 protected:
  WorkerLinkTest() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_), 0); }
  ~WorkerLinkTest() override {
    for (int socket : sockets_) ::close(socket);
  }

  /// Sends what is in `out_` and calls `visit` with each frame that arrives.
  template <class Visit>
  void Cross(Visit visit) {
    bool sent = false;
    while (!sent) {
      sent = out_.Flush(sockets_[0], /*wait=*/false).ValueOrDie();
      while (in_.FillFrom(sockets_[1]) == FrameReceiver::Fill::kSome) {
        while (auto frame = in_.Next()) visit(*frame);
      }
    }
  }

  int sockets_[2];
  FrameSender out_;
  FrameReceiver in_;
};

TEST_F(WorkerLinkTest, OldSchemasAreForgottenOnBothSides) {
  SchemaSender sender;
  SchemaReceiver receiver;
  for (int i = 0; i < 17'000; ++i) {
    const auto schema = arrow::schema({arrow::field("x" + std::to_string(i), arrow::int64())});
    const std::uint32_t number = sender.NumberOf(schema, &out_).ValueOrDie();
    EXPECT_EQ(sender.NumberOf(schema, &out_).ValueOrDie(), number);
    int frames = 0;
    Cross([&](const Frame& frame) {
      ++frames;
      EXPECT_TRUE(receiver.Add(frame.payload, nullptr).ok());
    });
    ASSERT_EQ(frames, 1);
    ASSERT_TRUE(receiver.Find(number)->Equals(*schema));
  }
  EXPECT_EQ(receiver.Find(0), nullptr);
  EXPECT_NE(receiver.Find(16'000), nullptr);
}

TEST_F(WorkerLinkTest, SchemasThatTakeTurnsGoOverOnce) {
  SchemaSender sender;
  const auto a = [] { return arrow::schema({arrow::field("a", arrow::int64())}); };
  const auto b = [] { return arrow::schema({arrow::field("b", arrow::utf8())}); };
  int frames = 0;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(sender.NumberOf(a(), &out_).ValueOrDie(), 0u);
    EXPECT_EQ(sender.NumberOf(b(), &out_).ValueOrDie(), 1u);
    Cross([&](const Frame&) { ++frames; });
  }
  EXPECT_EQ(frames, 2);
}

TEST_F(WorkerLinkTest, AFrameLargerThanTheSocketArrivesWhole) {
  for (const std::size_t size : {std::size_t{20} << 20, std::size_t{1}}) {
    const std::string payload(size, 'x');
    out_.Add(Message::kProgram, payload);
    int frames = 0;
    Cross([&](const Frame& frame) {
      ++frames;
      EXPECT_TRUE(frame.payload == payload);
    });
    EXPECT_EQ(frames, 1);
    EXPECT_EQ(out_.size(), 0u);
  }
}

}  // namespace
}  // namespace headrace
