#include "headrace/protocol/program.h"

#include <arrow/type.h>

#include "headrace/base/wire.h"
#include "headrace/protocol/arrow_wire.h"
#include "headrace/protocol/exchange_wire.h"

namespace headrace {
namespace {

// ---- Options and small values.

void WriteOption(const OptionValue& value, WireWriter* out) {
  out->U8(static_cast<std::uint8_t>(value.index()));
  if (const auto* v = std::get_if<bool>(&value)) out->Bool(*v);
  if (const auto* v = std::get_if<std::int64_t>(&value)) out->I64(*v);
  if (const auto* v = std::get_if<double>(&value)) out->F64(*v);
  if (const auto* v = std::get_if<std::string>(&value)) out->Bytes(*v);
  if (const auto* v = std::get_if<std::vector<std::string>>(&value)) WriteStrings(*v, out);
}

Result<OptionValue> ReadOption(WireReader* in) {
  const int kind = in->U8();
  switch (kind) {
    case 0:
      return OptionValue();
    case 1:
      return OptionValue(in->Bool());
    case 2:
      return OptionValue(in->I64());
    case 3:
      return OptionValue(in->F64());
    case 4:
      return OptionValue(in->String());
    case 5:
      return OptionValue(ReadStrings(in));
  }
  return Status::Invalid("malformed option: unknown kind ", kind);
}

void WriteOptions(const OptionMap& options, WireWriter* out) {
  out->U64(options.size());
  for (const auto& [name, value] : options) {
    out->Bytes(name);
    WriteOption(value, out);
  }
}

Result<OptionMap> ReadOptions(WireReader* in) {
  OptionMap options;
  for (std::uint64_t left = in->Count(); left > 0; --left) {
    std::string name = in->String();
    ARROW_ASSIGN_OR_RAISE(OptionValue value, ReadOption(in));
    options.emplace(std::move(name), std::move(value));
  }
  return options;
}

using StringPairs = std::vector<std::pair<std::string, std::string>>;

void WritePairs(const StringPairs& pairs, WireWriter* out) {
  out->U64(pairs.size());
  for (const auto& [first, second] : pairs) {
    out->Bytes(first);
    out->Bytes(second);
  }
}

StringPairs ReadPairs(WireReader* in) {
  StringPairs pairs(in->Count());
  for (auto& [first, second] : pairs) {
    first = in->String();
    second = in->String();
  }
  return pairs;
}

// ---- Functions, sources, targets.

void WriteFunction(const FunctionPtr& function, WireWriter* out) {
  out->Bool(function != nullptr);
  if (function == nullptr) return;
  out->U64(function->id);
  out->Bytes(function->name);
  out->U8(static_cast<std::uint8_t>(function->kind));
  out->Bool(function->is_class);
  out->I64(function->batch_rows);
  out->Bytes(function->batch_format);
  out->Bool(function->zero_copy_batch);
  out->Bytes(function->on_error);
  out->Bool(function->drops_rows);
  WriteSharedString(function->payload, out);
}

Result<FunctionPtr> ReadFunction(WireReader* in) {
  if (!in->Bool()) return nullptr;
  auto function = std::make_shared<FunctionSpec>();
  function->id = in->U64();
  function->name = in->String();
  const std::uint8_t kind = in->U8();
  if (kind > static_cast<std::uint8_t>(FunctionKind::kWrite)) {
    return Status::Invalid("malformed function: unknown kind ", static_cast<int>(kind));
  }
  function->kind = static_cast<FunctionKind>(kind);
  function->is_class = in->Bool();
  function->batch_rows = in->I64();
  function->batch_format = in->String();
  function->zero_copy_batch = in->Bool();
  function->on_error = in->String();
  function->drops_rows = in->Bool();
  function->payload = ReadSharedString(in);
  return function;
}

void WriteSource(const ReadSource& source, WireWriter* out) {
  out->Bytes(source.format);
  out->Bytes(source.name);
  WriteSharedString(source.file_system.pickled, out);
  WriteOptions(source.options, out);
  WriteSchema(source.schema, out);
  WriteSchema(source.partition_schema, out);
  WriteFunction(source.function, out);
  out->Bool(source.pushes_projection);
  out->Bool(source.pushes_filter);
}

Result<std::shared_ptr<const ReadSource>> ReadSourceValue(WireReader* in) {
  auto source = std::make_shared<ReadSource>();
  source->format = in->String();
  source->name = in->String();
  source->file_system.pickled = ReadSharedString(in);
  ARROW_ASSIGN_OR_RAISE(source->options, ReadOptions(in));
  ARROW_ASSIGN_OR_RAISE(source->schema, ReadSchema(in));
  ARROW_ASSIGN_OR_RAISE(source->partition_schema, ReadSchema(in));
  ARROW_ASSIGN_OR_RAISE(source->function, ReadFunction(in));
  source->pushes_projection = in->Bool();
  source->pushes_filter = in->Bool();
  return source;
}

void WriteTargetValue(const WriteTarget& target, WireWriter* out) {
  out->Bytes(target.format);
  out->Bytes(target.name);
  out->Bytes(target.directory);
  out->Bytes(target.run_id);
  out->Bytes(target.temporary);
  WriteSharedString(target.file_system.pickled, out);
  WriteOptions(target.options, out);
  WriteFunction(target.function, out);
}

Result<std::shared_ptr<const WriteTarget>> ReadTargetValue(WireReader* in) {
  auto target = std::make_shared<WriteTarget>();
  target->format = in->String();
  target->name = in->String();
  target->directory = in->String();
  target->run_id = in->String();
  target->temporary = in->String();
  target->file_system.pickled = ReadSharedString(in);
  ARROW_ASSIGN_OR_RAISE(target->options, ReadOptions(in));
  ARROW_ASSIGN_OR_RAISE(target->function, ReadFunction(in));
  return target;
}

// ---- Steps. The tag is the index in the variant.

void WriteBody(const ReadStep& step, WireWriter* out) {
  WriteSource(*step.source, out);
  out->Bool(step.columns.has_value());
  if (step.columns) WriteStrings(*step.columns, out);
  WriteExpr(step.filter, out);
  out->I64(step.row_limit);
}

void WriteBody(const MapStep& step, WireWriter* out) { WriteFunction(step.function, out); }

void WriteBody(const FilterStep& step, WireWriter* out) { WriteExpr(step.predicate, out); }

void WriteBody(const ProjectStep& step, WireWriter* out) {
  out->Bool(step.keep_rest);
  WriteStrings(step.drop, out);
  WritePairs(step.rename, out);
  out->U64(step.exprs.size());
  for (const auto& [name, expr] : step.exprs) {
    out->Bytes(name);
    WriteExpr(expr, out);
  }
}

void WriteBody(const LimitStep& step, WireWriter* out) { out->I64(step.rows); }

void WriteBody(const WriteStep& step, WireWriter* out) { WriteTargetValue(*step.target, out); }

Result<Step> ReadReadStep(WireReader* in) {
  ReadStep step;
  ARROW_ASSIGN_OR_RAISE(step.source, ReadSourceValue(in));
  if (in->Bool()) step.columns = ReadStrings(in);
  ARROW_ASSIGN_OR_RAISE(step.filter, ReadExpr(in));
  step.row_limit = in->I64();
  return step;
}

Result<Step> ReadMapStep(WireReader* in) {
  MapStep step;
  ARROW_ASSIGN_OR_RAISE(step.function, ReadFunction(in));
  if (step.function == nullptr) return Status::Invalid("malformed step: a map without function");
  return step;
}

Result<Step> ReadFilterStep(WireReader* in) {
  FilterStep step;
  ARROW_ASSIGN_OR_RAISE(step.predicate, ReadExpr(in));
  if (step.predicate == nullptr)
    return Status::Invalid("malformed step: a filter without predicate");
  return step;
}

Result<Step> ReadProjectStep(WireReader* in) {
  ProjectStep step;
  step.keep_rest = in->Bool();
  step.drop = ReadStrings(in);
  step.rename = ReadPairs(in);
  step.exprs.resize(in->Count());
  for (auto& [name, expr] : step.exprs) {
    name = in->String();
    ARROW_ASSIGN_OR_RAISE(expr, ReadExpr(in));
    if (expr == nullptr) return Status::Invalid("malformed step: column '", name, "' is missing");
  }
  return step;
}

Result<Step> ReadWriteStep(WireReader* in) {
  WriteStep step;
  ARROW_ASSIGN_OR_RAISE(step.target, ReadTargetValue(in));
  return step;
}

Result<Step> ReadStepValue(WireReader* in) {
  const int kind = in->U8();
  if (in->bad()) return TruncatedError("step");
  switch (kind) {
    case 0:
      return ReadReadStep(in);
    case 1:
      return ReadMapStep(in);
    case 2:
      return ReadFilterStep(in);
    case 3:
      return ReadProjectStep(in);
    case 4:
      return Step(LimitStep{in->I64()});
    case 5:
      return ReadWriteStep(in);
  }
  return ReadExchangeStep(kind, in);
}

// The tags above are these indexes; those of the exchange's steps are in exchange.cc.
static_assert(std::is_same_v<std::variant_alternative_t<0, Step>, ReadStep>);
static_assert(std::is_same_v<std::variant_alternative_t<1, Step>, MapStep>);
static_assert(std::is_same_v<std::variant_alternative_t<2, Step>, FilterStep>);
static_assert(std::is_same_v<std::variant_alternative_t<3, Step>, ProjectStep>);
static_assert(std::is_same_v<std::variant_alternative_t<4, Step>, LimitStep>);
static_assert(std::is_same_v<std::variant_alternative_t<5, Step>, WriteStep>);

const FunctionSpec* FunctionOf(const Step& step) {
  if (const auto* map = std::get_if<MapStep>(&step)) return map->function.get();
  if (const auto* read = std::get_if<ReadStep>(&step)) return read->source->function.get();
  if (const auto* write = std::get_if<WriteStep>(&step)) return write->target->function.get();
  return nullptr;
}

}  // namespace

const ReadStep* FindReadStep(const TaskProgram& program) {
  return program.steps.empty() ? nullptr : std::get_if<ReadStep>(&program.steps.front());
}

const FunctionSpec* FindFunction(const TaskProgram& program) {
  for (const Step& step : program.steps) {
    if (const FunctionSpec* function = FunctionOf(step)) return function;
  }
  return nullptr;
}

void WriteProgram(const TaskProgram& program, WireWriter* out) {
  out->U64(program.id);
  out->Bytes(program.name);
  out->U64(program.steps.size());
  for (const Step& step : program.steps) {
    out->U8(static_cast<std::uint8_t>(step.index()));
    std::visit([&](const auto& body) { WriteBody(body, out); }, step);
  }
  out->I64(program.shape.target_min_bytes);
  out->I64(program.shape.target_max_bytes);
  out->Bool(program.shape.shape);
  out->U8(static_cast<std::uint8_t>(program.lane));
  out->Bool(program.shared_output);
  out->U64(program.seed);
  out->Bytes(program.run_name);
}

Result<ProgramPtr> ReadProgram(WireReader* in) {
  auto program = std::make_shared<TaskProgram>();
  program->id = in->U64();
  program->name = in->String();
  const std::uint64_t steps = in->Count();
  for (std::uint64_t i = 0; i < steps; ++i) {
    ARROW_ASSIGN_OR_RAISE(Step step, ReadStepValue(in));
    program->steps.push_back(std::move(step));
  }
  program->shape.target_min_bytes = in->I64();
  program->shape.target_max_bytes = in->I64();
  program->shape.shape = in->Bool();
  program->lane = in->U8() == 0 ? Lane::kThread : Lane::kProcess;
  program->shared_output = in->Bool();
  program->seed = in->U64();
  program->run_name = in->String();
  if (in->bad()) return TruncatedError("program");
  return program;
}

void WriteReadUnit(const ReadUnit& unit, WireWriter* out) {
  out->Bytes(unit.path);
  WriteStrings(unit.more_paths, out);
  out->I64(unit.begin);
  out->I64(unit.end);
  out->I64(unit.num_rows);
  out->I64(unit.num_bytes);
  WritePairs(unit.partition, out);
  WriteSharedString(unit.payload, out);
}

ReadUnit ReadReadUnit(WireReader* in) {
  ReadUnit unit;
  unit.path = in->String();
  unit.more_paths = ReadStrings(in);
  unit.begin = in->I64();
  unit.end = in->I64();
  unit.num_rows = in->I64();
  unit.num_bytes = in->I64();
  unit.partition = ReadPairs(in);
  unit.payload = ReadSharedString(in);
  return unit;
}

}  // namespace headrace
