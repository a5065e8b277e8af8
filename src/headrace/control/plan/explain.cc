#include "headrace/control/plan/explain.h"

#include <sstream>
#include <vector>

namespace headrace {
namespace {

using Details = std::vector<std::string>;

std::string List(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

std::string Line(int depth, std::string_view kind, const std::string& name,
                 const Details& details) {
  std::string text;
  if (depth > 0) text = std::string(static_cast<std::size_t>(depth - 1) * 3, ' ') + "+- ";
  text += std::string(kind) + "[" + name + "]";
  if (!details.empty()) text += " (" + List(details) + ")";
  return text + "\n";
}

// ---- Logical plans.

std::string_view KindOf(const LogicalKind& kind) {
  struct {
    std::string_view operator()(const logical::Read&) const { return "Read"; }
    std::string_view operator()(const logical::InputData&) const { return "InputData"; }
    std::string_view operator()(const logical::Map& map) const {
      switch (map.function->kind) {
        case FunctionKind::kMapRows:
          return "MapRows";
        case FunctionKind::kFlatMapRows:
          return "FlatMap";
        case FunctionKind::kFilterRows:
          return "Filter";
        default:
          return "MapBatches";
      }
    }
    std::string_view operator()(const logical::Filter&) const { return "Filter"; }
    std::string_view operator()(const logical::Project&) const { return "Project"; }
    std::string_view operator()(const logical::Limit&) const { return "Limit"; }
    std::string_view operator()(const logical::Union&) const { return "Union"; }
    std::string_view operator()(const logical::Mix&) const { return "Mix"; }
    std::string_view operator()(const logical::Write&) const { return "Write"; }
    std::string_view operator()(const logical::Repartition&) const { return "Repartition"; }
    std::string_view operator()(const logical::RandomShuffle&) const { return "RandomShuffle"; }
    std::string_view operator()(const logical::RandomizeBlocks&) const {
      return "RandomizeBlockOrder";
    }
    std::string_view operator()(const logical::Sort&) const { return "Sort"; }
    std::string_view operator()(const logical::Aggregate&) const { return "Aggregate"; }
    std::string_view operator()(const logical::Group&) const { return "Group"; }
    std::string_view operator()(const logical::Join&) const { return "Join"; }
    std::string_view operator()(const logical::Zip&) const { return "Zip"; }
  } name;
  return std::visit(name, kind);
}

Details DetailsOf(const ReadStep& read) {
  Details details;
  if (read.columns) details.push_back("columns=[" + List(*read.columns) + "]");
  if (read.filter != nullptr) details.push_back("filter=" + ToString(read.filter));
  if (read.row_limit >= 0) details.push_back("limit=" + std::to_string(read.row_limit));
  return details;
}

Details DetailsOf(const ProjectStep& project) {
  Details details;
  if (!project.drop.empty()) details.push_back("drop=[" + List(project.drop) + "]");
  for (const auto& [from, to] : project.rename) details.push_back(to + "=" + from);
  for (const auto& [name, expr] : project.exprs) {
    const std::string text = ToString(expr);
    details.push_back(text == name ? name : name + "=" + text);
  }
  if (project.keep_rest) details.insert(details.begin(), "*");
  return details;
}

std::string TextOf(const std::vector<SortKey>& keys) {
  std::vector<std::string> names;
  for (const SortKey& key : keys) {
    names.push_back(key.column + (key.descending ? " desc" : "") +
                    (key.nulls_first ? " nulls first" : ""));
  }
  return "keys=[" + List(names) + "]";
}

std::string_view TextOf(JoinKind kind) {
  constexpr std::string_view kNames[] = {"inner",     "left outer", "right outer", "full outer",
                                         "left semi", "right semi", "left anti",   "right anti"};
  return kNames[static_cast<std::size_t>(kind)];
}

Details DetailsOf(const AggregateStep& step) {
  Details details;
  if (!step.keys.empty()) details.push_back("keys=[" + List(step.keys) + "]");
  for (const AggregateSpec& spec : step.aggregates) details.push_back(ToString(spec));
  return details;
}

Details DetailsOf(const JoinStep& step) {
  return {std::string(TextOf(step.kind)),
          "on [" + List(step.left_keys) + "]=[" + List(step.right_keys) + "]"};
}

Details DetailsOf(const logical::Repartition& op) {
  Details details;
  if (op.blocks >= 0) details.push_back("blocks=" + std::to_string(op.blocks));
  if (op.rows_per_block >= 0) details.push_back("rows=" + std::to_string(op.rows_per_block));
  if (!op.keys.empty()) details.push_back("keys=[" + List(op.keys) + "]");
  if (op.shuffle) details.push_back("shuffle");
  return details;
}

// Of a logical or a physical mix.
template <class MixT>
Details DetailsOfMix(const MixT& mix) {
  std::string weights;
  for (const double weight : mix.weights) {
    std::ostringstream text;
    text << weight;
    weights += (weights.empty() ? "" : ", ") + text.str();
  }
  Details details{"weights=[" + weights + "]"};
  if (mix.stop_on_shortest) details.push_back("stop on shortest");
  return details;
}

Details DetailsOf(const LogicalOperator& op) {
  if (const auto* read = op.As<logical::Read>()) {
    return DetailsOf(ReadStep{read->source, read->columns, read->filter, read->row_limit});
  }
  if (const auto* project = op.As<logical::Project>()) return DetailsOf(project->projection);
  if (const auto* mix = op.As<logical::Mix>()) return DetailsOfMix(*mix);
  if (const auto* repartition = op.As<logical::Repartition>()) return DetailsOf(*repartition);
  if (const auto* shuffle = op.As<logical::RandomShuffle>(); shuffle && shuffle->blocks >= 0) {
    return {"blocks=" + std::to_string(shuffle->blocks)};
  }
  if (const auto* sort = op.As<logical::Sort>()) {
    Details details{TextOf(sort->keys)};
    if (sort->limit >= 0) details.push_back("limit=" + std::to_string(sort->limit));
    return details;
  }
  if (const auto* aggregate = op.As<logical::Aggregate>()) {
    return DetailsOf(AggregateStep{{}, aggregate->keys, aggregate->aggregates});
  }
  if (const auto* group = op.As<logical::Group>()) return {"keys=[" + List(group->keys) + "]"};
  if (const auto* join = op.As<logical::Join>()) return DetailsOf(join->join);
  return {};
}

void Print(const LogicalPtr& op, int depth, std::string* out) {
  *out += Line(depth, KindOf(op->kind()), op->name(), DetailsOf(*op));
  for (const LogicalPtr& input : op->inputs()) Print(input, depth + 1, out);
}

// ---- Physical plans.

std::string_view KindOf(const OperatorSpec& op) {
  if (const auto* task = op.As<TaskOperator>()) {
    return std::holds_alternative<ActorPool>(task->compute) ? "ActorPoolMapOperator"
                                                            : "TaskPoolMapOperator";
  }
  if (op.As<LimitOperator>() != nullptr) return "LimitOperator";
  if (op.As<ExchangeOperator>() != nullptr) return "ExchangeOperator";
  if (op.As<MixOperator>() != nullptr) return "MixOperator";
  return op.As<UnionOperator>() != nullptr ? "UnionOperator" : "InputDataBuffer";
}

std::string TextOf(const Compute& compute) {
  if (const auto* tasks = std::get_if<TaskPool>(&compute)) {
    return tasks->max_tasks ? "at_once=" + std::to_string(*tasks->max_tasks) : "";
  }
  const auto& actors = std::get<ActorPool>(compute);
  std::string text = "actors=" + std::to_string(actors.min_size);
  if (actors.max_size != actors.min_size) text += ".." + std::to_string(actors.max_size);
  return text;
}

std::string_view TextOf(ExchangeKind kind) {
  constexpr std::string_view kNames[] = {"buckets",   "runs",     "rows",     "aligned",
                                         "broadcast", "gathered", "permuted", "row batches"};
  return kNames[static_cast<std::size_t>(kind)];
}

// The exchange's steps of a program, and what their numbers are.
std::string StepsOf(const TaskProgram& program) {
  struct {
    std::string operator()(const ScatterStep& step) const {
      const std::string by = step.keys.empty() ? "random" : List(step.keys);
      return "scatter(" + by + " to " + std::to_string(step.buckets) + ")";
    }
    std::string operator()(const SortStep& step) const {
      return step.limit < 0 ? "sort" : "top " + std::to_string(step.limit);
    }
    std::string operator()(const MergeStep& step) const {
      return step.limit < 0 ? "merge" : "merge " + std::to_string(step.limit);
    }
    std::string operator()(const ShuffleStep&) const { return "shuffle"; }
    std::string operator()(const GroupStep&) const { return "group"; }
    std::string operator()(const AggregateStep& step) const {
      constexpr std::string_view kPhases[] = {"partial", "final", "whole"};
      return "fold " + std::string(kPhases[static_cast<std::size_t>(step.phase)]);
    }
    std::string operator()(const JoinStep&) const { return "join"; }
    std::string operator()(const ZipStep&) const { return "zip"; }
    std::string operator()(const ReadStep&) const { return ""; }
    std::string operator()(const MapStep&) const { return ""; }
    std::string operator()(const FilterStep&) const { return ""; }
    std::string operator()(const ProjectStep&) const { return ""; }
    std::string operator()(const LimitStep&) const { return ""; }
    std::string operator()(const WriteStep&) const { return ""; }
  } name;
  std::string text;
  for (const Step& step : program.steps) {
    const std::string one = std::visit(name, step);
    if (!one.empty()) text += (text.empty() ? "" : " ") + one;
  }
  return text;
}

Details DetailsOf(const OperatorSpec& op) {
  Details details;
  if (const auto* exchange = op.As<ExchangeOperator>()) {
    details.push_back(std::string(TextOf(exchange->kind)));
    if (exchange->partitions >= 0) {
      details.push_back("partitions=" + std::to_string(exchange->partitions));
    }
    if (exchange->rows_per_partition >= 0) {
      details.push_back("rows=" + std::to_string(exchange->rows_per_partition));
    }
    if (exchange->broadcast_bytes > 0) {
      details.push_back("broadcast<=" + std::to_string(exchange->broadcast_bytes));
    }
    const std::string steps = exchange->program == nullptr ? "" : StepsOf(*exchange->program);
    if (!steps.empty()) details.push_back(steps);
    if (exchange->program != nullptr) details.push_back(exchange->cost.ToString());
  }
  if (const auto* mix = op.As<MixOperator>()) details = DetailsOfMix(*mix);
  if (const auto* input = op.As<InputOperator>()) {
    details.push_back("blocks=" + std::to_string(input->blocks.size()));
  }
  if (const auto* task = op.As<TaskOperator>()) {
    if (op.inputs.empty()) details.push_back("tasks=" + std::to_string(task->unit_groups.size()));
    const std::string compute = TextOf(task->compute);
    if (!compute.empty()) details.push_back(compute);
    details.push_back(task->cost.ToString());
    if (task->min_bundle_rows > 0) {
      details.push_back("bundle_rows=" + std::to_string(task->min_bundle_rows));
    }
    const std::string steps = StepsOf(*task->program);
    if (!steps.empty()) details.push_back(steps);
    details.push_back(task->program->lane == Lane::kProcess ? "process" : "thread");
  }
  if (op.keep_order) details.push_back("in order");
  return details;
}

void Print(const PhysicalPlan& plan, OperatorId id, int depth, std::string* out) {
  const OperatorSpec& op = plan.operators[static_cast<std::size_t>(id.value)];
  *out += Line(depth, KindOf(op), op.name, DetailsOf(op));
  for (OperatorId input : op.inputs) Print(plan, input, depth + 1, out);
}

}  // namespace

std::string Explain(const LogicalPtr& plan) {
  std::string text;
  Print(plan, 0, &text);
  return text;
}

std::string Explain(const PhysicalPlan& plan) {
  std::string text;
  if (plan.operators.empty()) return text;
  Print(plan, {static_cast<std::int32_t>(plan.operators.size()) - 1}, 0, &text);
  return text;
}

}  // namespace headrace
