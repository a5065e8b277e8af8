#include <algorithm>

#include "headrace/control/optimize/rules.h"

namespace headrace {
namespace {

// Returns true if `op` changes the bounds of blocks, and nothing else.
bool OnlyMovesBounds(const LogicalOperator& op) {
  const auto* repartition = op.As<logical::Repartition>();
  return repartition != nullptr && !repartition->shuffle && repartition->keys.empty();
}

// Returns true if `op` changes the order of rows, or the bounds of blocks, and nothing else.
bool OnlyMovesRows(const LogicalOperator& op) {
  if (const auto* sort = op.As<logical::Sort>()) return sort->limit < 0;
  return op.As<logical::Repartition>() || op.As<logical::RandomShuffle>() ||
         op.As<logical::RandomizeBlocks>();
}

bool DependsOnOrder(const AggregateSpec& spec) {
  return spec.kind == AggregateKind::kList || spec.kind == AggregateKind::kUnique ||
         spec.kind == AggregateKind::kFirst;
}

// Returns true if the result of `op` is one of those it may have whatever the order of its input.
// A sort is stable, and so are groups: there the order shows.
bool ForgetsOrder(const LogicalOperator& op) {
  if (op.As<logical::RandomShuffle>() != nullptr) return true;
  if (const auto* repartition = op.As<logical::Repartition>()) return repartition->shuffle;
  const auto* aggregate = op.As<logical::Aggregate>();
  return aggregate != nullptr &&
         std::none_of(aggregate->aggregates.begin(), aggregate->aggregates.end(), DependsOnOrder);
}

// Returns true if the result of `op` does not depend on the bounds of its input's blocks.
bool ForgetsBounds(const LogicalOperator& op) {
  return ForgetsOrder(op) || op.As<logical::Repartition>() || op.As<logical::Sort>() ||
         op.As<logical::Aggregate>() || op.As<logical::Group>() || op.As<logical::Join>();
}

// Two sorts, the first of which orders rows that are equal in the keys of the second.
LogicalPtr CombineSorts(const LogicalPtr& op) {
  const auto* outer = op->As<logical::Sort>();
  const auto* inner = op->input()->As<logical::Sort>();
  if (outer == nullptr || inner == nullptr || inner->limit >= 0 || !outer->boundaries.empty()) {
    return nullptr;
  }
  logical::Sort both = *outer;
  for (const SortKey& key : inner->keys) {
    const bool known = std::any_of(both.keys.begin(), both.keys.end(),
                                   [&](const SortKey& k) { return k.column == key.column; });
    if (!known) both.keys.push_back(key);
  }
  return LogicalOperator::Make(std::move(both), op->input()->inputs());
}

class ExchangeCombination : public Rule {
 public:
  std::string_view name() const override { return "exchange_combination"; }

  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override {
    if (op->inputs().empty()) return op;
    if (LogicalPtr combined = CombineSorts(op)) return combined;
    std::vector<LogicalPtr> inputs;
    for (LogicalPtr input : op->inputs()) {
      while ((ForgetsOrder(*op) && OnlyMovesRows(*input)) ||
             (ForgetsBounds(*op) && OnlyMovesBounds(*input))) {
        input = LogicalPtr(input->input());
      }
      inputs.push_back(std::move(input));
    }
    return LogicalOperator::WithInputs(op, std::move(inputs));
  }
};

}  // namespace

std::shared_ptr<const Rule> MakeExchangeCombination() {
  return std::make_shared<ExchangeCombination>();
}

}  // namespace headrace
