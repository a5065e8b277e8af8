#include "headrace/control/optimize/optimizer.h"

#include <algorithm>
#include <string>

#include "headrace/control/optimize/rules.h"

namespace headrace {
namespace {

constexpr std::string_view kUserBatch = "user";

// The rules sink an operator to its final place in one call; a second pass settles what one rule
// opened for another of its batch, a third finds nothing. More is a sign of a fight.
constexpr int kPassesMax = 10;

std::vector<RuleBatch> DefaultBatches() {
  return {
      // Filters first: a read that has learned a limit can take no filter any more, and a
      // column that only a filter reads need not leave the read once the filter is in it.
      {"push predicates", kPassesMax, false, {MakePredicatePushdown()}},
      // Limits before projections: a limit jumps over projections on its way down, which brings
      // projections next to each other, and next to the reads, for the last batch to merge.
      {"push limits", kPassesMax, false, {MakeLimitPushdown()}},
      // Now that filters and limits are out of the way, exchanges stand next to each other.
      {"combine exchanges", kPassesMax, false, {MakeExchangeCombination()}},
      // What filters leave of a side is known, and the projections this makes are still to merge.
      {"choose sides", kPassesMax, true, {MakeJoinSides()}},
      // Projections last: only now is it settled which columns anybody above still reads.
      {"push projections", kPassesMax, false, {MakeProjectionPushdown()}},
  };
}

// Calls `rule` at every operator, inputs first.
Result<LogicalPtr> Walk(const Rule& rule, const LogicalPtr& op) {
  std::vector<LogicalPtr> inputs;
  for (const LogicalPtr& input : op->inputs()) {
    ARROW_ASSIGN_OR_RAISE(inputs.emplace_back(), Walk(rule, input));
  }
  return rule.Rewrite(LogicalOperator::WithInputs(op, std::move(inputs)));
}

Result<LogicalPtr> Apply(const Rule& rule, const LogicalPtr& plan) {
  ARROW_ASSIGN_OR_RAISE(LogicalPtr better, Walk(rule, plan));
  if (better == nullptr) return Status::Invalid("rule '", rule.name(), "' returned no plan");
  if (better == plan) return plan;
  const Status valid = Validate(better);
  if (!valid.ok()) {
    return valid.WithMessage("rule '", rule.name(), "' made a wrong plan: ", valid.message());
  }
  return better;
}

Result<LogicalPtr> Run(const RuleBatch& batch, LogicalPtr plan) {
  for (int pass = 0; pass < batch.passes_max; ++pass) {
    const LogicalPtr before = plan;
    for (const auto& rule : batch.rules) {
      ARROW_ASSIGN_OR_RAISE(plan, Apply(*rule, plan));
    }
    if (plan == before || batch.passes_max == 1) return plan;
  }
  return Status::Invalid("the rules of batch '", batch.name, "' still change the plan after ",
                         batch.passes_max, " passes");
}

// Removes the rules of this name; returns true if there were any.
template <class Rules>
bool RemoveFrom(std::string_view name, Rules* rules) {
  return std::erase_if(*rules, [&](const auto& rule) { return rule->name() == name; }) > 0;
}

}  // namespace

Optimizer::Optimizer() : logical_(DefaultBatches()), physical_({MakeOperatorFusion()}) {}

void Optimizer::AddRule(std::shared_ptr<const Rule> rule) {
  // Users' rules run once, after the defaults: they see the plan that would run without them.
  if (logical_.empty() || logical_.back().name != kUserBatch)
    logical_.push_back({kUserBatch, 1, false, {}});
  logical_.back().rules.push_back(std::move(rule));
}

void Optimizer::AddRule(std::shared_ptr<const PhysicalRule> rule) {
  physical_.push_back(std::move(rule));
}

bool Optimizer::RemoveRule(std::string_view name) {
  bool removed = RemoveFrom(name, &physical_);
  for (RuleBatch& batch : logical_) removed |= RemoveFrom(name, &batch.rules);
  return removed;
}

Result<LogicalPtr> Optimizer::Optimize(const LogicalPtr& plan, bool preserve_order) const {
  LogicalPtr better = plan;
  for (const RuleBatch& batch : logical_) {
    if (preserve_order && batch.moves_rows) continue;
    ARROW_ASSIGN_OR_RAISE(better, Run(batch, std::move(better)));
  }
  return better;
}

Result<PhysicalPlan> Optimizer::Optimize(PhysicalPlan plan) const {
  for (const auto& rule : physical_) {
    ARROW_ASSIGN_OR_RAISE(plan, rule->Rewrite(std::move(plan)));
  }
  return plan;
}

Result<PlanStages> PlanQuery(const LogicalPtr& plan, const Optimizer& optimizer,
                             LoweringContext* context) {
  ARROW_RETURN_NOT_OK(Validate(plan));
  PlanStages stages;
  stages.logical = plan;
  Optimizer allowed = optimizer;
  if (context->options.max_errored_blocks != 0) {
    // A task that fails takes its rows with it: then no operator is known to make as many rows as
    // it gets.
    allowed.RemoveRule("limit_pushdown");
  }
  ARROW_ASSIGN_OR_RAISE(stages.optimized_logical,
                        allowed.Optimize(plan, context->options.preserve_order));
  ARROW_ASSIGN_OR_RAISE(stages.physical, Lower(stages.optimized_logical, context));
  ARROW_ASSIGN_OR_RAISE(stages.optimized_physical, optimizer.Optimize(stages.physical));
  return stages;
}

}  // namespace headrace
