#include <algorithm>

#include "headrace/control/optimize/rules.h"
#include "headrace/control/plan/columns.h"
#include "headrace/control/plan/expr_facts.h"

namespace headrace {
namespace {

using Terms = std::vector<ExprPtr>;
using logical::Placement;

LogicalPtr FilterBy(const Terms& terms, const Placement& placement, LogicalPtr input) {
  if (terms.empty()) return input;
  return LogicalOperator::Make(logical::Filter{Conjunction(terms), placement}, {std::move(input)});
}

LogicalPtr Sink(const Terms& terms, const Placement& placement, const LogicalPtr& child);

// Moves those terms for which `move` gives a form in terms of the child's input; `below` builds
// the child over it. Returns null if none moves.
template <class Move, class Below>
LogicalPtr SinkSome(const Terms& terms, const Placement& placement, const Move& move,
                    const Below& below) {
  Terms moved, stay;
  for (const ExprPtr& term : terms) {
    ExprPtr form = move(term);
    if (form == nullptr) {
      stay.push_back(term);
    } else {
      moved.push_back(std::move(form));
    }
  }
  if (moved.empty()) return nullptr;
  return FilterBy(stay, placement, below(moved));
}

// Returns true if every column that `e` reads is one that the projection only passes on.
bool ReadsPassedColumns(const ExprPtr& e, const ProjectStep& projection) {
  std::vector<std::string> columns;
  CollectColumns(e, &columns);
  return std::all_of(columns.begin(), columns.end(), [&](const std::string& column) {
    const ExprPtr source = ResolveColumn(projection, column);
    return source != nullptr && IsTrivial(source);
  });
}

LogicalPtr SinkThroughProject(const Terms& terms, const Placement& placement,
                              const LogicalPtr& child) {
  const ProjectStep& projection = child->As<logical::Project>()->projection;
  const bool is_volatile = std::any_of(projection.exprs.begin(), projection.exprs.end(),
                                       [](const NamedExpr& e) { return IsVolatile(e.expr); });
  if (is_volatile) return nullptr;
  return SinkSome(
      terms, placement,
      [&](const ExprPtr& term) {
        return ReadsPassedColumns(term, projection) ? SubstituteProjection(term, projection)
                                                    : nullptr;
      },
      [&](const Terms& moved) {
        return LogicalOperator::WithInputs(child, {Sink(moved, placement, child->input())});
      });
}

// Joins terms to the filter below. A term that may fail stays: below, it would meet rows that the
// lower filter keeps from it.
LogicalPtr SinkIntoFilter(const Terms& terms, const Placement& placement, const LogicalPtr& child) {
  const auto& lower = *child->As<logical::Filter>();
  if (!(lower.placement == placement) || IsVolatile(lower.predicate)) return nullptr;
  return SinkSome(
      terms, placement, [](const ExprPtr& term) { return MayFail(term) ? nullptr : term; },
      [&](const Terms& moved) {
        Terms all = SplitConjunction(lower.predicate);
        all.insert(all.end(), moved.begin(), moved.end());
        return Sink(all, placement, child->input());
      });
}

LogicalPtr SinkIntoRead(const Terms& terms, const Placement& placement, const LogicalPtr& child) {
  const auto& read = *child->As<logical::Read>();
  if (!read.source->pushes_filter || read.row_limit >= 0) return nullptr;
  if (!(placement == Placement()) && !(placement == read.placement)) return nullptr;
  return SinkSome(
      terms, placement,
      [&](const ExprPtr& term) {
        std::vector<std::string> columns;
        CollectColumns(term, &columns);
        const bool joins_other = read.filter != nullptr && MayFail(term);
        return columns.empty() || joins_other ? nullptr : term;
      },
      [&](const Terms& moved) {
        Terms all = SplitConjunction(read.filter);
        all.insert(all.end(), moved.begin(), moved.end());
        logical::Read filtered = read;
        filtered.filter = Conjunction(all);
        return LogicalOperator::Make(std::move(filtered));
      });
}

LogicalPtr SinkThroughUnion(const Terms& terms, const Placement& placement,
                            const LogicalPtr& child) {
  return SinkSome(
      terms, placement, [](const ExprPtr& term) { return term; },
      [&](const Terms& moved) {
        std::vector<LogicalPtr> inputs;
        for (const LogicalPtr& input : child->inputs()) {
          inputs.push_back(Sink(moved, placement, input));
        }
        return LogicalOperator::WithInputs(child, std::move(inputs));
      });
}

bool Reads(const ExprPtr& term, const std::vector<std::string>& only) {
  std::vector<std::string> columns;
  CollectColumns(term, &columns);
  return !columns.empty() && std::all_of(columns.begin(), columns.end(), [&](const auto& column) {
    return std::find(only.begin(), only.end(), column) != only.end();
  });
}

// Past an operator that moves rows and changes none: terms for which `may` holds.
template <class May>
LogicalPtr SinkThrough(const Terms& terms, const Placement& placement, const LogicalPtr& child,
                       const May& may) {
  return SinkSome(
      terms, placement, [&](const ExprPtr& term) { return may(term) ? term : nullptr; },
      [&](const Terms& moved) {
        return LogicalOperator::WithInputs(child, {Sink(moved, placement, child->input())});
      });
}

// Returns the columns of a join's output that are those of input `side`, row for row; empty if
// filtering that side would change which rows of the other one are without a match.
std::vector<std::string> OwnColumns(const LogicalPtr& join_op, std::size_t side) {
  const JoinStep& join = join_op->As<logical::Join>()->join;
  const JoinKind kind = join.kind;
  const bool left =
      kind == JoinKind::kLeftOuter || kind == JoinKind::kLeftSemi || kind == JoinKind::kLeftAnti;
  const bool right =
      kind == JoinKind::kRightOuter || kind == JoinKind::kRightSemi || kind == JoinKind::kRightAnti;
  const bool inner = kind == JoinKind::kInner;
  if (!inner && !(side == 0 ? left : right)) return {};
  const auto mine = InferColumns(join_op->inputs()[side]);
  const auto others = InferColumns(join_op->inputs()[1 - side]);
  if (!mine || !others) return {};
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<std::string> own;
  for (const std::string& name : *mine) {
    const bool is_key = has(side == 0 ? join.left_keys : join.right_keys, name);
    // Keys leave under their left names.
    const bool keeps_name = is_key ? side == 0 : !has(*others, name);
    if (keeps_name && (side == 0 || !has(join.left_keys, name))) own.push_back(name);
  }
  return own;
}

LogicalPtr SinkThroughJoin(const Terms& terms, const Placement& placement,
                           const LogicalPtr& child) {
  for (const std::size_t side : {0U, 1U}) {
    const std::vector<std::string> own = OwnColumns(child, side);
    LogicalPtr sunk = SinkSome(
        terms, placement,
        [&](const ExprPtr& term) { return !MayFail(term) && Reads(term, own) ? term : nullptr; },
        [&](const Terms& moved) {
          std::vector<LogicalPtr> inputs = child->inputs();
          inputs[side] = Sink(moved, placement, inputs[side]);
          return LogicalOperator::WithInputs(child, std::move(inputs));
        });
    if (sunk == nullptr) continue;
    // What is left of them may go to the other side.
    const auto* rest = sunk->As<logical::Filter>();
    if (rest == nullptr) return sunk;
    LogicalPtr further =
        SinkThroughJoin(SplitConjunction(rest->predicate), placement, sunk->input());
    return further == nullptr ? sunk : further;
  }
  return nullptr;
}

LogicalPtr SinkThroughExchange(const Terms& terms, const Placement& placement,
                               const LogicalPtr& child) {
  if (child->As<logical::Join>()) return SinkThroughJoin(terms, placement, child);
  const auto* sort = child->As<logical::Sort>();
  if (child->As<logical::Repartition>() || child->As<logical::RandomShuffle>() ||
      child->As<logical::RandomizeBlocks>() || (sort != nullptr && sort->limit < 0)) {
    return SinkThrough(terms, placement, child, [](const ExprPtr&) { return true; });
  }
  const auto* aggregate = child->As<logical::Aggregate>();
  if (aggregate == nullptr) return nullptr;
  return SinkThrough(terms, placement, child, [&](const ExprPtr& term) {
    return !MayFail(term) && Reads(term, aggregate->keys);
  });
}

// A term that goes by a row's place must see the same rows before it: no other term goes ahead.
bool AnyVolatile(const Terms& terms) { return std::any_of(terms.begin(), terms.end(), IsVolatile); }

// Returns the filtered `child` with some term moved into or below it, or null if none may move.
LogicalPtr TrySink(const Terms& terms, const Placement& placement, const LogicalPtr& child) {
  if (AnyVolatile(terms)) return nullptr;
  if (child->As<logical::Project>()) return SinkThroughProject(terms, placement, child);
  if (child->As<logical::Filter>()) return SinkIntoFilter(terms, placement, child);
  if (child->As<logical::Read>()) return SinkIntoRead(terms, placement, child);
  if (child->As<logical::Union>()) return SinkThroughUnion(terms, placement, child);
  return SinkThroughExchange(terms, placement, child);
}

LogicalPtr Sink(const Terms& terms, const Placement& placement, const LogicalPtr& child) {
  LogicalPtr sunk = TrySink(terms, placement, child);
  return sunk == nullptr ? FilterBy(terms, placement, child) : sunk;
}

class PredicatePushdown : public Rule {
 public:
  std::string_view name() const override { return "predicate_pushdown"; }

  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override {
    const auto* filter = op->As<logical::Filter>();
    if (filter == nullptr) return op;
    LogicalPtr sunk = TrySink(SplitConjunction(filter->predicate), filter->placement, op->input());
    return sunk == nullptr ? op : sunk;
  }
};

}  // namespace

std::shared_ptr<const Rule> MakePredicatePushdown() {
  return std::make_shared<PredicatePushdown>();
}

}  // namespace headrace
