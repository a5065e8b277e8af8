#include "headrace/protocol/event.h"

#include <arrow/type.h>

#include "headrace/base/overloaded.h"
#include "headrace/base/wire.h"
#include "headrace/protocol/arrow_wire.h"
#include "headrace/protocol/program.h"
#include "headrace/protocol/resources_wire.h"

namespace headrace {
namespace {

// ---- Text.

std::string Text(ActorId actor) {
  return std::to_string(actor.op.value) + "@" + std::to_string(actor.ordinal);
}

std::string Text(ObjectId object) { return "o" + std::to_string(object.value); }

template <class Ids>
std::string TextList(const Ids& ids) {
  std::string text;
  for (const auto& id : ids) {
    if (!text.empty()) text += ' ';
    if constexpr (std::is_integral_v<typename Ids::value_type>) {
      text += std::to_string(id);
    } else {
      text += Text(id);
    }
  }
  return "[" + text + "]";
}

std::string Text(const BlockHandle& block) {
  return Text(block.object) + " rows=" + std::to_string(block.info.num_rows) +
         " bytes=" + std::to_string(block.info.num_bytes) + " at " + block.info.position.ToString();
}

std::string_view Text(FailureKind kind) {
  switch (kind) {
    case FailureKind::kUserError:
      return "user_error";
    case FailureKind::kDataError:
      return "data_error";
    case FailureKind::kWorkerLost:
      return "worker_lost";
    case FailureKind::kCancelled:
      return "cancelled";
    case FailureKind::kSystem:
      return "system";
    case FailureKind::kOverMemory:
      return "over_memory";
    case FailureKind::kInputLost:
      return "input_lost";
  }
  return "unknown";
}

std::string Text(const Failure& failure) {
  return std::string(Text(failure.kind)) + ": " +
         failure.message.substr(0, failure.message.find('\n'));
}

std::string Text(const std::optional<Failure>& failure) {
  return failure ? " failed " + Text(*failure) : "";
}

std::string Credit(std::int64_t bytes) { return " credit=" + std::to_string(bytes); }

std::string Heap(std::int64_t bytes) { return bytes == 0 ? "" : " heap=" + std::to_string(bytes); }

std::string Output(std::int32_t output) { return "output " + std::to_string(output); }

// "[o1 o2]", with ranges "[o1[0,5) o2[3,)]", left and right inputs parted by a bar.
std::string InputsText(const TaskOrder& order) {
  std::string text;
  for (std::size_t i = 0; i < order.inputs.size(); ++i) {
    if (i > 0) text += i == order.left_inputs ? " | " : " ";
    text += Text(order.inputs[i]);
    if (order.ranges.empty()) continue;
    const RowRange& range = order.ranges[i];
    text += "[" + std::to_string(range.begin) + "," +
            (range.end < 0 ? "" : std::to_string(range.end)) + ")";
  }
  return "[" + text + "]";
}

std::string Text(const TaskOrder& order) {
  std::string text = order.program == nullptr ? "?" : order.program->name;
  if (!order.units.empty()) text += " units " + TextList(order.units);
  if (!order.inputs.empty()) text += " inputs " + InputsText(order);
  if (!order.sides.empty()) text += " sides " + TextList(order.sides);
  text += " at " + order.position.ToString() + " cost " + order.cost.ToString();
  if (order.actor) text += " actor " + Text(*order.actor);
  text += Credit(order.credit_bytes);
  if (order.skip_outputs > 0) text += " skip=" + std::to_string(order.skip_outputs);
  if (order.again) text += " again";
  return text + Heap(order.heap_bytes);
}

// ---- Wire form of ids and small values.

void WriteTaskId(TaskId task, WireWriter* out) {
  out->I32(task.op.value);
  out->U32(task.attempt);
  out->U64(task.ordinal);
}

TaskId ReadTaskId(WireReader* in) {
  TaskId task;
  task.op.value = in->I32();
  task.attempt = in->U32();
  task.ordinal = in->U64();
  return task;
}

void WriteActorId(ActorId actor, WireWriter* out) {
  out->I32(actor.op.value);
  out->U32(actor.ordinal);
}

ActorId ReadActorId(WireReader* in) {
  ActorId actor;
  actor.op.value = in->I32();
  actor.ordinal = in->U32();
  return actor;
}

void WriteInfoWithoutSchema(const BlockInfo& info, WireWriter* out) {
  out->I64(info.num_rows);
  out->I64(info.num_bytes);
  out->U64(info.position.path.size());
  for (std::uint32_t part : info.position.path) out->U32(part);
  out->Bool(info.input_files != nullptr);
  if (info.input_files != nullptr) WriteStrings(*info.input_files, out);
  out->Bool(info.index != nullptr);
  if (info.index != nullptr) WriteBlockIndex(*info.index, out);
}

BlockInfo ReadInfoWithoutSchema(WireReader* in) {
  BlockInfo info;
  info.num_rows = in->I64();
  info.num_bytes = in->I64();
  info.position.path.resize(in->Count());
  for (std::uint32_t& part : info.position.path) part = in->U32();
  if (in->Bool()) {
    info.input_files = std::make_shared<const std::vector<std::string>>(ReadStrings(in));
  }
  if (in->Bool()) info.index = ReadBlockIndex(in);
  return info;
}

void WriteObjects(const std::vector<ObjectId>& objects, WireWriter* out) {
  out->U64(objects.size());
  for (const ObjectId object : objects) out->U64(object.value);
}

std::vector<ObjectId> ReadObjects(WireReader* in) {
  std::vector<ObjectId> objects(in->Count());
  for (ObjectId& object : objects) object.value = in->U64();
  return objects;
}

void WriteOptionalFailure(const std::optional<Failure>& failure, WireWriter* out) {
  out->Bool(failure.has_value());
  if (failure) WriteFailure(*failure, out);
}

std::optional<Failure> ReadOptionalFailure(WireReader* in) {
  if (!in->Bool()) return std::nullopt;
  return ReadFailure(in);
}

// ---- Events. The tag is the index in the variant; ReadBody's cases follow its order.

struct WriteBody {
  WireWriter* out;

