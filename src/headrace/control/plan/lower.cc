#include "headrace/control/plan/lower.h"

#include "headrace/control/plan/derive.h"
#include "headrace/control/plan/lower_exchange.h"
#include "headrace/control/plan/read_groups.h"

namespace headrace {
namespace {

// Everything that a task makes, in one block.
constexpr BlockShape kOneBlock{std::int64_t{1} << 60, std::int64_t{1} << 60, true};

class Lowering {
 public:
  explicit Lowering(LoweringContext* context) : context_(*context) {}

  PhysicalPlan Run(const LogicalPtr& plan) {
    Lower(plan);
    plan_.max_errored_blocks = context_.options.max_errored_blocks;
    DeriveOrder(context_.options.preserve_order, &plan_);
    DeriveSharedOutputs(&plan_);
    return std::move(plan_);
  }

 private:
  using Inputs = std::vector<OperatorId>;

  // Lowers the inputs, then `op`; so operators come after what they consume.
  OperatorId Lower(const LogicalPtr& op) {
    Inputs inputs;
    for (const LogicalPtr& input : op->inputs()) inputs.push_back(Lower(input));
    return std::visit([&](const auto& kind) { return Lower(*op, kind, std::move(inputs)); },
                      op->kind());
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Read& read, Inputs) {
    TaskOperator task = MakeTask(op.name(), read.placement,
                                 ReadStep{read.source, read.columns, read.filter, read.row_limit});
    task.unit_groups = GroupUnits(read, context_.options, context_.capacity.cpu_milli);
    return Add(op.name(), std::move(task), {});
  }

  OperatorId Lower(const LogicalOperator&, const logical::InputData& data, Inputs) {
    return Add("Input", InputOperator{data.blocks}, {});
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Map& map, Inputs inputs) {
    TaskOperator task = MakeTask(op.name(), map.placement, MapStep{map.function});
    const bool batches = map.function->kind == FunctionKind::kMapBatches;
    if (map.min_bundle_rows > 0) {
      task.min_bundle_rows = map.min_bundle_rows;
    } else if (batches) {
      task.min_bundle_rows = map.function->batch_rows;
    }
    return Add(op.name(), std::move(task), std::move(inputs));
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Filter& filter, Inputs inputs) {
    return Add(op.name(), MakeTask(op.name(), filter.placement, FilterStep{filter.predicate}),
               std::move(inputs));
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Project& project, Inputs inputs) {
    return Add(op.name(), MakeTask(op.name(), project.placement, project.projection),
               std::move(inputs));
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Limit& limit, Inputs inputs) {
    // One block in, its first rows out: shaping would only copy them.
    TaskProgram cut = MakeProgram(op.name(), LimitStep{limit.rows});
    cut.shape.shape = false;
    return Add(op.name(),
               LimitOperator{limit.rows, std::make_shared<const TaskProgram>(std::move(cut))},
               std::move(inputs));
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Union&, Inputs inputs) {
    return Add(op.name(), UnionOperator{}, std::move(inputs));
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Mix& mix, Inputs inputs) {
    return Add(op.name(), MixOperator{mix.weights, mix.stop_on_shortest}, std::move(inputs));
  }

  OperatorId Lower(const LogicalOperator& op, const logical::Write& write, Inputs inputs) {
    TaskOperator task = MakeTask(op.name(), write.placement, WriteStep{write.target});
    task.min_bundle_rows = write.min_bundle_rows;
    return Add(op.name(), std::move(task), std::move(inputs));
  }

  // Pairs of inputs, one after the other.
  OperatorId Lower(const LogicalOperator& op, const logical::Zip& zip, Inputs inputs) {
    OperatorId left = inputs.front();
    for (std::size_t i = 1; i < inputs.size(); ++i) left = Exchange(op, {left, inputs[i]});
    return left;
  }

  template <class NeedsAllInput>
  OperatorId Lower(const LogicalOperator& op, const NeedsAllInput&, Inputs inputs) {
    return Exchange(op, std::move(inputs));
  }

  // The map side of each input, then the exchange with its reduce side.
  OperatorId Exchange(const LogicalOperator& op, Inputs inputs) {
    ExchangeParts parts = PlanExchange(op);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (parts.map_sides[i].empty()) continue;
      TaskProgram program = MakeProgram(op.name() + "(map)", std::move(parts.map_sides[i]));
      const Step& last = program.steps.back();
      const bool labels =
          std::holds_alternative<ScatterStep>(last) || std::holds_alternative<SortStep>(last);
      if (labels) program.shape.shape = false;
      std::string name = program.name;
      inputs[i] = Add(std::move(name), MakeTask({}, std::move(program)), {inputs[i]});
    }
    parts.exchange.max_attempts = context_.options.max_task_attempts;
    parts.exchange.target_partition_bytes = context_.options.target_max_block_bytes;
    if (parts.reduce) {
      TaskProgram program = MakeProgram(op.name(), *std::move(parts.reduce));
      if (parts.shape == ReduceShape::kOneBlock) program.shape = kOneBlock;
      if (parts.shape == ReduceShape::kAsMade) program.shape.shape = false;
      parts.exchange.program = std::make_shared<const TaskProgram>(std::move(program));
    }
    return Add(op.name(), std::move(parts.exchange), std::move(inputs));
  }

  TaskProgram MakeProgram(std::string name, Step step) {
    return MakeProgram(std::move(name), std::vector<Step>{std::move(step)});
  }

  TaskProgram MakeProgram(std::string name, std::vector<Step> steps) {
    TaskProgram program;
    program.id = context_.next_program_id++;
    program.name = std::move(name);
    program.steps = std::move(steps);
    program.shape = {context_.options.target_min_block_bytes,
                     context_.options.target_max_block_bytes, true};
    program.lane = LaneOf(program.steps);
    program.seed = context_.options.seed;
    program.run_name = context_.options.run_name;
    return program;
  }

  TaskOperator MakeTask(std::string name, const logical::Placement& placement, Step step) {
    return MakeTask(placement, MakeProgram(std::move(name), std::move(step)));
  }

  TaskOperator MakeTask(const logical::Placement& placement, TaskProgram program) {
    TaskOperator task;
    if (placement.cost) task.cost = *placement.cost;
    if (placement.compute) {
      task.compute = *placement.compute;
    } else if (HasClass(program.steps)) {
      task.compute = ActorPool{};
    }
    task.max_attempts = context_.options.max_task_attempts;
    program.where = placement.where;
    task.program = std::make_shared<const TaskProgram>(std::move(program));
    return task;
  }

  template <class Kind>
  OperatorId Add(std::string name, Kind kind, Inputs inputs) {
    plan_.operators.push_back({std::move(name), std::move(kind), std::move(inputs), false});
    return {static_cast<std::int32_t>(plan_.operators.size()) - 1};
  }

  LoweringContext& context_;
  PhysicalPlan plan_;
};

}  // namespace

Result<PhysicalPlan> Lower(const LogicalPtr& plan, LoweringContext* context) {
  return Lowering(context).Run(plan);
}

}  // namespace headrace
