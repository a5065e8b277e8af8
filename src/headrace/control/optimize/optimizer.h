#pragma once

#include <memory>
#include <vector>

#include "headrace/control/optimize/rule.h"
#include "headrace/control/plan/lower.h"

namespace headrace {

/// The rules in force: the default batches, each with the reason for its place (optimizer.cc),
/// then the user's.
class Optimizer {
 public:
  Optimizer();

  /// Adds a rule after the default ones.
  void AddRule(std::shared_ptr<const Rule> rule);
  void AddRule(std::shared_ptr<const PhysicalRule> rule);
  /// Removes the rule of this name, default or not. Returns false if there is none.
  bool RemoveRule(std::string_view name);

  /// `preserve_order`: rows are to come in the order that the plan gives them.
  Result<LogicalPtr> Optimize(const LogicalPtr& plan, bool preserve_order = true) const;
  Result<PhysicalPlan> Optimize(PhysicalPlan plan) const;

 private:
  std::vector<RuleBatch> logical_;
  std::vector<std::shared_ptr<const PhysicalRule>> physical_;
};

/// The four stages of a plan, as explain() shows them.
struct PlanStages {
  LogicalPtr logical;
  LogicalPtr optimized_logical;
  PhysicalPlan physical;
  PhysicalPlan optimized_physical;
};

/// Validates, optimizes, lowers and optimizes again. Where tasks may fail (max_errored_blocks), no
/// limit moves.
Result<PlanStages> PlanQuery(const LogicalPtr& plan, const Optimizer& optimizer,
                             LoweringContext* context);

}  // namespace headrace
