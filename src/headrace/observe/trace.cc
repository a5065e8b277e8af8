#include "headrace/observe/trace.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "headrace/base/overloaded.h"

namespace headrace {
namespace {

// Perfetto keeps process 0 and thread 0 for what runs when nothing does.
constexpr std::int64_t kRunProcess = 1;
constexpr std::int64_t kFirstLaneThread = 1;
constexpr std::int64_t kFirstActorThread = 1000;

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (code < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Number(const char* name, std::int64_t value) {
  return Quoted(name) + ":" + std::to_string(value);
}

std::string Text(const char* name, std::string_view value) {
  return Quoted(name) + ":" + Quoted(value);
}

std::string FirstLine(const Failure& failure) {
  return failure.message.substr(0, failure.message.find('\n'));
}

std::int64_t ProcessOf(OperatorId op) { return kRunProcess + 1 + op.value; }

std::int64_t ThreadOf(std::size_t lane) {
  return kFirstLaneThread + static_cast<std::int64_t>(lane);
}

}  // namespace

Trace::Trace(const EventLog& log) : begin_(log.begin()), last_(begin_) {
  Name(kRunProcess, -1, "run");
  for (const OperatorSpec& spec : log.plan.operators) {
    names_.push_back(spec.name);
    Name(kRunProcess + static_cast<std::int64_t>(names_.size()), -1, spec.name);
  }
  lanes_.resize(names_.size());
}

std::string Trace::Micros(Instant at) const {
  const std::int64_t nanos = (at - begin_).nanos;
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(nanos / 1000),
                static_cast<long long>(nanos % 1000));
  return text;
}

// ---- Events of the format.

void Trace::Add(const std::string& event) {
  events_ += events_.empty() ? "\n{" : ",\n{";
  events_ += event + "}";
}

/// Names a thread, or with `thread` -1 the process.
void Trace::Name(std::int64_t process, std::int64_t thread, const std::string& name) {
  const bool is_process = thread < 0;
  const std::int64_t order = is_process ? process : thread;
  const std::string place =
      Number("pid", process) + "," + Number("tid", is_process ? kFirstLaneThread : thread);
  Add(Text("ph", "M") + "," + Text("name", is_process ? "process_name" : "thread_name") + "," +
      place + ",\"args\":{" + Text("name", name) + "}");
  Add(Text("ph", "M") + "," +
      Text("name", is_process ? "process_sort_index" : "thread_sort_index") + "," + place +
      ",\"args\":{" + Number("sort_index", order) + "}");
}

void Trace::Span(std::int64_t process, std::int64_t thread, const std::string& name, Instant begin,
                 Instant end, const std::string& arguments) {
  char duration[40];
  const std::int64_t nanos = (end - begin).nanos;
  std::snprintf(duration, sizeof duration, "%lld.%03lld", static_cast<long long>(nanos / 1000),
                static_cast<long long>(nanos % 1000));
  Add(Text("ph", "X") + "," + Text("name", name) + "," + Number("pid", process) + "," +
      Number("tid", thread) + ",\"ts\":" + Micros(begin) + ",\"dur\":" + duration + ",\"args\":{" +
      arguments + "}");
}

void Trace::Mark(std::int64_t process, const std::string& name, Instant at,
                 const std::string& arguments) {
  Add(Text("ph", "i") + "," + Text("name", name) + "," + Number("pid", process) + "," +
      Number("tid", kFirstLaneThread) + ",\"ts\":" + Micros(at) + "," +
      Text("s", process == kRunProcess ? "g" : "p") + ",\"args\":{" + arguments + "}");
}

void Trace::Count(std::int64_t process, const std::string& name, Instant at,
                  const std::string& values) {
  std::string& stands = counted_[{process, name}];
  if (stands == values) return;
  stands = values;
  Add(Text("ph", "C") + "," + Text("name", name) + "," + Number("pid", process) + "," +
      Number("tid", kFirstLaneThread) + ",\"ts\":" + Micros(at) + ",\"args\":{" + values + "}");
}

// ---- Tasks.

void Trace::Started(const TaskId& task, Instant at) {
  auto& lanes = lanes_[static_cast<std::size_t>(task.op.value)];
  const auto free = std::find(lanes.begin(), lanes.end(), false);
  const auto lane = static_cast<std::size_t>(free - lanes.begin());
  if (free == lanes.end()) {
    lanes.push_back(true);
    Name(ProcessOf(task.op), ThreadOf(lane), "lane " + std::to_string(lane));
  } else {
    *free = true;
  }
  tasks_[task] = OpenTask{.lane = lane, .begin = at, .parked = {}};
}

void Trace::Unparked(const TaskId& task, OpenTask& open, Instant at) {
  if (!open.parked) return;
  Span(ProcessOf(task.op), ThreadOf(open.lane), "no credit", *open.parked, at, "");
  open.parked.reset();
}

void Trace::Ended(const TaskId& task, Instant at, const std::string& outcome) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end()) return;
  OpenTask& open = found->second;
  Unparked(task, open, at);
  const std::string& name = names_[static_cast<std::size_t>(task.op.value)];
  Span(ProcessOf(task.op), ThreadOf(open.lane), name + " #" + std::to_string(task.ordinal),
       open.begin, at,
       Number("attempt", task.attempt) + "," + Number("blocks", open.blocks) + "," +
           Number("rows", open.rows) + "," + Number("bytes", open.bytes) + "," +
           Text("outcome", outcome));
  lanes_[static_cast<std::size_t>(task.op.value)][open.lane] = false;
  tasks_.erase(found);
}

