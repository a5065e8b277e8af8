#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#include "headrace/runtime/local/local_testing.h"
#include "headrace/runtime/local/template_protocol.h"
#include "headrace/runtime/store/arena.h"

// Worker processes, with this test's binary as the template: started again with an environment
// variable, it does what template_protocol.h says, and its functions are C++.

namespace headrace {
namespace {

using testing::Driver;
using testing::InputOrder;
using testing::Iota;
using testing::MakeTaskId;
using testing::NamedFunction;
using testing::NewProgram;
using testing::RangeProgram;
using testing::UnitOrder;

constexpr const char* kTemplateVariable = "HEADRACE_WORKER_TEST_TEMPLATE";

// ---- The functions --------------------------------------------------------------------------

Result<Batch> Number(const Batch& batch, std::int64_t value) {
  arrow::Int64Builder builder;
  for (std::int64_t i = 0; i < batch.block.num_rows(); ++i) {
    ARROW_RETURN_NOT_OK(builder.Append(value));
  }
  ARROW_ASSIGN_OR_RAISE(auto array, builder.Finish());
  Batch out = batch;
  out.block =
      Block(arrow::Table::Make(arrow::schema({arrow::field("id", arrow::int64())}), {array}));
  return out;
}

/// Does what its name says to each batch.
class NamedStream : public BatchStream {
 public:
  NamedStream(std::string name, std::unique_ptr<BatchStream> input, std::int64_t* calls)
      : name_(std::move(name)), input_(std::move(input)), calls_(calls) {}

  Result<std::optional<Batch>> Next() override {
    ARROW_ASSIGN_OR_RAISE(auto batch, input_->Next());
    if (!batch.has_value()) return batch;
    if (name_ == "pid") return Number(*batch, ::getpid());
    if (name_ == "exit") ::_exit(3);
    if (name_ == "kill") ::raise(SIGKILL);
    if (name_ == "hang" && std::exchange(called_, true)) {
      while (true) ::pause();
    }
    if (name_.starts_with('/') && std::exchange(called_, true)) {
      while (::access(name_.c_str(), F_OK) != 0) ::poll(nullptr, 0, 1);
    }
    if (name_ == "fail") return Status::Invalid("raised on purpose");
    if (name_ == "count") return Number(*batch, ++*calls_);
    if (name_ == "keep") {
      static std::vector<Batch> kept;
      kept.push_back(*batch);
    }
    if (name_ == "check kept") {
      static Batch kept = *batch;
      if (!kept.block.table()->ValidateFull().ok()) return Status::Invalid("overwritten");
      const auto& array =
          static_cast<const arrow::Int64Array&>(*kept.block.table()->column(0)->chunk(0));
      for (std::int64_t i = 0; i < array.length(); ++i) {
        if (array.Value(i) != i) return Status::Invalid("overwritten");
      }
    }
    return batch;
  }

 private:
  const std::string name_;
  std::unique_ptr<BatchStream> input_;
  std::int64_t* const calls_;
  bool called_ = false;
};

class NamedRunner : public FunctionRunner {
 public:
  explicit NamedRunner(std::string name) : name_(std::move(name)) {}
  Result<std::unique_ptr<BatchStream>> Run(std::unique_ptr<BatchStream> input, const TaskContext&,
                                           TaskStats*) override {
    return std::make_unique<NamedStream>(name_, std::move(input), &calls_);
  }

 private:
  const std::string name_;
  std::int64_t calls_ = 0;
};

class NamedFunctions : public FunctionRuntime {
 public:
  Result<std::shared_ptr<FunctionRunner>> Resolve(const FunctionPtr& function) override {
    if (*function->payload == "bad class") return Status::Invalid("the constructor raised");
    auto& runner = runners_[function->id];
    if (runner == nullptr) runner = std::make_shared<NamedRunner>(*function->payload);
    return runner;
  }
  Result<std::shared_ptr<arrow::fs::FileSystem>> ResolveFileSystem(
      const FileSystemRef& file_system) override {
    return Status::NotImplemented("file systems");
  }

