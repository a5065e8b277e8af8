#include <algorithm>
#include <map>
#include <set>

#include "headrace/control/optimize/rules.h"
#include "headrace/control/plan/columns.h"
#include "headrace/control/plan/expr_facts.h"

namespace headrace {
namespace {

using Names = std::vector<std::string>;
using NameSet = std::set<std::string>;

NameSet ReadBy(const std::vector<NamedExpr>& exprs) {
  Names names;
  for (const NamedExpr& made : exprs) CollectColumns(made.expr, &names);
  return {names.begin(), names.end()};
}

LogicalPtr ProjectTo(std::vector<NamedExpr> exprs, const logical::Project& like, LogicalPtr input) {
  logical::Project project{{}, like.label, like.placement};
  project.projection.exprs = std::move(exprs);
  return LogicalOperator::Make(std::move(project), {std::move(input)});
}

// Returns the whole output of a projection, or unset if its input's columns are not known.
std::optional<std::vector<NamedExpr>> Expand(const ProjectStep& projection,
                                             const LogicalPtr& input) {
  if (!projection.keep_rest) return projection.exprs;
  const auto columns = InferColumns(input);
  if (!columns) return std::nullopt;
  return ExpandProjection(projection, *columns);
}

// ---- Narrowing: the same plan, as far as the columns in `needed` go.

LogicalPtr Narrow(const LogicalPtr& op, const NameSet& needed);
LogicalPtr PushDown(const LogicalPtr& op);

LogicalPtr NarrowRead(const LogicalPtr& op, const NameSet& needed) {
  const auto& read = *op->As<logical::Read>();
  // To read nothing but row counts serves every format.
  if (!read.source->pushes_projection && !needed.empty()) return op;
  const auto there = InferColumns(op);
  Names columns;
  if (there) {
    for (const std::string& name : *there) {
      if (needed.count(name) > 0) columns.push_back(name);
    }
    if (columns.size() < needed.size() || columns.size() == there->size()) return op;
  } else {
    columns.assign(needed.begin(), needed.end());
  }
  logical::Read narrow = read;
  narrow.columns = std::move(columns);
  return LogicalOperator::Make(std::move(narrow));
}

// Leaves out the columns that nobody reads.
LogicalPtr NarrowProject(const LogicalPtr& op, const NameSet& needed) {
  const auto& project = *op->As<logical::Project>();
  const auto exprs = Expand(project.projection, op->input());
  if (!exprs) return op;
  std::vector<NamedExpr> kept;
  for (const NamedExpr& made : *exprs) {
    if (needed.count(made.name) > 0) kept.push_back(made);
  }
  if (kept.size() == exprs->size()) return op;
  return PushDown(ProjectTo(std::move(kept), project, op->input()));
}

LogicalPtr NarrowUnion(const LogicalPtr& op, const NameSet& needed) {
  std::vector<LogicalPtr> inputs;
  for (const LogicalPtr& input : op->inputs()) {
    // A branch without one of the columns says so at run time; narrowing must not hide it.
    const auto there = InferColumns(input);
    const bool has_all =
        there && std::all_of(needed.begin(), needed.end(), [&](const std::string& name) {
          return std::find(there->begin(), there->end(), name) != there->end();
        });
    inputs.push_back(has_all ? Narrow(input, needed) : input);
  }
  return LogicalOperator::WithInputs(op, std::move(inputs));
}

// Returns `op`, which goes into an exchange, without the columns that are not in `needed`.
LogicalPtr NarrowBeforeExchange(const LogicalPtr& op, const NameSet& needed) {
  if (needed.empty()) return op;  // An exchange has to move something, if only to be counted.
  const LogicalPtr narrow = Narrow(op, needed);
  const auto there = InferColumns(narrow);
  if (there && there->size() <= needed.size()) return narrow;
  ProjectStep step;
  for (const std::string& name : there ? *there : Names(needed.begin(), needed.end())) {
    if (needed.count(name) > 0) step.exprs.push_back({name, MakeExpr(expr::Column{name})});
  }
  if (step.exprs.size() < needed.size()) return narrow;  // A column is missing; it is said later.
  return LogicalOperator::Make(logical::Project{std::move(step), "Project", {}}, {narrow});
}

NameSet With(NameSet names, const Names& more) {
  names.insert(more.begin(), more.end());
  return names;
}

LogicalPtr NarrowAggregate(const LogicalPtr& op, const NameSet& needed) {
  logical::Aggregate aggregate = *op->As<logical::Aggregate>();
  const bool drops = std::erase_if(aggregate.aggregates, [&](const AggregateSpec& spec) {
                       return needed.count(spec.name) == 0;
                     }) > 0;
  NameSet read(aggregate.keys.begin(), aggregate.keys.end());
  for (const AggregateSpec& spec : aggregate.aggregates) {
    if (!spec.column.empty()) read.insert(spec.column);
  }
  const bool global = aggregate.keys.empty();
  // Without keys, one row comes out even if nothing is folded, but it needs a column.
  if (global && aggregate.aggregates.empty()) return op;
  LogicalPtr input = global ? Narrow(op->input(), read) : NarrowBeforeExchange(op->input(), read);
  if (!drops) return LogicalOperator::WithInputs(op, {std::move(input)});
  return LogicalOperator::Make(std::move(aggregate), {std::move(input)});
}

// Which columns of a side are needed. Names on both sides decide how columns are called, so they go
// from both or from none.
LogicalPtr NarrowJoin(const LogicalPtr& op, const NameSet& needed) {
  const JoinStep& join = op->As<logical::Join>()->join;
  const auto left = InferColumns(op->inputs()[0]), right = InferColumns(op->inputs()[1]);
  if (!left || !right) return op;
  const NameSet on_left(left->begin(), left->end()), on_right(right->begin(), right->end());
  const auto of_side = [&](const Names& mine, const NameSet& others, const Names& keys) {
    NameSet kept(keys.begin(), keys.end());
    for (const std::string& name : mine) {
      const bool twice = others.count(name) > 0;
      const bool wanted = needed.count(name) > 0 || needed.count(name + join.left_suffix) > 0 ||
                          needed.count(name + join.right_suffix) > 0;
      const bool is_key =
          With({}, join.left_keys).count(name) > 0 || With({}, join.right_keys).count(name) > 0;
      if (twice ? wanted || is_key : needed.count(name) > 0) kept.insert(name);
    }
    return kept;
  };
  return LogicalOperator::WithInputs(
      op, {NarrowBeforeExchange(op->inputs()[0], of_side(*left, on_right, join.left_keys)),
           NarrowBeforeExchange(op->inputs()[1], of_side(*right, on_left, join.right_keys))});
}

// Returns `op` narrowed, or null if it is no exchange that can be.
LogicalPtr NarrowExchange(const LogicalPtr& op, const NameSet& needed) {
  if (op->As<logical::Aggregate>() != nullptr) return NarrowAggregate(op, needed);
  if (op->As<logical::Join>() != nullptr) return NarrowJoin(op, needed);
  Names keys;
  if (const auto* sort = op->As<logical::Sort>()) {
    for (const SortKey& key : sort->keys) keys.push_back(key.column);
  } else if (const auto* repartition = op->As<logical::Repartition>()) {
    keys = repartition->keys;
  } else if (op->As<logical::RandomizeBlocks>() != nullptr) {
    return LogicalOperator::WithInputs(op, {Narrow(op->input(), needed)});
  } else if (op->As<logical::RandomShuffle>() == nullptr) {
    return nullptr;
  }
  return LogicalOperator::WithInputs(op, {NarrowBeforeExchange(op->input(), With(needed, keys))});
}

LogicalPtr Narrow(const LogicalPtr& op, const NameSet& needed) {
  if (LogicalPtr exchange = NarrowExchange(op, needed)) return exchange;
  if (op->As<logical::Read>() != nullptr) return NarrowRead(op, needed);
  if (op->As<logical::Project>() != nullptr) return NarrowProject(op, needed);
  if (op->As<logical::Union>() != nullptr || op->As<logical::Mix>() != nullptr) {
    return NarrowUnion(op, needed);
  }
  if (op->As<logical::Limit>() != nullptr) {
    return LogicalOperator::WithInputs(op, {Narrow(op->input(), needed)});
  }
  if (const auto* filter = op->As<logical::Filter>()) {
    NameSet all = needed;
    all.merge(ReadBy({{"", filter->predicate}}));
    return LogicalOperator::WithInputs(op, {Narrow(op->input(), all)});
  }
  return op;  // A user's function may read every column.
}

// ---- Merging two adjacent projections.

// Returns true if `outer` over `inner` as one projection evaluates each expression of `inner` at
// most once. `passed` are outputs of `inner` that leave as they are.
bool ComputesNothingTwice(const std::vector<NamedExpr>& outer, const std::vector<NamedExpr>& inner,
                          const NameSet& passed) {
  std::map<std::string, int> uses;
  for (const NamedExpr& made : outer) CountColumnUses(made.expr, &uses);
  return std::all_of(inner.begin(), inner.end(), [&](const NamedExpr& made) {
    if (IsVolatile(made.expr)) return false;
    const auto at = uses.find(made.name);
    const int count =
        (at == uses.end() ? 0 : at->second) + static_cast<int>(passed.count(made.name));
    return IsTrivial(made.expr) || count <= 1;
  });
}

// Returns `outer` with the columns of `inner` replaced by what they are, or unset.
std::optional<std::vector<NamedExpr>> Substitute(const std::vector<NamedExpr>& outer,
                                                 const ProjectStep& inner) {
  std::vector<NamedExpr> merged;
  for (const auto& [name, expr] : outer) {
    ExprPtr source = SubstituteProjection(expr, inner);
    if (source == nullptr) return std::nullopt;
    merged.push_back({name, std::move(source)});
  }
  return merged;
}

bool OnlyAdds(const ProjectStep& projection) {
  return projection.keep_rest && projection.drop.empty() && projection.rename.empty();
}

// Merges two with_column projections; the input's columns need not be known.
std::optional<ProjectStep> MergeAdding(const ProjectStep& outer, const ProjectStep& inner) {
  NameSet passed;
  for (const NamedExpr& made : inner.exprs) passed.insert(made.name);
  for (const NamedExpr& made : outer.exprs) passed.erase(made.name);
  if (!ComputesNothingTwice(outer.exprs, inner.exprs, passed)) return std::nullopt;
  const auto added = Substitute(outer.exprs, inner);
  if (!added) return std::nullopt;
  ProjectStep merged = inner;
  for (const NamedExpr& made : *added) {
    auto at = std::find_if(merged.exprs.begin(), merged.exprs.end(),
                           [&](const NamedExpr& old) { return old.name == made.name; });
    if (at == merged.exprs.end()) {
      merged.exprs.push_back(made);
    } else {
      at->expr = made.expr;
    }
  }
  return merged;
}

std::optional<ProjectStep> Merge(const ProjectStep& outer, const LogicalPtr& inner_op) {
  const ProjectStep& inner = inner_op->As<logical::Project>()->projection;
  if (OnlyAdds(outer) && OnlyAdds(inner)) return MergeAdding(outer, inner);
  const auto whole = Expand(outer, inner_op);
  if (!whole || !ComputesNothingTwice(*whole, inner.exprs, {})) return std::nullopt;
  auto exprs = Substitute(*whole, inner);
  if (!exprs) return std::nullopt;
  ProjectStep merged;
  merged.exprs = *std::move(exprs);
  return merged;
}

// Returns the operator merged with the projection below it, or null.
LogicalPtr MergeWithInput(const LogicalPtr& op) {
  const auto& outer = *op->As<logical::Project>();
  const auto* inner = op->input()->As<logical::Project>();
  if (inner == nullptr || !(inner->placement == outer.placement)) return nullptr;
  auto merged = Merge(outer.projection, op->input());
  if (!merged) return nullptr;
  return LogicalOperator::Make(
      logical::Project{*std::move(merged), outer.label == inner->label ? outer.label : "Project",
                       outer.placement},
      op->input()->inputs());
}

// ---- One projection over something that is none.

// Returns the read that yields just this selection, in its order, or null.
LogicalPtr SelectInRead(const std::vector<NamedExpr>& exprs, const logical::Project& project,
                        const LogicalPtr& input) {
  const auto* read = input->As<logical::Read>();
  if (read == nullptr || !IsSelection(exprs)) return nullptr;
  if (!read->source->pushes_projection && !exprs.empty()) return nullptr;
  if (!(project.placement == logical::Placement()) && !(project.placement == read->placement)) {
    return nullptr;
  }
  logical::Read narrow = *read;
  narrow.columns.emplace();
  for (const NamedExpr& made : exprs) narrow.columns->push_back(made.name);
  return LogicalOperator::Make(std::move(narrow));
}

// Returns the projection with its input narrowed, or what makes it needless.
LogicalPtr PushDown(const LogicalPtr& op) {
  const auto& project = *op->As<logical::Project>();
  const auto exprs = Expand(project.projection, op->input());
  if (!exprs) return op;
  if (LogicalPtr read = SelectInRead(*exprs, project, op->input())) return read;
  const NameSet needed = ReadBy(*exprs);
  const bool constants = needed.empty() && !exprs->empty();
  const LogicalPtr input = constants ? op->input() : Narrow(op->input(), needed);
  if (IsSelection(*exprs)) {
    Names names;
    for (const NamedExpr& made : *exprs) names.push_back(made.name);
    if (InferColumns(input) == names) return input;
  }
  return input == op->input() ? op : ProjectTo(*exprs, project, input);
}

class ProjectionPushdown : public Rule {
 public:
  std::string_view name() const override { return "projection_pushdown"; }

  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override {
    if (const auto* aggregate = op->As<logical::Aggregate>()) {
      NameSet all(aggregate->keys.begin(), aggregate->keys.end());
      for (const AggregateSpec& spec : aggregate->aggregates) all.insert(spec.name);
      return NarrowAggregate(op, all);
    }
    if (op->As<logical::Project>() == nullptr) return op;
    LogicalPtr merged = op;
    while (LogicalPtr next = MergeWithInput(merged)) {
      merged = std::move(next);
    }
    return PushDown(merged);
  }
};

}  // namespace

std::shared_ptr<const Rule> MakeProjectionPushdown() {
  return std::make_shared<ProjectionPushdown>();
}

}  // namespace headrace
