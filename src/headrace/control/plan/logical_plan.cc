#include "headrace/control/plan/logical_plan.h"

#include "headrace/base/check.h"
#include "headrace/control/plan/facts.h"

namespace headrace {
namespace {

std::string_view Verb(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::kMapBatches:
      return "MapBatches";
    case FunctionKind::kMapRows:
      return "Map";
    case FunctionKind::kFlatMapRows:
      return "FlatMap";
    case FunctionKind::kFilterRows:
      return "Filter";
    case FunctionKind::kRead:
      return "Read";
    case FunctionKind::kWrite:
      return "Write";
  }
  return "Map";
}

struct NameOf {
  std::string operator()(const logical::Read& read) const { return "Read" + read.source->name; }
  std::string operator()(const logical::InputData& data) const { return data.name; }
  std::string operator()(const logical::Map& map) const {
    return std::string(Verb(map.function->kind)) + "(" + map.function->name + ")";
  }
  std::string operator()(const logical::Filter& filter) const {
    return "Filter(" + ToString(filter.predicate) + ")";
  }
  std::string operator()(const logical::Project& project) const {
    return project.label.empty() ? "Project" : project.label;
  }
  std::string operator()(const logical::Limit& limit) const {
    return "limit=" + std::to_string(limit.rows);
  }
  std::string operator()(const logical::Union&) const { return "Union"; }
  std::string operator()(const logical::Mix&) const { return "Mix"; }
  std::string operator()(const logical::Write&) const { return "Write"; }
  std::string operator()(const logical::Repartition&) const { return "Repartition"; }
  std::string operator()(const logical::RandomShuffle&) const { return "RandomShuffle"; }
  std::string operator()(const logical::RandomizeBlocks&) const { return "RandomizeBlockOrder"; }
  std::string operator()(const logical::Sort&) const { return "Sort"; }
  std::string operator()(const logical::Aggregate&) const { return "Aggregate"; }
  std::string operator()(const logical::Group&) const { return "Group"; }
  std::string operator()(const logical::Join&) const { return "Join"; }
  std::string operator()(const logical::Zip&) const { return "Zip"; }
};

// Returns true if an operator of this kind takes `count` inputs.
bool TakesInputs(const LogicalKind& kind, std::size_t count) {
  if (std::holds_alternative<logical::Read>(kind) ||
      std::holds_alternative<logical::InputData>(kind)) {
    return count == 0;
  }
  if (std::holds_alternative<logical::Join>(kind)) return count == 2;
  if (std::holds_alternative<logical::Zip>(kind)) return count >= 2;
  const bool any =
      std::holds_alternative<logical::Union>(kind) || std::holds_alternative<logical::Mix>(kind);
  return any ? count >= 1 : count == 1;
}

}  // namespace

LogicalPtr LogicalOperator::Make(LogicalKind kind, std::vector<LogicalPtr> inputs) {
  HEADRACE_CHECK(TakesInputs(kind, inputs.size()));
  const std::shared_ptr<LogicalOperator> op(
      new LogicalOperator(std::move(kind), std::move(inputs)));
  op->facts_ = {FindSchema(*op), FindColumns(*op), FindFault(*op)};
  return op;
}

LogicalPtr LogicalOperator::WithInputs(const LogicalPtr& op, std::vector<LogicalPtr> inputs) {
  if (inputs == op->inputs()) return op;
  return Make(op->kind(), std::move(inputs));
}

std::string LogicalOperator::name() const { return std::visit(NameOf{}, kind_); }

}  // namespace headrace
