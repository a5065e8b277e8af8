#include "headrace/control/plan/pieces.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "headrace/base/check.h"
#include "headrace/base/wire.h"

namespace headrace {
namespace {

struct Consumer {
  std::size_t op = 0;
  std::uint32_t input = 0;
};

std::vector<std::optional<Consumer>> ConsumersOf(const PhysicalPlan& plan) {
  std::vector<std::optional<Consumer>> consumers(plan.operators.size());
  for (std::size_t i = 0; i < plan.operators.size(); ++i) {
    const std::vector<OperatorId>& inputs = plan.operators[i].inputs;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      consumers[static_cast<std::size_t>(inputs[k].value)] =
          Consumer{i, static_cast<std::uint32_t>(k)};
    }
  }
  return consumers;
}

// Returns the position at the end of the plan of what starts at `first` in operator `op`.
Position AtEnd(const PhysicalPlan& plan, const std::vector<std::optional<Consumer>>& consumers,
               std::size_t op, Position first) {
  for (auto next = consumers[op]; next; next = consumers[next->op]) {
    if (plan.operators[next->op].As<UnionOperator>() == nullptr) continue;
    first.path.insert(first.path.begin(), next->input);
  }
  return first;
}

FunctionPtr WithoutContents(const FunctionPtr& function) {
  if (function == nullptr) return nullptr;
  auto bare = std::make_shared<FunctionSpec>(*function);
  bare->id = 0;
  bare->payload = nullptr;
  bare->on_error.clear();
  return bare;
}

Step WithoutContents(Step step) {
  if (auto* map = std::get_if<MapStep>(&step)) {
    map->function = WithoutContents(map->function);
  } else if (auto* read = std::get_if<ReadStep>(&step)) {
    auto source = std::make_shared<ReadSource>(*read->source);
    source->file_system = {};
    source->function = WithoutContents(source->function);
    read->source = std::move(source);
  } else if (auto* write = std::get_if<WriteStep>(&step)) {
    auto target = std::make_shared<WriteTarget>(*write->target);
    target->run_id.clear();
    target->temporary.clear();
    target->file_system = {};
    target->function = WithoutContents(target->function);
    write->target = std::move(target);
  }
  return step;
}

void DescribeProgram(const ProgramPtr& shared, WireWriter* out) {
  if (shared == nullptr) return;
  TaskProgram program = *shared;
  program.id = 0;
  program.seed = 0;
  program.run_name.clear();
  program.shared_output = false;
  for (Step& step : program.steps) step = WithoutContents(std::move(step));
  WriteProgram(program, out);
}

void Describe(const TaskOperator& task, WireWriter* out) {
  DescribeProgram(task.program, out);
  out->I64(task.min_bundle_rows);
  const ReadStep* read = FindReadStep(*task.program);
  if (read == nullptr) return;
  out->U64(task.unit_groups.size());
  for (const UnitGroup& group : task.unit_groups) {
    out->U64(group.size());
    for (const std::uint32_t index : group) {
      ReadUnit unit = read->source->units[index];
      unit.payload = nullptr;
      out->U64(index);
      WriteReadUnit(unit, out);
    }
  }
}

void Describe(const ExchangeOperator& exchange, WireWriter* out) {
  DescribeProgram(exchange.program, out);
  out->U8(static_cast<std::uint8_t>(exchange.kind));
  out->I64(exchange.partitions);
  out->I64(exchange.rows_per_partition);
  out->I64(exchange.target_partition_bytes);
  out->U64(exchange.boundaries.size());
  for (const std::string& key : exchange.boundaries) out->Bytes(key);
  out->U64(exchange.seed);
  out->I64(exchange.small_input);
  out->I64(exchange.broadcast_bytes);
}

}  // namespace

