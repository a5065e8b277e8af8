#include <algorithm>

#include "headrace/control/optimize/rules.h"
#include "headrace/control/plan/expr_facts.h"

namespace headrace {
namespace {

LogicalPtr LimitTo(std::int64_t rows, LogicalPtr input) {
  return LogicalOperator::Make(logical::Limit{rows}, {std::move(input)});
}

// Returns true if `op` makes exactly one row of each row, in order, and the same one over fewer
// rows.
bool PreservesRows(const LogicalOperator& op) {
  if (const auto* project = op.As<logical::Project>()) {
    const auto& exprs = project->projection.exprs;
    return std::none_of(exprs.begin(), exprs.end(),
                        [](const NamedExpr& made) { return IsVolatile(made.expr); });
  }
  const auto* map = op.As<logical::Map>();
  return map != nullptr && PreservesRows(*map->function);
}

// Returns true if the read yields the first rows, and in order, by itself. Its limit holds for
// each of its tasks, so that is where there is but one unit. (That all rows are known to be fewer
// is not enough: without a limit nothing asks for their order.)
bool IsExact(const LogicalPtr& read) {
  return read->As<logical::Read>()->source->units.size() <= 1;
}

// Returns true if the sort keeps more rows than `rows`, and may drop the others.
bool Learns(const logical::Sort& sort, std::int64_t rows) {
  return sort.boundaries.empty() && (sort.limit < 0 || sort.limit > rows);
}

// Returns the first `rows` rows of `child`, the limit as deep as it may go.
LogicalPtr Sink(std::int64_t rows, const LogicalPtr& child) {
  if (const auto* limit = child->As<logical::Limit>()) {
    return Sink(std::min(rows, limit->rows), child->input());
  }
  if (PreservesRows(*child)) {
    return LogicalOperator::WithInputs(child, {Sink(rows, child->input())});
  }
  if (const auto* sort = child->As<logical::Sort>(); sort != nullptr && Learns(*sort, rows)) {
    logical::Sort limited = *sort;
    limited.limit = rows;
    return LimitTo(rows, LogicalOperator::Make(std::move(limited), child->inputs()));
  }
  const auto* read = child->As<logical::Read>();
  if (read == nullptr) return LimitTo(rows, child);
  logical::Read limited = *read;
  limited.row_limit = read->row_limit < 0 ? rows : std::min(rows, read->row_limit);
  const LogicalPtr op = LogicalOperator::Make(std::move(limited));
  return IsExact(op) ? op : LimitTo(rows, op);
}

class LimitPushdown : public Rule {
 public:
  std::string_view name() const override { return "limit_pushdown"; }

  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override {
    const auto* limit = op->As<logical::Limit>();
    if (limit == nullptr) return op;
    const LogicalPtr& child = op->input();
    if (const auto* read = child->As<logical::Read>()) {
      const bool known = read->row_limit >= 0 && read->row_limit <= limit->rows;
      return known && !IsExact(child) ? op : Sink(limit->rows, child);
    }
    const auto* sort = child->As<logical::Sort>();
    const bool sinks = PreservesRows(*child) || child->As<logical::Limit>() != nullptr ||
                       (sort != nullptr && Learns(*sort, limit->rows));
    return sinks ? Sink(limit->rows, child) : op;
  }
};

}  // namespace

std::shared_ptr<const Rule> MakeLimitPushdown() { return std::make_shared<LimitPushdown>(); }

}  // namespace headrace