  void operator()(const event::BlockYielded& e) const {
    WriteTaskId(e.task, out);
    out->U32(e.index);
    out->U64(e.block.object.value);
    WriteInfoWithoutSchema(e.block.info, out);
  }
  void operator()(const event::TaskParked& e) const {
    WriteTaskId(e.task, out);
    out->I64(e.credit_bytes);
  }
  void operator()(const event::TaskEnded& e) const {
    WriteTaskId(e.task, out);
    WriteOptionalFailure(e.failure, out);
    WriteTaskStats(e.stats, out);
  }
  void operator()(const event::ActorReady& e) const {
    WriteActorId(e.actor, out);
    out->I64(e.heap_bytes);
  }
  void operator()(const event::ActorLost& e) const {
    WriteActorId(e.actor, out);
    WriteFailure(e.failure, out);
    out->I64(e.heap_bytes);
  }
  void operator()(const event::OutputWanted& e) const {
    out->I32(e.output);
    out->I64(e.blocks);
  }
  void operator()(const event::OutputConsumed& e) const {
    out->I32(e.output);
    out->I64(e.bytes);
  }
  void operator()(const event::ObjectsSpilled& e) const {
    WriteObjects(e.asked, out);
    WriteObjects(e.spilled, out);
    WriteOptionalFailure(e.failure, out);
  }
  void operator()(const event::CapacityChanged& e) const { WriteResources(e.total, out); }
  void operator()(const event::TimePassed&) const {}
  void operator()(const event::StopRequested&) const {}
  void operator()(const event::MemoryMeasured& e) const {
    out->I64(e.free_bytes);
    out->I64(e.heap_bytes);
    out->U64(e.tasks.size());
    for (const auto& [task, heap_bytes] : e.tasks) {
      WriteTaskId(task, out);
      out->I64(heap_bytes);
    }
  }
  void operator()(const event::ObjectsLost& e) const {
    WriteObjects(e.objects, out);
    WriteFailure(e.failure, out);
  }
};

template <class T>
T ReadBody(WireReader* in);

template <>
event::BlockYielded ReadBody(WireReader* in) {
  event::BlockYielded e;
  e.task = ReadTaskId(in);
  e.index = in->U32();
  e.block.object.value = in->U64();
  e.block.info = ReadInfoWithoutSchema(in);
  return e;
}

template <>
event::TaskParked ReadBody(WireReader* in) {
  event::TaskParked e;
  e.task = ReadTaskId(in);
  e.credit_bytes = in->I64();
  return e;
}

template <>
event::TaskEnded ReadBody(WireReader* in) {
  event::TaskEnded e;
  e.task = ReadTaskId(in);
  e.failure = ReadOptionalFailure(in);
  e.stats = ReadTaskStats(in);
  return e;
}

template <>
event::ActorReady ReadBody(WireReader* in) {
  event::ActorReady e;
  e.actor = ReadActorId(in);
  e.heap_bytes = in->I64();
  return e;
}

template <>
event::ActorLost ReadBody(WireReader* in) {
  event::ActorLost e;
  e.actor = ReadActorId(in);
  e.failure = ReadFailure(in);
  e.heap_bytes = in->I64();
  return e;
}

template <>
event::OutputWanted ReadBody(WireReader* in) {
  event::OutputWanted e;
  e.output = in->I32();
  e.blocks = in->I64();
  return e;
}

template <>
event::OutputConsumed ReadBody(WireReader* in) {
  event::OutputConsumed e;
  e.output = in->I32();
  e.bytes = in->I64();
  return e;
}

template <>
event::ObjectsSpilled ReadBody(WireReader* in) {
  event::ObjectsSpilled e;
  e.asked = ReadObjects(in);
  e.spilled = ReadObjects(in);
  e.failure = ReadOptionalFailure(in);
  return e;
}

template <>
event::CapacityChanged ReadBody(WireReader* in) {
  return {ReadResources(in)};
}

template <>
event::TimePassed ReadBody(WireReader*) {
  return {};
}

template <>
event::StopRequested ReadBody(WireReader*) {
  return {};
}

template <>
event::MemoryMeasured ReadBody(WireReader* in) {
  event::MemoryMeasured e;
  e.free_bytes = in->I64();
  e.heap_bytes = in->I64();
  e.tasks.resize(in->Count());
  for (auto& [task, heap_bytes] : e.tasks) {
    task = ReadTaskId(in);
    heap_bytes = in->I64();
  }
  return e;
}

template <>
event::ObjectsLost ReadBody(WireReader* in) {
  event::ObjectsLost e;
  e.objects = ReadObjects(in);
  e.failure = ReadFailure(in);
  return e;
}

// Reads the alternative of number `tag`.
template <std::size_t I = 0>
Result<Event> ReadTagged(std::size_t tag, WireReader* in) {
  if constexpr (I == std::variant_size_v<Event>) {
    return Status::Invalid("malformed event: unknown kind ", tag);
  } else {
    if (tag == I) return Event(ReadBody<std::variant_alternative_t<I, Event>>(in));
    return ReadTagged<I + 1>(tag, in);
  }
}

}  // namespace

Status Failure::ToStatus() const {
  std::string text = message;
  if (!context.empty()) text += "\n" + context;
  if (!traceback.empty()) text += "\n" + traceback;
  const bool known = code != arrow::StatusCode::OK;
  return Status(known ? code : arrow::StatusCode::UnknownError, std::move(text));
}

Failure Failure::FromStatus(FailureKind kind, const Status& status, std::string context) {
  Failure failure;
  failure.kind = kind;
  failure.code = status.code();
  failure.message = status.message();
  failure.context = std::move(context);
  return failure;
}

std::string ToString(const Event& event) {
  return std::visit(
      Overloaded{
          [](const event::BlockYielded& e) {
            return "yield " + e.task.ToString() + " [" + std::to_string(e.index) + "] " +
                   Text(e.block);
          },
          [](const event::TaskParked& e) {
            return "park " + e.task.ToString() + Credit(e.credit_bytes);
          },
          [](const event::TaskEnded& e) { return "end " + e.task.ToString() + Text(e.failure); },
          [](const event::ActorReady& e) {
            return "actor ready " + Text(e.actor) + Heap(e.heap_bytes);
          },
          [](const event::ActorLost& e) {
            return "actor lost " + Text(e.actor) + " " + Text(e.failure) + Heap(e.heap_bytes);
          },
          [](const event::OutputWanted& e) {
            return "want " + Output(e.output) + " blocks=" + std::to_string(e.blocks);
          },
          [](const event::OutputConsumed& e) {
            return "consumed " + Output(e.output) + " bytes=" + std::to_string(e.bytes);
          },
          [](const event::ObjectsSpilled& e) {
            return "spilled " + TextList(e.spilled) + " of " + TextList(e.asked) + Text(e.failure);
          },
          [](const event::CapacityChanged& e) { return "capacity " + e.total.ToString(); },
          [](const event::TimePassed&) { return std::string("time"); },
          [](const event::StopRequested&) { return std::string("stop"); },
          [](const event::MemoryMeasured& e) {
            std::string text = "memory free=" + std::to_string(e.free_bytes) + Heap(e.heap_bytes);
            for (const auto& [task, heap_bytes] : e.tasks) {
              text += ", " + task.ToString() + Heap(heap_bytes);
            }
            return text;
          },
          [](const event::ObjectsLost& e) {
            return "lost " + TextList(e.objects) + ": " + Text(e.failure);
          },
      },
      event);
}

std::string ToString(const Action& action) {
  return std::visit(
      Overloaded{
          [](const action::StartTask& a) {
            return "start " + a.task.ToString() + " " + Text(a.order);
          },
          [](const action::GrantCredit& a) {
            return "grant " + a.task.ToString() + Credit(a.credit_bytes);
          },
          [](const action::CancelTask& a) { return "cancel " + a.task.ToString(); },
          [](const action::StartActor& a) {
            return "start actor " + Text(a.actor) + " " +
                   (a.order.program == nullptr ? "?" : a.order.program->name) + " cost " +
                   a.order.cost.ToString() + Heap(a.order.heap_bytes);
          },
          [](const action::StopActor& a) { return "stop actor " + Text(a.actor); },
          [](const action::ReleaseObjects& a) { return "release " + TextList(a.objects); },
          [](const action::SpillObjects& a) { return "spill " + TextList(a.objects); },
          [](const action::DeliverOutput& a) {
            std::string text = "deliver " + Output(a.output);
            for (const BlockHandle& block : a.blocks) text += " " + Text(block);
            return text;
          },
          [](const action::Finish& a) { return "finish" + Text(a.failure); },
      },
      action);
}

void WriteBlockInfo(const BlockInfo& info, WireWriter* out) {
  WriteInfoWithoutSchema(info, out);
  WriteSchema(info.schema, out);
}

Result<BlockInfo> ReadBlockInfo(WireReader* in) {
  BlockInfo info = ReadInfoWithoutSchema(in);
  ARROW_ASSIGN_OR_RAISE(info.schema, ReadSchema(in));
  return info;
}

void WriteBlockIndex(const BlockIndex& index, WireWriter* out) {
  out->U32(index.buckets.num_buckets());
  out->U64(index.buckets.filled().size());
  for (const std::uint32_t bucket : index.buckets.filled()) out->U32(bucket);
  for (const std::int64_t end : index.buckets.ends()) out->I64(end);
  WriteStrings(index.keys, out);
  out->I64(index.stride);
}

std::shared_ptr<const BlockIndex> ReadBlockIndex(WireReader* in) {
  auto index = std::make_shared<BlockIndex>();
  index->buckets = BucketOffsets(in->U32());
  std::vector<std::uint32_t> filled(in->Count());
  for (std::uint32_t& bucket : filled) bucket = in->U32();
  for (const std::uint32_t bucket : filled) index->buckets.Add(bucket, in->I64());
  index->keys = ReadStrings(in);
  index->stride = in->I64();
  return index;
}

void WriteFailure(const Failure& failure, WireWriter* out) {
  out->U8(static_cast<std::uint8_t>(failure.kind));
  out->U8(static_cast<std::uint8_t>(failure.code));
  out->Bytes(failure.message);
  out->Bytes(failure.context);
  out->Bytes(failure.traceback);
  WriteSharedString(failure.exception, out);
}

Failure ReadFailure(WireReader* in) {
  Failure failure;
  failure.kind = static_cast<FailureKind>(in->U8());
  failure.code = static_cast<arrow::StatusCode>(in->U8());
  failure.message = in->String();
  failure.context = in->String();
  failure.traceback = in->String();
  failure.exception = ReadSharedString(in);
  return failure;
}

void WriteTaskStats(const TaskStats& stats, WireWriter* out) {
  out->I64(stats.wall_nanos);
  out->I64(stats.cpu_nanos);
  out->I64(stats.function_nanos);
  out->I64(stats.rows_in);
  out->I64(stats.peak_heap_bytes);
  out->I64(stats.errored_rows);
  out->I64(stats.letter_rows);
  out->U64(stats.letters.size());
  for (const std::string& letter : stats.letters) out->Bytes(letter);
}

TaskStats ReadTaskStats(WireReader* in) {
  TaskStats stats;
  stats.wall_nanos = in->I64();
  stats.cpu_nanos = in->I64();
  stats.function_nanos = in->I64();
  stats.rows_in = in->I64();
  stats.peak_heap_bytes = in->I64();
  stats.errored_rows = in->I64();
  stats.letter_rows = in->I64();
  const std::uint64_t letters = in->Count();
  for (std::uint64_t i = 0; i < letters; ++i) stats.letters.push_back(in->String());
  return stats;
}

void WriteEvent(const Event& event, WireWriter* out) {
  out->U8(static_cast<std::uint8_t>(event.index()));
  std::visit(WriteBody{out}, event);
}

Result<Event> ReadEvent(WireReader* in) {
  const std::uint8_t tag = in->U8();
  if (in->bad()) return TruncatedError("event");
  ARROW_ASSIGN_OR_RAISE(Event event, ReadTagged(tag, in));
  if (in->bad()) return TruncatedError("event");
  return event;
}

}  // namespace headrace
