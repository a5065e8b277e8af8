#include "headrace/observe/event_log.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "headrace/base/wire.h"
#include "headrace/observe/recorded_plan.h"
#include "headrace/protocol/arrow_wire.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

constexpr std::string_view kMagic = "HRLOG008";
constexpr std::size_t kMagicFamilyBytes = 5;
constexpr std::uint8_t kRunTag = 'R';
constexpr std::uint8_t kSchemaTag = 'S';
constexpr std::uint8_t kAnswersTag = 'P';
constexpr std::uint8_t kEventTag = 'E';
constexpr std::uint8_t kActionTag = 'A';

/// FNV-1a: every change of one byte changes it.
std::uint32_t Checksum(std::uint8_t tag, std::string_view body) {
  std::uint32_t sum = (2166136261U ^ tag) * 16777619U;
  for (const char c : body) sum = (sum ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return sum;
}

std::string RecordOf(std::uint8_t tag, std::string_view body) {
  WireWriter out;
  out.U8(tag);
  out.U32(Checksum(tag, body));
  out.Bytes(body);
  return out.Take();
}

std::string Line(Instant at, char mark, const std::string& text) {
  char time[40];
  std::snprintf(time, sizeof time, "%10.3fms %c ", static_cast<double>(at.nanos) * 1e-6, mark);
  return time + text + "\n";
}

/// Reads a log record by record.
class Parser {
 public:
  Result<EventLog> Parse(std::string_view bytes) {
    if (!bytes.starts_with(kMagic)) {
      const bool is_other = bytes.starts_with(kMagic.substr(0, kMagicFamilyBytes));
      return Status::Invalid(is_other ? "the event log is of another version of Headrace"
                                      : "not an event log of Headrace");
    }
    WireReader in(bytes.substr(kMagic.size()));
    std::size_t at = kMagic.size();
    bool finished = false;
    for (std::int64_t number = 0; !in.at_end(); ++number) {
      const std::uint8_t tag = in.U8();
      const std::uint32_t checksum = in.U32();
      const std::string_view body = in.Bytes();
      const std::string place =
          "record " + std::to_string(number) + " at byte " + std::to_string(at);
      if (in.bad()) {
        if (number == 0) return Status::Invalid("the event log is cut off in its first record");
        log_.cut = place + " is not whole";
        return std::move(log_);
      }
      if (checksum != Checksum(tag, body)) {
        return Status::Invalid("the event log is damaged: ", place, " has another checksum");
      }
      const Status status = number == 0 ? ReadRun(tag, body) : ReadRecord(tag, body);
      if (!status.ok()) {
        return Status::Invalid("the event log is damaged: ", place, ": ", status.message());
      }
      finished |= tag == kActionTag && body.starts_with("finish");
      at += sizeof tag + sizeof checksum + sizeof(std::uint64_t) + body.size();
    }
    if (at == kMagic.size()) return Status::Invalid("the event log is empty");
    if (!finished) log_.cut = "it has no end: its process ended in mid-run, or the file was cut";
    return std::move(log_);
  }

 private:
  Status ReadRun(std::uint8_t tag, std::string_view body) {
    if (tag != kRunTag) return Status::Invalid("it is no start of a log");
    WireReader in(body);
    ARROW_ASSIGN_OR_RAISE(log_.plan, ReadPlan(&in));
    log_.options = ReadExecutionOptions(&in);
    log_.traits = ReadTraits(&in);
    log_.policies = ReadStrings(&in);
    return in.Finish();
  }

  Status ReadRecord(std::uint8_t tag, std::string_view body) {
    WireReader in(body);
    switch (tag) {
      case kActionTag:
        log_.entries.push_back({{}, std::string(body), 0});
        return Status::OK();
      case kAnswersTag:
        log_.answers += body;
        return Status::OK();
      case kSchemaTag: {
        ARROW_ASSIGN_OR_RAISE(schemas_.emplace_back(), ReadSchema(&in));
        return in.Finish();
      }
      case kEventTag:
        return ReadOneEvent(&in);
    }
    return Status::Invalid("its kind is unknown");
  }

  Status ReadOneEvent(WireReader* in) {
    const Instant at{in->I64()};
    const std::uint32_t schema = in->U32();
    ARROW_ASSIGN_OR_RAISE(Event event, ReadEvent(in));
    ARROW_RETURN_NOT_OK(in->Finish());
    if (at < last_) return Status::Invalid("its time is before that of the event before it");
    last_ = at;
    if (auto* yielded = std::get_if<event::BlockYielded>(&event)) {
      if (schema > schemas_.size()) return Status::Invalid("it has a schema that did not come");
      if (schema > 0) yielded->block.info.schema = schemas_[schema - 1];
    }
    log_.entries.push_back({at, "", static_cast<std::uint32_t>(log_.events.size())});
    log_.events.push_back(std::move(event));
    return Status::OK();
  }

  EventLog log_;
  std::vector<std::shared_ptr<arrow::Schema>> schemas_;
  Instant last_{INT64_MIN};
};

}  // namespace