 private:
  std::map<std::uint64_t, std::shared_ptr<FunctionRunner>> runners_;
};

// ---- The template ---------------------------------------------------------------------------

[[noreturn]] void BeWorker(int socket) {
  std::uint64_t size = 0;
  if (::read(socket, &size, sizeof size) != sizeof size) ::_exit(1);
  std::string setup(size, '\0');
  if (::read(socket, setup.data(), size) != static_cast<ssize_t>(size)) ::_exit(1);
  if (setup == "broken") ::_exit(7);
  NamedFunctions functions;
  ::_exit(RunWorker(socket, &functions));
}

void Reap(int control, std::set<pid_t>* workers) {
  int status;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    workers->erase(pid);
    const TemplateReply reply{kTemplateExit, pid, status};
    [[maybe_unused]] const ssize_t sent = ::send(control, &reply, sizeof reply, MSG_NOSIGNAL);
  }
}

[[noreturn]] void BeTemplate(int control) {
  std::signal(SIGINT, SIG_IGN);
  std::set<pid_t> workers;
  while (true) {
    pollfd polled{control, POLLIN, 0};
    ::poll(&polled, 1, 10);
    Reap(control, &workers);
    if (polled.revents == 0) continue;
    char kind = 0;
    iovec part{&kind, 1};
    alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary;
    message.msg_controllen = sizeof ancillary;
    if (::recvmsg(control, &message, 0) <= 0) break;
    int socket;
    std::memcpy(&socket, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof socket);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(control);
      BeWorker(socket);
    }
    ::close(socket);
    workers.insert(pid);
    const TemplateReply reply{kTemplateFork, pid, 0};
    [[maybe_unused]] const ssize_t sent = ::send(control, &reply, sizeof reply, MSG_NOSIGNAL);
  }
  for (pid_t worker : workers) ::kill(worker, SIGKILL);
  for (pid_t worker : workers) ::waitpid(worker, nullptr, 0);
  ::_exit(0);
}

class TemplateEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    if (std::getenv(kTemplateVariable) == nullptr) return;
    std::ifstream command_line("/proc/self/cmdline");
    std::string argument;
    std::string last;
    while (std::getline(command_line, argument, '\0')) last = argument;
    BeTemplate(std::stoi(last));
  }
};
const auto* const environment = ::testing::AddGlobalTestEnvironment(new TemplateEnvironment);

// ---- The tests ------------------------------------------------------------------------------

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() { Open(1); }
  ~WorkerTest() override {
    driver.reset();
    const std::vector<std::int64_t> pids = runtime->worker_pids();
    EXPECT_EQ(runtime->store().stats().objects, 0);
    runtime.reset();
    for (std::int64_t pid : pids) {
      EXPECT_TRUE(::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) << pid << " lives";
    }
  }

  void Open(int cpus) {
    driver.reset();
    LocalRuntimeOptions options;
    options.total.cpu_milli = 1000 * cpus;
    options.workers.template_command = {"/proc/self/exe"};
    options.workers.environment = {std::string(kTemplateVariable) + "=1"};
    runtime = LocalRuntime::Make(options).ValueOrDie();
    driver = std::make_unique<Driver>(runtime->NewBackend());
  }

  std::shared_ptr<TaskProgram> Program(const std::string& function, std::int64_t units,
                                       std::int64_t rows) {
    auto program = RangeProgram(Lane::kProcess, units, rows);
    program->steps.push_back(MapStep{NamedFunction(function, rows)});
    return program;
  }

  std::shared_ptr<LocalRuntime> runtime;
  std::unique_ptr<Driver> driver;
};

TEST_F(WorkerTest, RunsATaskInAnotherProcess) {
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(Program("pid", 4, 100), 1, 2));
  ASSERT_TRUE(driver->WaitForEnds(1));
  ASSERT_FALSE(driver->ended[MakeTaskId(0)].failure.has_value())
      << driver->ended[MakeTaskId(0)].failure->message;
  const auto values = driver->Values(MakeTaskId(0));
  ASSERT_EQ(values.size(), 200u);
  EXPECT_EQ(values[0], runtime->worker_pids().at(1));
  EXPECT_EQ(driver->blocks[MakeTaskId(0)].at(1).info.position.ToString(), "1.1");
  EXPECT_GT(driver->ended[MakeTaskId(0)].stats.peak_heap_bytes, 0);
}

