#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "sim_harness.h"

// Transcripts of small runs, one in each file of tests/golden/schedule. Above the line "----"
// stands what is run, below it what happened: ">" an event, "<" an action.
//
//   read tasks=2 blocks=4 bytes=64MiB      a source; each task yields so many blocks
//   map blocks=1 bytes=64MiB [actors=MIN-MAX] [cap=N] [bundle=ROWS] [ordered] [error=N]
//                                          [heap=BYTES [first=BYTES]] of the process of a task,
//                                          or of its first one
//   limit rows=N                           rows: each block has 10, unless rows=N says else
//   union inputs=N                         of the last N chains
//   mix inputs=N first=N shortest          the same; the first one's weight, the others' is 1
//   machine cpu=2 store=256MiB [holds]     holds: waiting tasks keep their cpu
//           [memory=BYTES]               a limit for blocks and heaps together
//   consumer prefetch=1 think=50ms [stop_after=N]
//   lose task=OP#ORDINAL.ATTEMPT before=OUTPUT
//   errors max=N
//
// HEADRACE_REWRITE_GOLDEN=1 writes what happened into the files.

namespace headrace::simtest {
namespace {

class Script {
 public:
  explicit Script(const std::string& text) {
    case_.sim.exact_times = true;
    case_.sim.block_time_max = Duration::Millis(10);
    case_.sim.parks_at_end_chance = 0;
    case_.think_max = {};
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line[0] != '#') Command(line);
    }
    case_.input_blocks.resize(case_.plan.operators.size());
  }

  const Case& made() const { return case_; }

 private:
  std::int64_t Number(const char* key, std::int64_t otherwise) const {
    const auto at = words_.find(key);
    if (at == words_.end()) return otherwise;
    std::size_t used = 0;
    const std::int64_t number = std::stoll(at->second, &used);
    const std::string unit = at->second.substr(used);
    if (unit == "KiB") return number << 10;
    if (unit == "MiB") return number << 20;
    return number;
  }
  bool Has(const char* key) const { return words_.contains(key); }

  void Add(const char* name, decltype(OperatorSpec::kind) kind, std::vector<OperatorId> inputs) {
    const OperatorId id{static_cast<std::int32_t>(case_.plan.operators.size())};
    case_.plan.operators.push_back({.name = name,
                                    .kind = std::move(kind),
                                    .inputs = std::move(inputs),
                                    .keep_order = Has("ordered")});
    chains_.push_back(id);
    SimModel::Outputs outputs;
    for (std::int64_t i = Number("blocks", 1); i > 0; --i) {
      outputs.blocks.push_back({Number("rows", 10), Number("bytes", 1 << 20)});
    }
    if (Has("error")) {
      outputs.error_after = static_cast<std::uint32_t>(Number("error", 0));
      outputs.blocks.resize(*outputs.error_after);
    }
    case_.sim.model.fixed[id.value] = std::move(outputs);
  }

  void AddTask(const char* name, std::vector<OperatorId> inputs) {
    auto program = std::make_shared<TaskProgram>();
    program->name = name;
    if (Has("heap")) {
      program->lane = Lane::kProcess;
      const auto op = static_cast<std::int32_t>(case_.plan.operators.size());
      case_.sim.model.fixed_heaps[op] = {Number("first", Number("heap", 0)), Number("heap", 0)};
    }
    TaskOperator task;
    task.program = std::move(program);
    task.cost.memory_bytes = Number("memory", 0);
    task.min_bundle_rows = Number("bundle", 0);
    for (std::int64_t i = 0; i < Number("tasks", 0); ++i) {
      task.unit_groups.push_back({static_cast<std::uint32_t>(i)});
    }
    if (Has("cap")) task.compute = TaskPool{static_cast<std::int32_t>(Number("cap", 1))};
    if (Has("actors")) {
      const std::string& range = words_.at("actors");
      const std::int32_t most = std::stoi(range.substr(range.find('-') + 1));
      task.compute = ActorPool{std::stoi(range), most, std::stoi(range), 2};
    }
    Add(name, std::move(task), std::move(inputs));
  }

