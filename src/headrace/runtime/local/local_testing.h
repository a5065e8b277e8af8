#pragma once

#include <arrow/api.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "headrace/data/read/source.h"
#include "headrace/data/transform/function.h"
#include "headrace/protocol/program.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/local/local_runtime.h"
#include "headrace/runtime/store/object_store.h"

// What the tests of this folder share.

namespace headrace::testing {

/// Waits until all other threads of the process sleep. Who forks while one runs may copy a lock
/// that it holds, which the child then finds taken for ever: glibc's malloc sees to that, the
/// allocator of g++ 12's AddressSanitizer does not.
inline void AwaitSleepOfOthers() {
  const std::string self = std::to_string(::gettid());
  const auto sleeps = [&](const std::filesystem::path& thread) {
    std::ifstream file(thread / "stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    const std::size_t name_end = stat.rfind(')');                       // "tid (name) state ..."
    return name_end == std::string::npos || stat[name_end + 2] == 'S';  // Or it has ended.
  };
  for (bool quiet = false; !quiet; ::sched_yield()) {
    quiet = true;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
      quiet = quiet && (thread.path().filename() == self || sleeps(thread.path()));
    }
  }
}

/// A program under construction; ids are unique in the process.
inline std::shared_ptr<TaskProgram> NewProgram(Lane lane) {
  static std::uint64_t next_id = 1;
  auto program = std::make_shared<TaskProgram>();
  program->id = next_id++;
  program->name = "Test";
  program->lane = lane;
  return program;
}

/// Reads `units` units of `rows_per_unit` rows each, "id" from 0; each unit is an output block.
inline std::shared_ptr<TaskProgram> RangeProgram(Lane lane, std::int64_t units,
                                                 std::int64_t rows_per_unit) {
  auto program = NewProgram(lane);
  auto source = std::make_shared<ReadSource>(*MakeRangeSource(units * rows_per_unit, {}, units));
  // Of one path, neighbours would be read as one.
  for (ReadUnit& unit : source->units) unit.path = std::to_string(unit.begin);
  program->steps.push_back(ReadStep{std::move(source), {}, nullptr, -1});
  program->shape.shape = false;
  return program;
}

/// A function that the test's FunctionRuntime knows by its name.
inline FunctionPtr NamedFunction(const std::string& name, std::int64_t batch_rows,
                                 bool is_class = false) {
  static std::uint64_t next_id = 1;
  FunctionSpec function;
  function.id = next_id++;
  function.name = name;
  function.is_class = is_class;
  function.batch_rows = batch_rows;
  function.payload = std::make_shared<const std::string>(name);
  return std::make_shared<const FunctionSpec>(std::move(function));
}

inline FunctionPtr Native(NativeFunction::BatchFunction body) {
  FunctionSpec function;
  function.name = "native";
  function.native = std::make_shared<const NativeFunction>(std::move(body));
  return std::make_shared<const FunctionSpec>(std::move(function));
}

inline TaskId MakeTaskId(std::uint64_t ordinal) { return {OperatorId{0}, 0, ordinal}; }

/// An order of read units [first, first + count) with credit for everything.
inline TaskOrder UnitOrder(ProgramPtr program, std::uint32_t first, std::uint32_t count) {
  TaskOrder order;
  order.program = std::move(program);
  for (std::uint32_t i = 0; i < count; ++i) order.units.push_back(first + i);
  order.position.path = {first};
  order.credit_bytes = INT64_MAX;
  order.cost.cpu_milli = 1000;
  return order;
}

inline TaskOrder InputOrder(ProgramPtr program, const BlockHandle& input) {
  TaskOrder order;
  order.program = std::move(program);
  order.inputs = {input.object};
  order.position = input.info.position;
  order.credit_bytes = INT64_MAX;
  order.cost.cpu_milli = 1000;
  return order;
}

/// Drives a backend and keeps what it reported.
class Driver {
 public:
  explicit Driver(std::unique_ptr<Backend> backend) : backend(std::move(backend)) {}

  /// Waits until `done` holds; false after 20 s.
  template <class Predicate>
  bool WaitFor(Predicate done) {
    const Instant deadline = backend->Now() + Duration::Seconds(20);
    while (!done()) {
      if (backend->Now() >= deadline) return false;
      const std::size_t first = events.size();
      std::vector<Event> fresh;
      // Not all that a test waits for comes as an event.
      backend->Wait(backend->Now() + Duration::Millis(5), &fresh);
      events.insert(events.end(), fresh.begin(), fresh.end());
      for (std::size_t i = first; i < events.size(); ++i) Note(events[i]);
    }
    return true;
  }
  bool WaitForEnds(std::size_t count) {
    return WaitFor([&] { return ended.size() >= count; });
  }

  /// Values of column `name` of the outputs of `task`, in order.
  std::vector<std::int64_t> Values(TaskId task, const std::string& name = "id") {
    std::vector<std::int64_t> values;
    for (const BlockHandle& block : blocks[task]) {
      const auto table = backend->Get(block.object).ValueOrDie().table();
      EXPECT_TRUE(table->ValidateFull().ok());
      for (const auto& chunk : table->GetColumnByName(name)->chunks()) {
        const auto& array = static_cast<const arrow::Int64Array&>(*chunk);
        for (std::int64_t i = 0; i < array.length(); ++i) values.push_back(array.Value(i));
      }
    }
    return values;
  }

  std::unique_ptr<Backend> backend;
  std::vector<Event> events;
  std::map<TaskId, std::vector<BlockHandle>> blocks;
  std::map<TaskId, event::TaskEnded> ended;
  std::map<TaskId, std::int64_t> parked;  // Credit of the latest.
  std::vector<ActorId> ready;
  std::vector<event::ActorLost> lost;

 private:
  void Note(const Event& event) {
    if (const auto* yielded = std::get_if<event::BlockYielded>(&event)) {
      EXPECT_EQ(yielded->index, blocks[yielded->task].size() + skipped);
      EXPECT_FALSE(ended.contains(yielded->task));
      blocks[yielded->task].push_back(yielded->block);
    } else if (const auto* end = std::get_if<event::TaskEnded>(&event)) {
      EXPECT_TRUE(ended.emplace(end->task, *end).second);
    } else if (const auto* park = std::get_if<event::TaskParked>(&event)) {
      parked[park->task] = park->credit_bytes;
    } else if (const auto* actor = std::get_if<event::ActorReady>(&event)) {
      ready.push_back(actor->actor);
    } else if (const auto* actor = std::get_if<event::ActorLost>(&event)) {
      lost.push_back(*actor);
    }
  }

 public:
  std::uint32_t skipped = 0;  // Outputs that every task was told to skip.
};

inline std::vector<std::int64_t> Iota(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = begin; i < end; ++i) values.push_back(i);
  return values;
}

}  // namespace headrace::testing