Status SplitIntoPieces(PhysicalPlan* plan) {
  std::set<ObjectId> objects;
  for (OperatorSpec& op : plan->operators) {
    if (op.As<LimitOperator>() != nullptr) {
      return Status::Invalid("a plan with '", op.name, "' cannot be resumed: which rows a limit ",
                             "takes depends on all of its input");
    }
    if (op.As<MixOperator>() != nullptr) {
      return Status::Invalid("a plan with '", op.name, "' cannot be resumed: whose turn it is ",
                             "depends on all that came before");
    }
    if (op.As<ExchangeOperator>() != nullptr) {
      return Status::Invalid("a plan with '", op.name, "' cannot be resumed: the operator needs ",
                             "all of its input");
    }
    auto* input = std::get_if<InputOperator>(&op.kind);
    if (input == nullptr) continue;
    std::uint32_t number = 0;
    for (BlockHandle& block : input->blocks) {
      block.info.position = Position{{number++}};
      if (objects.insert(block.object).second) continue;
      return Status::Invalid("a plan that has the same blocks in memory twice cannot be resumed");
    }
  }
  plan->reports_pieces = true;
  // Where unions are nested, branches differ in depth: then some bundles end too early, but always
  // at the same blocks.
  std::vector<std::int32_t> depths;
  for (OperatorSpec& op : plan->operators) {
    std::int32_t depth = 1;
    for (const OperatorId input : op.inputs) {
      depth = std::max(depth, depths[static_cast<std::size_t>(input.value)]);
    }
    if (op.As<UnionOperator>() != nullptr) ++depth;
    depths.push_back(depth);
    if (auto* task = std::get_if<TaskOperator>(&op.kind)) task->piece_depth = depth;
  }
  return Status::OK();
}

std::vector<Piece> ListPieces(const PhysicalPlan& plan) {
  const auto consumers = ConsumersOf(plan);
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < plan.operators.size(); ++i) {
    const OperatorSpec& op = plan.operators[i];
    const OperatorId id{static_cast<std::int32_t>(i)};
    auto add = [&](std::uint32_t part, Position first) {
      pieces.push_back({id, part, AtEnd(plan, consumers, i, std::move(first))});
    };
    if (const auto* input = op.As<InputOperator>()) {
      for (std::size_t k = 0; k < input->blocks.size(); ++k) {
        add(static_cast<std::uint32_t>(k), input->blocks[k].info.position);
      }
    } else if (const auto* task = op.As<TaskOperator>(); task != nullptr && op.inputs.empty()) {
      for (const UnitGroup& group : task->unit_groups) {
        if (!group.empty()) add(group.front(), Position{{group.front()}});
      }
    }
  }
  return pieces;
}

void TakeOutPieces(const std::set<Position>& done, PhysicalPlan* plan) {
  std::set<std::pair<std::int32_t, std::uint32_t>> parts;
  for (const Piece& piece : ListPieces(*plan)) {
    if (done.contains(piece.position)) parts.insert({piece.op.value, piece.part});
  }
  for (std::size_t i = 0; i < plan->operators.size(); ++i) {
    OperatorSpec& op = plan->operators[i];
    const auto id = static_cast<std::int32_t>(i);
    if (auto* input = std::get_if<InputOperator>(&op.kind)) {
      std::uint32_t k = 0;
      std::erase_if(input->blocks, [&](const BlockHandle&) { return parts.contains({id, k++}); });
    } else if (auto* task = std::get_if<TaskOperator>(&op.kind)) {
      std::erase_if(task->unit_groups, [&](const UnitGroup& group) {
        return !group.empty() && parts.contains({id, group.front()});
      });
    }
  }
}

std::vector<std::pair<std::string, std::string>> DescribeOutputs(const PhysicalPlan& plan) {
  std::vector<std::pair<std::string, std::string>> described;
  for (const OperatorSpec& op : plan.operators) {
    WireWriter out;
    out.U64(op.kind.index());
    for (const OperatorId input : op.inputs) out.I64(input.value);
    if (const auto* task = op.As<TaskOperator>()) Describe(*task, &out);
    if (const auto* exchange = op.As<ExchangeOperator>()) Describe(*exchange, &out);
    if (const auto* input = op.As<InputOperator>()) out.U64(input->blocks.size());
    if (const auto* limit = op.As<LimitOperator>()) out.I64(limit->rows);
    if (const auto* mix = op.As<MixOperator>()) {
      for (const double weight : mix->weights) out.F64(weight);
      out.Bool(mix->stop_on_shortest);
    }
    described.emplace_back(op.name, out.Take());
  }
  return described;
}

}  // namespace headrace