TEST_F(WorkerTest, ParksAndGoesOn) {
  TaskOrder order = UnitOrder(Program("identity", 4, 100), 0, 4);
  order.credit_bytes = 1;
  const TaskId id = MakeTaskId(0);
  driver->backend->StartTask(id, order);
  ASSERT_TRUE(driver->WaitFor([&] { return driver->parked.contains(id); }));
  // While it waits the worker is free for another.
  driver->backend->StartTask(MakeTaskId(1), UnitOrder(order.program, 0, 4));
  ASSERT_TRUE(driver->WaitForEnds(1));
  EXPECT_EQ(runtime->worker_pids().size(), 2u);
  EXPECT_EQ(driver->blocks[id].size(), 1u);
  driver->backend->GrantCredit(id, 801);
  ASSERT_TRUE(driver->WaitFor([&] { return driver->parked[id] == 801; }));
  EXPECT_EQ(driver->blocks[id].size(), 2u);
  driver->backend->GrantCredit(id, 1'000'000);
  ASSERT_TRUE(driver->WaitForEnds(2));
  EXPECT_EQ(driver->Values(id), Iota(0, 400));
}

TEST_F(WorkerTest, BlocksCrossBetweenHeapWorkersAndDisk) {
  Open(2);
  auto first = RangeProgram(Lane::kThread, 4, 1000);
  auto second = NewProgram(Lane::kProcess);
  second->steps.push_back(MapStep{NamedFunction("identity", 1000)});
  for (std::uint32_t i = 0; i < 4; ++i) {
    driver->backend->StartTask(MakeTaskId(i), UnitOrder(first, i, 1));
  }
  ASSERT_TRUE(driver->WaitForEnds(4));
  ASSERT_TRUE(runtime->store().Spill(8000).ok());
  std::uint64_t next = 4;
  for (int hop = 0; hop < 3; ++hop) {
    const std::uint64_t from = next - 4;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const BlockHandle block = driver->blocks[MakeTaskId(from + i)].at(0);
      driver->backend->StartTask(MakeTaskId(next + i), InputOrder(second, block));
    }
    next += 4;
    ASSERT_TRUE(driver->WaitForEnds(next));
  }
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(driver->Values(MakeTaskId(next - 4 + i)), Iota(i * 1000, i * 1000 + 1000));
  }
  EXPECT_GT(runtime->store().stats().restored_bytes_total, 0);
}

TEST_F(WorkerTest, ManySmallTasks) {
  Open(2);
  auto program = Program("identity", 1000, 5);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    driver->backend->StartTask(MakeTaskId(i), UnitOrder(program, i, 1));
  }
  ASSERT_TRUE(driver->WaitForEnds(1000));
  for (std::int64_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(driver->Values(MakeTaskId(i)), Iota(i * 5, i * 5 + 5));
  }
  EXPECT_LE(runtime->worker_pids().size(), 3u);
}

TEST_F(WorkerTest, ReportsAFailure) {
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(Program("fail", 1, 10), 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(1));
  const Failure& failure = *driver->ended[MakeTaskId(0)].failure;
  EXPECT_EQ(failure.kind, FailureKind::kUserError);
  EXPECT_NE(failure.message.find("raised on purpose"), std::string::npos);
}