// ---- Writing.

std::string EventLogEncoder::Header(const PhysicalPlan& plan, const ExecutionOptions& options,
                                    const BackendTraits& traits,
                                    const std::vector<std::string>& policies) {
  WireWriter body;
  WritePlan(plan, &body);
  WriteExecutionOptions(options, &body);
  WriteTraits(traits, &body);
  WriteStrings(policies, &body);
  return std::string(kMagic) + RecordOf(kRunTag, body.bytes());
}

/// Returns the number of the schema of the event's block, 0 if there is none; appends its record if
/// it is new.
std::uint32_t EventLogEncoder::NumberOf(const Event& event, std::string* records) {
  const auto* yielded = std::get_if<event::BlockYielded>(&event);
  if (yielded == nullptr || yielded->block.info.schema == nullptr) return 0;
  WireWriter schema;
  WriteSchema(yielded->block.info.schema, &schema);
  const auto next = static_cast<std::uint32_t>(schemas_.size() + 1);
  const auto [place, is_new] = schemas_.emplace(schema.Take(), next);
  if (is_new) *records += RecordOf(kSchemaTag, place->first);
  return place->second;
}

std::string EventLogEncoder::Record(Instant now, const Event& event) {
  std::string records;
  WireWriter body;
  body.I64(now.nanos);
  body.U32(NumberOf(event, &records));
  WriteEvent(event, &body);
  return records + RecordOf(kEventTag, body.bytes());
}

std::string EventLogEncoder::Record(const Action& action) {
  return RecordOf(kActionTag, ToString(action));
}

std::string EventLogEncoder::RecordAnswers(const std::string& answers) {
  return answers.empty() ? "" : RecordOf(kAnswersTag, answers);
}

// ---- Reading.

Result<EventLog> ParseEventLog(std::string_view bytes) { return Parser().Parse(bytes); }

Instant EventLog::begin() const {
  for (const Entry& entry : entries) {
    if (entry.action.empty()) return entry.at;
  }
  return {};
}

Instant EventLog::end() const {
  for (std::size_t i = entries.size(); i-- > 0;) {
    if (entries[i].action.empty()) return entries[i].at;
  }
  return {};
}

// ---- Replaying.

Status Replay(const EventLog& log, const std::vector<ReplayObserver*>& observers) {
  auto player = std::make_shared<PolicyPlayer>(log.answers);
  ARROW_ASSIGN_OR_RAISE(auto scheduler, Scheduler::Make(log.plan, log.options, log.traits,
                                                        Play(log.policies, player)));
  Instant now = log.begin();
  std::size_t number = 0;
  const auto differs = [&](const std::string& recorded, const std::string& replayed) {
    return Status::Invalid("the replay differs from the log at its line ", number, ", ",
                           static_cast<double>((now - log.begin()).nanos) * 1e-6,
                           " ms after the start: the log has \"", recorded,
                           "\", the replay gave \"", replayed, "\"");
  };
  std::vector<Action> actions;
  scheduler->TakeActions(&actions);
  std::size_t next_action = 0;
  std::vector<Event> step;
  for (auto entry = log.entries.begin(); entry != log.entries.end();) {
    ++number;
    if (!entry->action.empty()) {
      const bool some = next_action < actions.size();
      const std::string text = some ? ToString(actions[next_action]) : "nothing";
      if (text != entry->action) return differs(entry->action, text);
      for (ReplayObserver* observer : observers) observer->OnAction(now, actions[next_action]);
      ++next_action;
      ++entry;
      continue;
    }
    if (next_action < actions.size()) {
      return differs(ToString(log.events[entry->event]), ToString(actions[next_action]));
    }
    now = entry->at;
    const auto first = entry;
    step.clear();
    for (; entry != log.entries.end() && entry->action.empty() && entry->at == now; ++entry) {
      step.push_back(log.events[entry->event]);
    }
    number += step.size() - 1;
    scheduler->Step(step, now);
    scheduler->TakeActions(&actions);
    next_action = 0;
    if (player->differs()) {
      // Of a step that was cut the answers may be missing.
      if (!log.cut.empty() && entry == log.entries.end()) return Status::OK();
      return differs("other questions to the policies", ToString(log.events[first->event]));
    }
    for (auto at = first; at != entry; ++at) {
      for (ReplayObserver* observer : observers) {
        observer->OnEvent(now, log.events[at->event], *scheduler);
      }
    }
  }
  if (next_action == actions.size() || !log.cut.empty()) return Status::OK();
  return differs("its end", ToString(actions[next_action]));
}

std::string ToString(const EventLog& log) {
  std::string text;
  Instant now;
  for (const EventLog::Entry& entry : log.entries) {
    if (entry.action.empty()) now = entry.at;
    text += entry.action.empty() ? Line(now, '>', ToString(log.events[entry.event]))
                                 : Line(now, '<', entry.action);
  }
  return text;
}

}  // namespace headrace