  std::vector<OperatorId> TakeChains(std::int64_t count) {
    const std::vector<OperatorId> taken(chains_.end() - count, chains_.end());
    chains_.resize(chains_.size() - static_cast<std::size_t>(count));
    return taken;
  }

  void Command(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    words_.clear();
    for (std::string word; in >> word;) {
      const std::size_t equals = word.find('=');
      words_[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
    }
    if (verb == "read") return AddTask("Read", {});
    if (verb == "map") return AddTask("Map", TakeChains(1));
    if (verb == "union") return Add("Union", UnionOperator{}, TakeChains(Number("inputs", 2)));
    if (verb == "mix") {
      MixOperator mix{.weights = {}, .stop_on_shortest = Has("shortest")};
      mix.weights.assign(static_cast<std::size_t>(Number("inputs", 2)), 1.0);
      mix.weights.front() = static_cast<double>(Number("first", 1));
      return Add("Mix", std::move(mix), TakeChains(Number("inputs", 2)));
    }
    if (verb == "limit") {
      auto cut = std::make_shared<TaskProgram>();
      cut->name = "Limit";
      cut->steps = {LimitStep{}};
      return Add("Limit", LimitOperator{Number("rows", 0), std::move(cut)}, TakeChains(1));
    }
    if (verb == "machine") {
      case_.sim.capacity = {.cpu_milli = 1000 * Number("cpu", 1),
                            .memory_bytes = Number("memory", 0)};
      case_.sim.memory_limit_bytes = Number("memory", 0);
      case_.options.memory_limit_bytes = case_.sim.memory_limit_bytes;
      case_.sim.object_store_bytes = Number("store", 1 << 30);
      case_.sim.parks_waiting_tasks = !Has("holds");
    } else if (verb == "consumer") {
      case_.prefetch = Number("prefetch", 1);
      case_.think = Duration::Millis(Number("think", 0));
      case_.stop_after = Number("stop_after", -1);
    } else if (verb == "errors") {
      case_.plan.max_errored_blocks = Number("max", 0);
    } else if (verb == "lose") {
      TaskId task;
      char mark;
      std::istringstream(words_.at("task")) >> task.op.value >> mark >> task.ordinal >> mark >>
          task.attempt;
      case_.sim.lose_at.insert({task, static_cast<std::uint32_t>(Number("before", 0))});
    } else {
      ADD_FAILURE() << "unknown command: " << line;
    }
  }

  Case case_;
  std::map<std::string, std::string> words_;
  std::vector<OperatorId> chains_;  // Operators without a consumer.
};

std::string Transcript(const Case& c) {
  const Outcome out = SimRun(c).Go(/*check=*/true);
  auto log = ParseEventLog(out.log);
  if (!log.ok()) return log.status().ToString();
  std::string text = ToString(*log);
  for (const std::string& violation : out.violations) text += "violated: " + violation + "\n";
  if (!out.finished) text += "stalled\n";
  text += "peak " + std::to_string(out.peak_charged_bytes) + " of " +
          std::to_string(c.sim.object_store_bytes) + " bytes, " + std::to_string(out.overrides) +
          " overrides, " + std::to_string(out.live_objects_at_end) + " objects left\n";
  return text;
}

TEST(ScheduleGolden, TranscriptsAreAsRecorded) {
  const bool rewrite = std::getenv("HEADRACE_REWRITE_GOLDEN") != nullptr;
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(HEADRACE_SOURCE_DIR "/tests/golden/schedule")) {
    if (entry.path().extension() != ".txt") continue;
    ++files;
    std::ifstream in(entry.path());
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::size_t line = text.find("----\n");
    const std::string commands = text.substr(0, line);
    const std::string recorded = line == std::string::npos ? "" : text.substr(line + 5);
    const std::string got = Transcript(Script(commands).made());
    if (rewrite) {
      std::ofstream(entry.path()) << commands << "----\n" << got;
    } else {
      EXPECT_EQ(got, recorded) << entry.path();
    }
  }
  EXPECT_GE(files, 8);
}

}  // namespace
}  // namespace headrace::simtest
