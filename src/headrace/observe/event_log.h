#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/observe/policy_tape.h"
#include "headrace/protocol/event.h"

// A run, recorded: what the scheduler was made of, the events that it took in, and the actions
// that it answered with.
//
//   bytes  = "HRLOG008" record { record }
//   record = kind checksum length body     1, 4 and 8 bytes, and `length`
//   body   = 'R' plan options traits names of policies     first, and once
//          | 'S' schema                                    numbered from 1 as they come
//          | 'P' what the policies said since the last 'P' (policy_tape.h)
//          | 'E' instant, number of the block's schema or 0, event
//          | 'A' action as text
//
// Events of one instant with no action between them are one step of the scheduler.
//
// Since the scheduler is a pure state machine, the events alone give the run; the actions are
// there to check that. A log holds no row, function or credential, but names: of operators, files
// and columns, and the messages of failures. Pure: the files are the caller's.

namespace headrace {

/// Turns a run into bytes, piece by piece. Threads: one.
class EventLogEncoder {
 public:
  /// Returns the start of the log. `policies` are the names of the user's.
  std::string Header(const PhysicalPlan& plan, const ExecutionOptions& options,
                     const BackendTraits& traits, const std::vector<std::string>& policies = {});
  /// Returns the record of one event, given to the scheduler at `now` with all others of that
  /// instant. Steps are at instants of their own.
  std::string Record(Instant now, const Event& event);
  /// Returns the record of one action, taken after the events before it.
  std::string Record(const Action& action);
  /// Returns the record of what a PolicyTape took; "" of nothing. Goes before the actions that
  /// came of it.
  std::string RecordAnswers(const std::string& answers);

 private:
  std::uint32_t NumberOf(const Event& event, std::string* records);

  std::unordered_map<std::string, std::uint32_t> schemas_;  // By their bytes.
};

/// A log in memory.
struct EventLog {
  struct Entry {
    Instant at;           // Of events.
    std::string action;   // Text of the action; "" for events.
    std::uint32_t event;  // Index into `events`; for events.
  };
  PhysicalPlan plan;
  ExecutionOptions options;
  BackendTraits traits;
  std::vector<std::string> policies;  // Names of the user's.
  std::string answers;                // All that they said.
  std::vector<Event> events;
  std::vector<Entry> entries;  // In the order of the run.
  std::string cut;             // Why the log ends before its run; "": it does not.

  /// The times of the first event and of the last.
  Instant begin() const;
  Instant end() const;
};

/// Reads what the encoder wrote. A log that ends early, since its process died or its file was cut,
/// is read to its last whole record and says so in `cut`; any other change of the bytes is an
/// error, which says where.
Result<EventLog> ParseEventLog(std::string_view bytes);

/// Sees a replay as it goes on. Threads: that of the replay.
class ReplayObserver {
 public:
  virtual ~ReplayObserver() = default;
  /// `scheduler` took `event` in, with the others of its step, at `at`; the actions of the step
  /// follow its last event.
  virtual void OnEvent(Instant at, const Event& event, const Scheduler& scheduler) = 0;
  virtual void OnAction(Instant at, const Action& action) = 0;
};

/// Gives the log's events to a new scheduler, step by step, and compares what it does with the log,
/// action by action. Fails at the first difference; the message says which record, what the log has
/// there and what the replay gave. `observers` see all up to there.
Status Replay(const EventLog& log, const std::vector<ReplayObserver*>& observers = {});

/// Prints the log as a transcript, a line for each event and action, with times in milliseconds.
std::string ToString(const EventLog& log);

}  // namespace headrace
