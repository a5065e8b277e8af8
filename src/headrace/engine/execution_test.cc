#include "headrace/engine/execution.h"

#include <arrow/api.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>

#include "headrace/data/read/source.h"
#include "headrace/engine/dataset.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/store/object_store.h"

namespace headrace {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kStoreBytes = 4 << 20;
constexpr std::int64_t kRows = 4 << 20;  // Of eight bytes: eight times the store.

class ExecutionTest : public ::testing::Test {
 protected:
  ExecutionTest() {
    std::string pattern = fs::temp_directory_path() / "execution-test-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ExecutionTest() override { fs::remove_all(directory_); }

  static std::shared_ptr<Session> MakeSession(const std::string& spill_directory) {
    LocalRuntimeOptions options;
    options.total.cpu_milli = 2000;
    options.object_store_bytes = kStoreBytes;
    options.spill_directory = spill_directory;
    return Session::Make(std::move(options)).ValueOrDie();
  }
  static std::unique_ptr<Execution> StartRange(Session& session) {
    logical::Read read;
    read.source = MakeRangeSource(kRows);
    read.parallelism = 64;
    return session.Execute(LogicalOperator::Make(std::move(read)), {}).ValueOrDie();
  }

  std::string directory_;
};

TEST_F(ExecutionTest, WhatIsKeptAboveTheStoresSizeGoesToDisk) {
  auto session = MakeSession(directory_);
  ObjectStore& store = session->runtime().store();
  auto execution = StartRange(*session);
  const logical::InputData kept = session->Keep(*execution).ValueOrDie();
  EXPECT_GT(store.stats().spilled_bytes, kRows * 8 / 4);
  std::int64_t next = 0;
  for (const BlockHandle& handle : kept.blocks) {
    auto table = session->storage()->Get(handle.object).ValueOrDie().table();
    const auto& ids = static_cast<const arrow::Int64Array&>(*table->column(0)->chunk(0));
    EXPECT_EQ(ids.Value(0), next);
    next += table->num_rows();
  }
  EXPECT_EQ(next, kRows);
}

TEST_F(ExecutionTest, ADiskThatTakesNothingFailsTheRun) {
  const std::string file = directory_ + "/file";
  std::ofstream(file) << "not a directory";
  auto session = MakeSession(file);
  auto execution = StartRange(*session);
  const Status status = session->Keep(*execution).status();
  EXPECT_TRUE(status.IsIOError()) << status;
  EXPECT_NE(status.message().find(file), std::string::npos) << status;
  execution.reset();
  EXPECT_EQ(session->runtime().store().stats().objects, 0);
}

TEST_F(ExecutionTest, FreeingABlockMayWaitForSomebodyWhoAsksForASnapshot) {
  auto session = MakeSession(directory_);
  std::atomic<Execution*> running{nullptr};
  std::atomic<int> answered{0};
  const auto table =
      arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}),
                         {arrow::MakeArrayFromScalar(arrow::Int64Scalar(1), 10).ValueOrDie()});
  // Stands for a block whose memory is Python's.
  std::shared_ptr<arrow::Table> python(table.get(), [&, table](arrow::Table*) {
    Execution* execution = running.load();
    if (execution == nullptr) return;
    auto snapshot = std::async(std::launch::async, [&] { return execution->Snapshot(); });
    if (snapshot.wait_for(std::chrono::seconds(10)) == std::future_status::ready) ++answered;
  });
  auto input = session->Store({Block(std::move(python))}).ValueOrDie();
  logical::Filter filter{(Col("x") > 0).expr(), {}};
  auto execution =
      session->Execute(LogicalOperator::Make(std::move(filter), {LogicalOperator::Make(input)}), {})
          .ValueOrDie();
  running = execution.get();
  input = {};  // The run's is the last reference.
  while (auto block = execution->Next().ValueOrDie()) {
    execution->backend().Release({&block->object, 1});
  }
  running = nullptr;
  EXPECT_EQ(answered, 1);
}

}  // namespace
}  // namespace headrace
