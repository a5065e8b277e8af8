// Prints what the scheduler costs per task: a read of many small tasks, and a read with a map
// behind it, driven by the least of backends: every started task yields one block and ends.
//
//   scheduler_bench [tasks]      default 1,000,000

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <utility>
#include <vector>

#include "headrace/control/schedule/scheduler.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

OperatorSpec Task(const char* name, std::vector<OperatorId> inputs) {
  auto program = std::make_shared<TaskProgram>();
  program->name = name;
  TaskOperator task;
  task.program = std::move(program);
  return {.name = name, .kind = std::move(task), .inputs = std::move(inputs)};
}

PhysicalPlan MakePlan(std::int64_t tasks, int maps, bool keep_order) {
  PhysicalPlan plan;
  plan.operators.push_back(Task("Read", {}));
  auto& read = std::get<TaskOperator>(plan.operators.back().kind);
  for (std::int64_t i = 0; i < tasks; ++i) {
    read.unit_groups.push_back({static_cast<std::uint32_t>(i)});
  }
  for (int i = 0; i < maps; ++i) plan.operators.push_back(Task("Map", {OperatorId{i}}));
  for (OperatorSpec& op : plan.operators) op.keep_order = keep_order;
  return plan;
}

/// Returns the events of the tasks started since the last call, and what the consumer says.
class Driver {
 public:
  explicit Driver(Scheduler* scheduler) : scheduler_(*scheduler) {}

  std::int64_t Run() {
    Event wanted = event::OutputWanted{0, 1'024};
    Step(std::span(&wanted, 1));
    while (true) {
      scheduler_.TakeActions(&actions_);
      for (Action& action : actions_) Perform(action);
      if (events_.empty()) return blocks_;
      std::vector<Event> events = std::exchange(events_, {});
      Step(events);
    }
  }

 private:
  void Step(std::span<Event> events) {
    now_.nanos += 100;
    scheduler_.Step(events, now_);
  }

  void Perform(Action& action) {
    if (auto* start = std::get_if<action::StartTask>(&action)) {
      BlockHandle block{ObjectId{++objects_}, {}};
      block.info.num_rows = 1'000;
      block.info.num_bytes = 8'000;
      block.info.position = start->order.position.Child(0);
      events_.push_back(event::BlockYielded{start->task, 0, std::move(block)});
      events_.push_back(event::TaskEnded{start->task, {}, {.wall_nanos = 20'000}});
    } else if (auto* deliver = std::get_if<action::DeliverOutput>(&action)) {
      for (const BlockHandle& block : deliver->blocks) {
        ++blocks_;
        events_.push_back(event::OutputConsumed{0, block.info.num_bytes});
        events_.push_back(event::OutputWanted{0, 1});
      }
    }
  }

  Scheduler& scheduler_;
  Instant now_;
  std::uint64_t objects_ = 0;
  std::int64_t blocks_ = 0;
  std::vector<Event> events_;
  std::vector<Action> actions_;
};

int Measure(const char* name, std::int64_t tasks, int maps, bool keep_order) {
  const std::int64_t sources = tasks / (maps + 1);
  BackendTraits traits{{.cpu_milli = 16'000}, std::int64_t{1} << 30, true};
  auto scheduler = Scheduler::Make(MakePlan(sources, maps, keep_order), {}, traits);
  if (!scheduler.ok()) return 1;
  const std::clock_t start = std::clock();  // Of this process: other work does not count.
  const std::int64_t blocks = Driver(scheduler->get()).Run();
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (blocks != sources || !(*scheduler)->finished()) return 1;
  const auto run = static_cast<double>(sources * (maps + 1));
  std::printf("%-32s %9.0f tasks %8.3f s %8.0f ns per task\n", name, run, took, took / run * 1e9);
  return 0;
}

}  // namespace
}  // namespace headrace

int main(int argc, char** argv) {
  const std::int64_t tasks = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  return headrace::Measure("read", tasks, 0, false) +
         headrace::Measure("read, ordered", tasks, 0, true) +
         headrace::Measure("read, map", tasks, 1, false) +
         headrace::Measure("read, map x 12", tasks, 12, false);
}
