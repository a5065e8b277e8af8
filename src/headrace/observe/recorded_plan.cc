#include "headrace/observe/recorded_plan.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/wire.h"
#include "headrace/protocol/program.h"
#include "headrace/protocol/resources_wire.h"

namespace headrace {
namespace {

// ---- Programs.

bool IsDecidedBy(const Step& step) {
  return std::holds_alternative<LimitStep>(step) || std::holds_alternative<MergeStep>(step) ||
         std::holds_alternative<ShuffleStep>(step) || std::holds_alternative<GroupStep>(step) ||
         std::holds_alternative<AggregateStep>(step) || std::holds_alternative<JoinStep>(step) ||
         std::holds_alternative<ZipStep>(step);
}

void WriteRecordedProgram(const ProgramPtr& program, WireWriter* out) {
  out->Bool(program != nullptr);
  if (program == nullptr) return;
  TaskProgram kept;
  kept.id = program->id;
  kept.name = program->name;
  kept.lane = program->lane;
  if (!program->steps.empty() && IsDecidedBy(program->steps.front())) {
    kept.steps.push_back(program->steps.front());
  }
  if (!program->steps.empty() && std::holds_alternative<ScatterStep>(program->steps.back())) {
    kept.steps.push_back(program->steps.back());
  }
  WriteProgram(kept, out);
  const ReadStep* read = FindReadStep(*program);
  out->Bool(read != nullptr);
  if (read == nullptr) return;
  out->Bytes(read->source->format);
  out->U64(read->source->units.size());
  for (const ReadUnit& unit : read->source->units) out->Bytes(unit.path);
}

Result<ProgramPtr> ReadRecordedProgram(WireReader* in) {
  if (!in->Bool()) return nullptr;
  ARROW_ASSIGN_OR_RAISE(ProgramPtr program, ReadProgram(in));
  if (!in->Bool()) return program;
  auto source = std::make_shared<ReadSource>();
  source->format = in->String();
  source->units.resize(in->Count());
  for (ReadUnit& unit : source->units) unit.path = in->String();
  auto reading = std::make_shared<TaskProgram>(*program);
  ReadStep read;
  read.source = std::move(source);
  reading->steps.insert(reading->steps.begin(), std::move(read));
  return reading;
}

// ---- Kinds of operators. The tag is the index in the variant.

void WriteCompute(const Compute& compute, WireWriter* out) {
  out->U8(static_cast<std::uint8_t>(compute.index()));
  if (const auto* tasks = std::get_if<TaskPool>(&compute)) {
    out->I32(tasks->max_tasks.value_or(-1));
    return;
  }
  const auto& actors = std::get<ActorPool>(compute);
  out->I32(actors.min_size);
  out->I32(actors.max_size);
  out->I32(actors.initial_size);
  out->I32(actors.max_tasks_in_flight);
}

Compute ReadCompute(WireReader* in) {
  if (in->U8() == 0) {
    const std::int32_t max_tasks = in->I32();
    return max_tasks < 0 ? TaskPool{} : TaskPool{max_tasks};
  }
  ActorPool actors;
  actors.min_size = in->I32();
  actors.max_size = in->I32();
  actors.initial_size = in->I32();
  actors.max_tasks_in_flight = in->I32();
  return actors;
}

struct WriteKind {
  WireWriter* out;

