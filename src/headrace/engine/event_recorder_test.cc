#include "headrace/engine/event_recorder.h"

#include <arrow/table.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "headrace/engine/dataset.h"

namespace headrace {
namespace {

/// Lets one task run at a time, and keeps the most that it saw running.
class OneAtATime final : public BackpressurePolicy {
 public:
  explicit OneAtATime(std::int64_t* most) : most_(most) {}
  std::string_view name() const override { return "one at a time"; }
  WaitReason MayStart(OperatorId op, const AccountView& view) const override {
    const std::int64_t running = view.operators[static_cast<std::size_t>(op.value)].tasks_running;
    *most_ = std::max(*most_, running);
    return running == 0 ? WaitReason::kNone : WaitReason::kPolicy;
  }

 private:
  std::int64_t* most_;
};

class EventRecorderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("headrace_recorder_" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path folder_;
};

TEST_F(EventRecorderTest, ARunWithAPolicyIsRecordedAndReplays) {
  std::int64_t most = 0;
  ExecutionOptions options;
  options.event_log_path = (folder_ / "run.log").string();
  options.policies.emplace_back(
      [&most](const PhysicalPlan&) { return std::make_unique<OneAtATime>(&most); });
  auto ids = *Dataset::Range(1000, 20);
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ((*ids.WithOptions(options).ToTable())->num_rows(), 1000);
  }
  EXPECT_LE(most, 1);
  for (const char* name : {"run.log", "run.2.log"}) {
    auto log = ParseEventLog(Read(name));
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_EQ(log->cut, "");
    EXPECT_EQ(log->policies, std::vector<std::string>{"one at a time"});
    EXPECT_EQ(Replay(*log), Status::OK());
  }
}

TEST_F(EventRecorderTest, AFolderThatIsNotThereFailsTheRun) {
  ExecutionOptions options;
  options.event_log_path = (folder_ / "none" / "run.log").string();
  const Status status = Dataset::Range(10)->WithOptions(options).ToTable().status();
  EXPECT_NE(status.message().find("cannot write the event log"), std::string::npos) << status;
}

}  // namespace
}  // namespace headrace
