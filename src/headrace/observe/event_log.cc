#include "headrace/observe/event_log.h"

#include <cstdio>
#include <utility>

#include "headrace/base/wire.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

constexpr std::string_view kMagic = "HRLOG001";
constexpr std::uint8_t kEventTag = 'E';
constexpr std::uint8_t kActionTag = 'A';

std::string Describe(const OperatorSpec& spec) {
  std::string text = spec.name + (spec.keep_order ? " ordered" : "") + " inputs=";
  for (const OperatorId input : spec.inputs) text += std::to_string(input.value) + ",";
  if (const auto* input = spec.As<InputOperator>()) {
    text += " blocks=" + std::to_string(input->blocks.size());
  } else if (const auto* limit = spec.As<LimitOperator>()) {
    text += " limit=" + std::to_string(limit->rows);
  } else if (const auto* exchange = spec.As<ExchangeOperator>()) {
    text += " exchange=" + std::to_string(static_cast<int>(exchange->kind)) +
            " partitions=" + std::to_string(exchange->partitions) + "/" +
            std::to_string(exchange->rows_per_partition) + "/" +
            std::to_string(exchange->target_partition_bytes) +
            " boundaries=" + std::to_string(exchange->boundaries.size()) +
            " seed=" + std::to_string(exchange->seed) +
            " small=" + std::to_string(exchange->small_input) + " cost=(" +
            exchange->cost.ToString() + ") attempts=" + std::to_string(exchange->max_attempts);
  } else if (const auto* task = spec.As<TaskOperator>()) {
    text += " groups=" + std::to_string(task->unit_groups.size()) + " cost=(" +
            task->cost.ToString() + ") bundle=" + std::to_string(task->min_bundle_rows) +
            " attempts=" + std::to_string(task->max_attempts);
    if (task->piece_depth > 0) text += " pieces=" + std::to_string(task->piece_depth);
    if (const auto* actors = std::get_if<ActorPool>(&task->compute)) {
      text += " actors=" + std::to_string(actors->min_size) + "-" +
              std::to_string(actors->initial_size) + "-" + std::to_string(actors->max_size) + "x" +
              std::to_string(actors->max_tasks_in_flight);
    } else if (const auto& tasks = std::get<TaskPool>(task->compute); tasks.max_tasks) {
      text += " tasks<=" + std::to_string(*tasks.max_tasks);
    }
  }
  return text;
}

std::string Line(Instant at, char mark, const std::string& text) {
  char time[40];
  std::snprintf(time, sizeof time, "%10.3fms %c ", static_cast<double>(at.nanos) * 1e-6, mark);
  return time + text + "\n";
}

}  // namespace

std::string PlanFingerprint(const PhysicalPlan& plan, const ExecutionOptions& options,
                            const BackendTraits& traits) {
  std::string text;
  for (const OperatorSpec& spec : plan.operators) text += Describe(spec) + "\n";
  text += "errored_blocks<=" + std::to_string(plan.max_errored_blocks) + "/" +
          std::to_string(options.max_errored_blocks) +
          " limits=" + (options.resource_limits ? options.resource_limits->ToString() : "unset") +
          " store=" + std::to_string(options.object_store_bytes) +
          " reserve=" + std::to_string(options.reservation_ratio) +
          " target=" + std::to_string(options.target_max_block_bytes) + "\n";
  text += "total=(" + traits.total.ToString() +
          ") store=" + std::to_string(traits.object_store_bytes) +
          (traits.parks_waiting_tasks ? " parks" : " holds") + "\n";
  return text;
}

std::string EventLogEncoder::Header(const PhysicalPlan& plan, const ExecutionOptions& options,
                                    const BackendTraits& traits) {
  WireWriter out;
  out.Bytes(PlanFingerprint(plan, options, traits));
  return std::string(kMagic) + out.Take();
}

std::string EventLogEncoder::Record(Instant now, const Event& event) {
  WireWriter body;
  body.I64(now.nanos);
  WriteEvent(event, &body);
  WireWriter out;
  out.U8(kEventTag);
  out.Bytes(body.bytes());
  return out.Take();
}

std::string EventLogEncoder::Record(const Action& action) {
  WireWriter out;
  out.U8(kActionTag);
  out.Bytes(ToString(action));
  return out.Take();
}

Result<EventLog> ParseEventLog(std::string_view bytes) {
  if (!bytes.starts_with(kMagic)) return Status::Invalid("not an event log of this version");
  WireReader in(bytes.substr(kMagic.size()));
  EventLog log;
  log.fingerprint = in.String();
  if (in.bad()) return Status::Invalid("event log is cut off in its header");
  while (!in.at_end()) {
    const std::uint8_t tag = in.U8();
    const std::string_view body = in.Bytes();
    if (in.bad()) break;  // Cut off: the records so far are whole.
    if (tag == kActionTag) {
      log.entries.push_back({{}, std::string(body), 0});
    } else if (tag == kEventTag) {
      WireReader record(body);
      const Instant at{record.I64()};
      ARROW_ASSIGN_OR_RAISE(Event event, ReadEvent(&record));
      ARROW_RETURN_NOT_OK(record.Finish());
      log.entries.push_back({at, "", static_cast<std::uint32_t>(log.events.size())});
      log.events.push_back(std::move(event));
    } else {
      return Status::Invalid("event log has a record of unknown kind ", static_cast<int>(tag));
    }
  }
  return log;
}

Status Replay(PhysicalPlan plan, ExecutionOptions options, BackendTraits traits,
              const EventLog& log) {
  const std::string fingerprint = PlanFingerprint(plan, options, traits);
  if (fingerprint != log.fingerprint) {
    return Status::Invalid("the log is of another run: it has\n", log.fingerprint, "not\n",
                           fingerprint);
  }
  ARROW_ASSIGN_OR_RAISE(auto scheduler,
                        Scheduler::Make(std::move(plan), std::move(options), std::move(traits)));
  std::size_t number = 0;
  for (const EventLog::Entry& entry : log.entries) {
    ++number;
    if (entry.action.empty()) {
      scheduler->Step(log.events[entry.event], entry.at);
      continue;
    }
    const std::optional<Action> action = scheduler->Poll();
    const std::string text = action ? ToString(*action) : "nothing";
    if (text != entry.action) {
      return Status::Invalid("record ", number, " is \"", entry.action, "\", replayed it is \"",
                             text, "\"");
    }
  }
  return Status::OK();
}

std::string ToString(const EventLog& log) {
  std::string text = log.fingerprint;
  Instant now;
  for (const EventLog::Entry& entry : log.entries) {
    if (entry.action.empty()) now = entry.at;
    text += entry.action.empty() ? Line(now, '>', ToString(log.events[entry.event]))
                                 : Line(now, '<', entry.action);
  }
  return text;
}

}  // namespace headrace
