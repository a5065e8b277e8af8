#include "headrace/control/plan/explain.h"

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
    std::string_view operator()(const logical::Write&) const { return "Write"; }
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

Details DetailsOf(const LogicalOperator& op) {
  if (const auto* read = op.As<logical::Read>()) {
    return DetailsOf(ReadStep{read->source, read->columns, read->filter, read->row_limit});
  }
  if (const auto* project = op.As<logical::Project>()) return DetailsOf(project->projection);
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

Details DetailsOf(const OperatorSpec& op) {
  Details details;
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
