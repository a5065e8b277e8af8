#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"

namespace headrace {

/// One rewrite that keeps the meaning of the plan.
///
/// A rule has no state and does no I/O: equal operators give equal answers. The optimizer walks
/// the tree bottom-up, calls the rule at every operator, and validates the plan after each rule
/// that changed it.
class Rule {
 public:
  virtual ~Rule() = default;

  /// Names the rule in EXPLAIN, in traces and in golden files. Unique and stable.
  virtual std::string_view name() const = 0;

  /// Returns the better form of `op`, whose inputs are already rewritten.
  /// Returns `op` itself, the same pointer, when the rule does not apply.
  virtual Result<LogicalPtr> Rewrite(const LogicalPtr& op) const = 0;
};

/// A rewrite of the lowered plan, as a whole.
class PhysicalRule {
 public:
  virtual ~PhysicalRule() = default;
  virtual std::string_view name() const = 0;
  /// Returns the better plan, or `plan` unchanged.
  virtual Result<PhysicalPlan> Rewrite(PhysicalPlan plan) const = 0;
};

/// Rules that run together, in order, until a pass changes nothing.
struct RuleBatch {
  std::string_view name;
  int passes_max = 1;       // 1: run once. Else a bound; to reach it means that two rules fight.
  bool moves_rows = false;  // Rows may come in another order: only where none is asked for.
  std::vector<std::shared_ptr<const Rule>> rules;
};

}  // namespace headrace
