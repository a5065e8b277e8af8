#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/protocol/event.h"

// A run, recorded: the events that the scheduler took in, and the actions that it answered with.
//
//   bytes = "HRLOG001" header { record }
//   header = fingerprint of the plan, options and traits as text
//   record = 'E' instant event | 'A' action as text
//
// Since the scheduler is a pure state machine, the events alone give the run; the actions are
// there to check that. Pure: writing the bytes to a file, and reading them, is the caller's.

namespace headrace {

/// Turns a run into bytes, piece by piece. Threads: one.
class EventLogEncoder {
 public:
  /// Returns the start of the log.
  static std::string Header(const PhysicalPlan& plan, const ExecutionOptions& options,
                            const BackendTraits& traits);
  /// Returns the record of one event, given to the scheduler at `now`.
  static std::string Record(Instant now, const Event& event);
  /// Returns the record of one action, polled after the events before it.
  static std::string Record(const Action& action);
};

/// A log in memory.
struct EventLog {
  struct Entry {
    Instant at;           // Of events.
    std::string action;   // Text of the action; "" for events.
    std::uint32_t event;  // Index into `events`; for events.
  };
  std::string fingerprint;
  std::vector<Event> events;
  std::vector<Entry> entries;  // In the order of the run.
};

/// Reads what the encoder wrote. A log that was cut off, as by a crash, ends at its last whole
/// record.
Result<EventLog> ParseEventLog(std::string_view bytes);

/// Returns the text that says whether two runs have the same plan, options and traits: one line
/// for each operator, and one each for the rest.
std::string PlanFingerprint(const PhysicalPlan& plan, const ExecutionOptions& options,
                            const BackendTraits& traits);

/// Gives the log's events to a new scheduler and compares what it does with the log, action by
/// action. Fails at the first difference, or if plan, options or traits are not those recorded.
Status Replay(PhysicalPlan plan, ExecutionOptions options, BackendTraits traits,
              const EventLog& log);

/// Prints the log as a transcript, a line for each event and action, with times in milliseconds.
std::string ToString(const EventLog& log);

}  // namespace headrace
