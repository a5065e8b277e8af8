#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/time.h"
#include "headrace/observe/event_log.h"

namespace headrace {

/// Writes a replayed run in the trace event format of Chrome (JSON), which Perfetto and
/// chrome://tracing show.
///
///   process 1, "run"         counters of all bytes charged and all tasks; instants: spills,
///                            failures, the end
///   process 2 + operator     its tasks as spans, in as many lanes as overlap; within them the time
///                            without credit; counters of its tasks, queue and memory; instants:
///                            failed tasks, lost actors
///     thread 1000 + n        the life of its actor n: starting, then ready
///
/// Times are microseconds since the first event.
class Trace final : public ReplayObserver {
 public:
  explicit Trace(const EventLog& log);

  void OnEvent(Instant at, const Event& event, const Scheduler& scheduler) override;
  void OnAction(Instant at, const Action& action) override;

  /// Ends what still lasts and returns the JSON. Call it once.
  [[nodiscard]] std::string Finish();

 private:
  struct OpenTask {
    std::size_t lane = 0;
    Instant begin;
    std::optional<Instant> parked;
    std::int64_t blocks = 0, rows = 0, bytes = 0;
  };
  struct OpenActor {
    Instant begin;
    bool ready = false;
  };

  void Add(const std::string& event);
  void Name(std::int64_t process, std::int64_t thread, const std::string& name);
  void Span(std::int64_t process, std::int64_t thread, const std::string& name, Instant begin,
            Instant end, const std::string& arguments);
  void Mark(std::int64_t process, const std::string& name, Instant at,
            const std::string& arguments);
  void Count(std::int64_t process, const std::string& name, Instant at, const std::string& values);
  void Started(const TaskId& task, Instant at);
  void Ended(const TaskId& task, Instant at, const std::string& outcome);
  void Unparked(const TaskId& task, OpenTask& open, Instant at);
  void ActorPhaseEnded(const ActorId& actor, const OpenActor& open, Instant at);
  void Counters(Instant at, const Scheduler& scheduler);
  std::string Micros(Instant at) const;

  const Instant begin_;
  Instant last_;
  std::vector<std::string> names_;        // Of operators.
  std::vector<std::vector<bool>> lanes_;  // By operator: taken or free.
  std::map<TaskId, OpenTask> tasks_;
  std::map<ActorId, OpenActor> actors_;
  std::map<std::pair<std::int64_t, std::string>, std::string> counted_;  // What stands now.
  std::string events_;
};

}  // namespace headrace