TEST_F(WorkerTest, ADeadWorkerLosesItsTasksAndKeepsItsBlocks) {
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(Program("identity", 1, 100), 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(1));
  driver->backend->StartTask(MakeTaskId(1), UnitOrder(Program("exit", 1, 100), 0, 1));
  driver->backend->StartTask(MakeTaskId(2), UnitOrder(Program("kill", 1, 100), 0, 1));
  driver->backend->StartTask(MakeTaskId(3), UnitOrder(Program("identity", 1, 100), 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(4));
  const Failure& exited = *driver->ended[MakeTaskId(1)].failure;
  EXPECT_EQ(exited.kind, FailureKind::kWorkerLost);
  EXPECT_NE(exited.message.find("exited with status 3"), std::string::npos) << exited.message;
  const Failure& killed = *driver->ended[MakeTaskId(2)].failure;
  EXPECT_EQ(killed.kind, FailureKind::kWorkerLost);
  EXPECT_NE(killed.message.find("signal 9"), std::string::npos) << killed.message;
  EXPECT_FALSE(driver->ended[MakeTaskId(3)].failure.has_value());
  EXPECT_EQ(driver->Values(MakeTaskId(0)), Iota(0, 100));
}

TEST_F(WorkerTest, AHangingTaskIsKilledSoonAfterItsCancel) {
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(Program("hang", 2, 100), 0, 2));
  ASSERT_TRUE(driver->WaitFor([&] { return !driver->blocks.empty(); }));
  const auto start = std::chrono::steady_clock::now();
  driver->backend->CancelTask(MakeTaskId(0));
  ASSERT_TRUE(driver->WaitForEnds(1));
  EXPECT_EQ(driver->ended[MakeTaskId(0)].failure->kind, FailureKind::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST_F(WorkerTest, ACancelledTaskThatWaitsCostsTheRunningOneNothing) {
  Open(1);
  TaskOrder parks = UnitOrder(Program("identity", 2, 100), 0, 2);
  parks.credit_bytes = 1;
  driver->backend->StartTask(MakeTaskId(0), parks);
  ASSERT_TRUE(driver->WaitFor([&] { return driver->parked.contains(MakeTaskId(0)); }));
  // Its second batch waits for a file of this name.
  std::string gate = ::testing::TempDir() + "worker-test-XXXXXX";
  ASSERT_NE(::mkdtemp(gate.data()), nullptr);
  const std::string file = gate + "/open";
  driver->backend->StartTask(MakeTaskId(1), UnitOrder(Program(file, 2, 100), 0, 2));
  ASSERT_TRUE(driver->WaitFor([&] { return driver->blocks.contains(MakeTaskId(1)); }));
  driver->backend->CancelTask(MakeTaskId(0));
  EXPECT_TRUE(driver->WaitForEnds(1));
  EXPECT_TRUE(driver->ended.contains(MakeTaskId(0)));
  EXPECT_EQ(driver->ended[MakeTaskId(0)].failure->kind, FailureKind::kCancelled);
  std::ofstream(file) << "";
  ASSERT_TRUE(driver->WaitForEnds(2));
  const auto& failure = driver->ended[MakeTaskId(1)].failure;
  EXPECT_FALSE(failure.has_value()) << failure->message;
  EXPECT_EQ(driver->Values(MakeTaskId(1)), Iota(0, 200));
  ::unlink(file.c_str());
  ::rmdir(gate.c_str());
}

TEST_F(WorkerTest, ABackendThatIsDestroyedEndsWhatHangs) {
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(Program("hang", 2, 100), 0, 2));
  ASSERT_TRUE(driver->WaitFor([&] { return !driver->blocks.empty(); }));
  driver->backend.reset();
  driver->backend = runtime->NewBackend();
}

TEST_F(WorkerTest, ActorsKeepTheirInstance) {
  auto program = RangeProgram(Lane::kProcess, 3, 2);
  program->steps.push_back(MapStep{NamedFunction("count", 2, true)});
  const ActorId actor{OperatorId{0}, 0};
  driver->backend->StartActor(actor, {program, {}});
  ASSERT_TRUE(driver->WaitFor([&] { return driver->ready.size() == 1; }));
  for (std::uint32_t i = 0; i < 3; ++i) {
    TaskOrder order = UnitOrder(program, i, 1);
    order.actor = actor;
    driver->backend->StartTask(MakeTaskId(i), order);
  }
  ASSERT_TRUE(driver->WaitForEnds(3));
  EXPECT_EQ(driver->Values(MakeTaskId(2)), (std::vector<std::int64_t>{3, 3}));
  driver->backend->StopActor(actor);
  ASSERT_TRUE(driver->WaitFor([&] { return runtime->worker_pids().size() == 1; }));
  EXPECT_TRUE(driver->lost.empty());
}

TEST_F(WorkerTest, AnActorThatCannotStartOrDiesIsLost) {
  auto bad = RangeProgram(Lane::kProcess, 1, 2);
  bad->steps.push_back(MapStep{NamedFunction("bad class", 2, true)});
  driver->backend->StartActor({OperatorId{0}, 0}, {bad, {}});
  ASSERT_TRUE(driver->WaitFor([&] { return driver->lost.size() == 1; }));
  EXPECT_NE(driver->lost[0].failure.message.find("constructor raised"), std::string::npos);
  auto program = RangeProgram(Lane::kProcess, 1, 2);
  program->steps.push_back(MapStep{NamedFunction("exit", 2, true)});
  const ActorId actor{OperatorId{0}, 1};
  driver->backend->StartActor(actor, {program, {}});
  TaskOrder order = UnitOrder(program, 0, 1);
  order.actor = actor;
  driver->backend->StartTask(MakeTaskId(0), order);
  ASSERT_TRUE(
      driver->WaitFor([&] { return driver->lost.size() == 2 && driver->ended.size() == 1; }));
  EXPECT_EQ(driver->lost[1].failure.kind, FailureKind::kWorkerLost);
  EXPECT_EQ(driver->ended[MakeTaskId(0)].failure->kind, FailureKind::kWorkerLost);
}

TEST_F(WorkerTest, WorkersThatCannotStartFailTheTask) {
  runtime->SetWorkerSetup("broken");
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(Program("identity", 1, 10), 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(1));
  const Failure& failure = *driver->ended[MakeTaskId(0)].failure;
  EXPECT_EQ(failure.kind, FailureKind::kSystem);
  EXPECT_NE(failure.message.find("exited with status 7"), std::string::npos) << failure.message;
  runtime->SetWorkerSetup("good again");
  driver->backend->StartTask(MakeTaskId(1), UnitOrder(Program("identity", 1, 10), 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(2));
  EXPECT_EQ(driver->Values(MakeTaskId(1)), Iota(0, 10));
}

TEST_F(WorkerTest, AKilledTemplateIsStartedAgain) {
  auto program = Program("identity", 1, 10);
  driver->backend->StartTask(MakeTaskId(0), UnitOrder(program, 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(1));
  ::kill(static_cast<pid_t>(runtime->worker_pids().at(0)), SIGKILL);
  ASSERT_TRUE(driver->WaitFor([&] { return runtime->worker_pids().empty(); }));
  driver->backend->StartTask(MakeTaskId(1), UnitOrder(program, 0, 1));
  ASSERT_TRUE(driver->WaitForEnds(2));
  EXPECT_EQ(driver->Values(MakeTaskId(1)), Iota(0, 10));
}

TEST_F(WorkerTest, InputsThatAFunctionKeepsStayAsTheyAre) {
  auto source = RangeProgram(Lane::kThread, 1, 10'000);
  source->shared_output = true;
  auto keep = NewProgram(Lane::kProcess);
  keep->steps.push_back(MapStep{NamedFunction("check kept", 10'000)});
  for (std::uint64_t round = 0; round < 5; ++round) {
    driver->backend->StartTask(MakeTaskId(2 * round), UnitOrder(source, 0, 1));
    ASSERT_TRUE(driver->WaitForEnds(2 * round + 1));
    const BlockHandle block = driver->blocks[MakeTaskId(2 * round)].at(0);
    driver->backend->StartTask(MakeTaskId(2 * round + 1), InputOrder(keep, block));
    ASSERT_TRUE(driver->WaitForEnds(2 * round + 2));
    driver->backend->Release(std::vector{block.object});
    const auto& failure = driver->ended[MakeTaskId(2 * round + 1)].failure;
    EXPECT_FALSE(failure.has_value()) << failure->message;
  }
}

TEST_F(WorkerTest, ReleasedBlocksFreeTheWorkersMemory) {
  // 200 tasks of 8 MB: far more than a worker could keep unnoticed.
  auto program = RangeProgram(Lane::kProcess, 200, 1'000'000);
  program->steps.push_back(MapStep{NamedFunction("identity", 0)});
  for (std::uint32_t i = 0; i < 200; ++i) {
    driver->backend->StartTask(MakeTaskId(i), UnitOrder(program, i, 1));
    ASSERT_TRUE(driver->WaitForEnds(i + 1));
    for (const BlockHandle& block : driver->blocks[MakeTaskId(i)]) {
      driver->backend->Release(std::vector{block.object});
    }
  }
  std::ifstream status("/proc/" + std::to_string(runtime->worker_pids().at(1)) + "/status");
  std::string line;
  std::int64_t shared_kb = 0;
  while (std::getline(status, line)) {
    if (line.rfind("RssShmem:", 0) == 0) shared_kb = std::stoll(line.substr(9));
  }
  EXPECT_GT(shared_kb, 0);
  EXPECT_LT(shared_kb, 300'000);
}

}  // namespace
}  // namespace headrace