  void operator()(const InputOperator& input) const {
    out->U64(input.blocks.size());
    for (const BlockHandle& block : input.blocks) {
      out->U64(block.object.value);
      WriteBlockInfo(block.info, out);
    }
  }
  void operator()(const TaskOperator& task) const {
    WriteRecordedProgram(task.program, out);
    out->U64(task.unit_groups.size());
    for (const auto& group : task.unit_groups) {
      out->U64(group.size());
      for (const std::uint32_t unit : group) out->U32(unit);
    }
    WriteCompute(task.compute, out);
    WriteResources(task.cost, out);
    out->I64(task.min_bundle_rows);
    out->I32(task.piece_depth);
    out->I32(task.max_attempts);
  }
  void operator()(const LimitOperator& limit) const {
    out->I64(limit.rows);
    WriteRecordedProgram(limit.cut_program, out);
  }
  void operator()(const UnionOperator&) const {}
  void operator()(const MixOperator& mix) const {
    out->U64(mix.weights.size());
    for (const double weight : mix.weights) out->F64(weight);
    out->Bool(mix.stop_on_shortest);
  }
  void operator()(const ExchangeOperator& exchange) const {
    out->U8(static_cast<std::uint8_t>(exchange.kind));
    WriteRecordedProgram(exchange.program, out);
    out->I64(exchange.partitions);
    out->I64(exchange.rows_per_partition);
    out->I64(exchange.target_partition_bytes);
    out->U64(exchange.boundaries.size());
    for (const std::string& boundary : exchange.boundaries) out->Bytes(boundary);
    out->U64(exchange.seed);
    out->I32(exchange.small_input);
    out->I64(exchange.broadcast_bytes);
    WriteResources(exchange.cost, out);
    out->I32(exchange.max_attempts);
  }
};

using Kind = decltype(OperatorSpec::kind);

Result<Kind> ReadInput(WireReader* in) {
  InputOperator input;
  for (std::uint64_t left = in->Count(); left > 0; --left) {
    BlockHandle block;
    block.object.value = in->U64();
    ARROW_ASSIGN_OR_RAISE(block.info, ReadBlockInfo(in));
    input.blocks.push_back(std::move(block));
  }
  return input;
}

Result<Kind> ReadTask(WireReader* in) {
  TaskOperator task;
  ARROW_ASSIGN_OR_RAISE(task.program, ReadRecordedProgram(in));
  task.unit_groups.resize(in->Count());
  for (auto& group : task.unit_groups) {
    group.resize(in->Count());
    for (std::uint32_t& unit : group) unit = in->U32();
  }
  task.compute = ReadCompute(in);
  task.cost = ReadResources(in);
  task.min_bundle_rows = in->I64();
  task.piece_depth = in->I32();
  task.max_attempts = in->I32();
  return task;
}

Result<Kind> ReadExchange(WireReader* in) {
  ExchangeOperator exchange;
  const std::uint8_t kind = in->U8();
  if (kind > static_cast<std::uint8_t>(ExchangeKind::kRowBatches)) {
    return Status::Invalid("the plan has an exchange of unknown kind ", static_cast<int>(kind));
  }
  exchange.kind = static_cast<ExchangeKind>(kind);
  ARROW_ASSIGN_OR_RAISE(exchange.program, ReadRecordedProgram(in));
  exchange.partitions = in->I64();
  exchange.rows_per_partition = in->I64();
  exchange.target_partition_bytes = in->I64();
  exchange.boundaries.resize(in->Count());
  for (std::string& boundary : exchange.boundaries) boundary = in->String();
  exchange.seed = in->U64();
  exchange.small_input = in->I32();
  exchange.broadcast_bytes = in->I64();
  exchange.cost = ReadResources(in);
  exchange.max_attempts = in->I32();
  return exchange;
}

Result<Kind> ReadKind(WireReader* in) {
  const int kind = in->U8();
  switch (kind) {
    case 0:
      return ReadInput(in);
    case 1:
      return ReadTask(in);
    case 2: {
      LimitOperator limit;
      limit.rows = in->I64();
      ARROW_ASSIGN_OR_RAISE(limit.cut_program, ReadRecordedProgram(in));
      return limit;
    }
    case 3:
      return UnionOperator{};
    case 4: {
      MixOperator mix;
      mix.weights.resize(in->Count());
      for (double& weight : mix.weights) weight = in->F64();
      mix.stop_on_shortest = in->Bool();
      return mix;
    }
    case 5:
      return ReadExchange(in);
  }
  return Status::Invalid("the plan has an operator of unknown kind ", kind);
}

static_assert(std::is_same_v<std::variant_alternative_t<0, Kind>, InputOperator>);
static_assert(std::is_same_v<std::variant_alternative_t<1, Kind>, TaskOperator>);
static_assert(std::is_same_v<std::variant_alternative_t<2, Kind>, LimitOperator>);
static_assert(std::is_same_v<std::variant_alternative_t<3, Kind>, UnionOperator>);
static_assert(std::is_same_v<std::variant_alternative_t<4, Kind>, MixOperator>);
static_assert(std::is_same_v<std::variant_alternative_t<5, Kind>, ExchangeOperator>);

}  // namespace

void WritePlan(const PhysicalPlan& plan, WireWriter* out) {
  out->I64(plan.max_errored_blocks);
  out->U64(plan.operators.size());
  for (const OperatorSpec& spec : plan.operators) {
    out->Bytes(spec.name);
    out->Bool(spec.keep_order);
    out->U64(spec.inputs.size());
    for (const OperatorId input : spec.inputs) out->I32(input.value);
    out->U8(static_cast<std::uint8_t>(spec.kind.index()));
    std::visit(WriteKind{out}, spec.kind);
  }
}

Result<PhysicalPlan> ReadPlan(WireReader* in) {
  PhysicalPlan plan;
  plan.max_errored_blocks = in->I64();
  for (std::uint64_t left = in->Count(); left > 0; --left) {
    OperatorSpec& spec = plan.operators.emplace_back();
    spec.name = in->String();
    spec.keep_order = in->Bool();
    spec.inputs.resize(in->Count());
    for (OperatorId& input : spec.inputs) input.value = in->I32();
    ARROW_ASSIGN_OR_RAISE(spec.kind, ReadKind(in));
  }
  return plan;
}

void WriteExecutionOptions(const ExecutionOptions& options, WireWriter* out) {
  out->Bool(options.resource_limits.has_value());
  if (options.resource_limits) WriteResources(*options.resource_limits, out);
  WriteResources(options.exclude_resources, out);
  out->I64(options.object_store_bytes);
  out->I64(options.memory_limit_bytes);
  out->U8(static_cast<std::uint8_t>(options.budget_policy));
  out->F64(options.reservation_ratio);
  out->Bool(options.preserve_order);
  out->Bool(options.verbose_progress);
  out->I64(options.target_min_block_bytes);
  out->I64(options.target_max_block_bytes);
  out->I64(options.read_op_min_num_blocks);
  out->I64(options.max_errored_blocks);
  out->I32(options.max_task_attempts);
  out->U64(options.seed);
}

ExecutionOptions ReadExecutionOptions(WireReader* in) {
  ExecutionOptions options;
  if (in->Bool()) options.resource_limits = ReadResources(in);
  options.exclude_resources = ReadResources(in);
  options.object_store_bytes = in->I64();
  options.memory_limit_bytes = in->I64();
  options.budget_policy = static_cast<BudgetPolicy>(in->U8());
  options.reservation_ratio = in->F64();
  options.preserve_order = in->Bool();
  options.verbose_progress = in->Bool();
  options.target_min_block_bytes = in->I64();
  options.target_max_block_bytes = in->I64();
  options.read_op_min_num_blocks = in->I64();
  options.max_errored_blocks = in->I64();
  options.max_task_attempts = in->I32();
  options.seed = in->U64();
  return options;
}

void WriteTraits(const BackendTraits& traits, WireWriter* out) {
  WriteResources(traits.total, out);
  out->I64(traits.object_store_bytes);
  out->I64(traits.memory_bytes);
  out->I64(traits.memory_free_bytes);
  out->Bool(traits.parks_waiting_tasks);
  out->I64(traits.task_bytes);
  WriteResources(traits.possible.value_or(traits.total), out);
}

BackendTraits ReadTraits(WireReader* in) {
  BackendTraits traits;
  traits.total = ReadResources(in);
  traits.object_store_bytes = in->I64();
  traits.memory_bytes = in->I64();
  traits.memory_free_bytes = in->I64();
  traits.parks_waiting_tasks = in->Bool();
  traits.task_bytes = in->I64();
  traits.possible = ReadResources(in);
  return traits;
}

}  // namespace headrace