void Trace::ActorPhaseEnded(const ActorId& actor, const OpenActor& open, Instant at) {
  Span(ProcessOf(actor.op), kFirstActorThread + actor.ordinal, open.ready ? "ready" : "starting",
       open.begin, at, "");
}

// ---- What happened.

void Trace::OnEvent(Instant at, const Event& event, const Scheduler& scheduler) {
  last_ = at;
  std::visit(
      Overloaded{
          [&](const event::BlockYielded& e) {
            const auto found = tasks_.find(e.task);
            if (found == tasks_.end()) return;
            ++found->second.blocks;
            found->second.rows += e.block.info.num_rows;
            found->second.bytes += e.block.info.num_bytes;
          },
          [&](const event::TaskParked& e) {
            const auto found = tasks_.find(e.task);
            if (found != tasks_.end() && !found->second.parked) found->second.parked = at;
          },
          [&](const event::TaskEnded& e) {
            const bool known = tasks_.contains(e.task);
            Ended(e.task, at, e.failure ? FirstLine(*e.failure) : "done");
            if (known && e.failure && e.failure->kind != FailureKind::kCancelled) {
              Mark(ProcessOf(e.task.op), "task failed", at,
                   Text("task", e.task.ToString()) + "," + Text("failure", FirstLine(*e.failure)));
            }
          },
          [&](const event::ActorReady& e) {
            const auto found = actors_.find(e.actor);
            if (found == actors_.end() || found->second.ready) return;
            ActorPhaseEnded(e.actor, found->second, at);
            found->second = {at, true};
          },
          [&](const event::ActorLost& e) {
            const auto found = actors_.find(e.actor);
            if (found == actors_.end()) return;
            ActorPhaseEnded(e.actor, found->second, at);
            actors_.erase(found);
            Mark(ProcessOf(e.actor.op), "actor lost", at,
                 Number("actor", e.actor.ordinal) + "," + Text("failure", FirstLine(e.failure)));
          },
          [&](const event::ObjectsSpilled& e) {
            Mark(kRunProcess, e.failure ? "spill failed" : "spilled", at,
                 Number("blocks", static_cast<std::int64_t>(e.spilled.size())));
          },
          [&](const event::ObjectsLost& e) {
            Mark(kRunProcess, "blocks lost", at,
                 Number("blocks", static_cast<std::int64_t>(e.objects.size())) + "," +
                     Text("failure", FirstLine(e.failure)));
          },
          [&](const event::CapacityChanged& e) {
            Mark(kRunProcess, "capacity changed", at, Text("total", e.total.ToString()));
          },
          [&](const event::StopRequested&) { Mark(kRunProcess, "stop requested", at, ""); },
          [&](const event::MemoryMeasured& e) {
            Count(kRunProcess, "memory", at,
                  Number("free", e.free_bytes) + "," + Number("heaps", e.heap_bytes));
          },
          [](const auto&) {},
      },
      event);
  Counters(at, scheduler);
}

void Trace::OnAction(Instant at, const Action& action) {
  std::visit(Overloaded{
                 [&](const action::StartTask& a) { Started(a.task, at); },
                 [&](const action::GrantCredit& a) {
                   const auto found = tasks_.find(a.task);
                   if (found != tasks_.end()) Unparked(a.task, found->second, at);
                 },
                 [&](const action::StartActor& a) {
                   actors_[a.actor] = {at, false};
                   Name(ProcessOf(a.actor.op), kFirstActorThread + a.actor.ordinal,
                        "actor " + std::to_string(a.actor.ordinal));
                 },
                 [&](const action::StopActor& a) {
                   const auto found = actors_.find(a.actor);
                   if (found == actors_.end()) return;
                   ActorPhaseEnded(a.actor, found->second, at);
                   actors_.erase(found);
                 },
                 [&](const action::SpillObjects& a) {
                   Mark(kRunProcess, "spill ordered", at,
                        Number("blocks", static_cast<std::int64_t>(a.objects.size())));
                 },
                 [&](const action::Finish& a) {
                   Mark(kRunProcess, a.failure ? "failed" : "finished", at,
                        a.failure ? Text("failure", FirstLine(*a.failure)) : "");
                 },
                 [](const auto&) {},
             },
             action);
}

void Trace::Counters(Instant at, const Scheduler& scheduler) {
  Count(kRunProcess, "charged", at, Number("bytes", scheduler.charged_bytes()));
  std::int64_t process = kRunProcess;
  std::int64_t running = 0;
  std::int64_t parked = 0;
  for (const OperatorState& state : scheduler.Snapshot()) {
    ++process;
    running += state.tasks_running;
    parked += state.tasks_parked;
    Count(process, "memory", at, Number("bytes", state.held_bytes));
    Count(process, "queue", at, Number("blocks", state.input_blocks));
    Count(process, "tasks", at,
          Number("running", state.tasks_running) + "," + Number("parked", state.tasks_parked));
  }
  Count(kRunProcess, "tasks", at, Number("running", running) + "," + Number("parked", parked));
}

std::string Trace::Finish() {
  while (!tasks_.empty()) Ended(tasks_.begin()->first, last_, "not ended");
  for (const auto& [actor, open] : actors_) ActorPhaseEnded(actor, open, last_);
  return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[" + events_ + "\n]}\n";
}

}  // namespace headrace
