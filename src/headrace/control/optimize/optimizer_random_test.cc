// Random plans keep their meaning: a small model evaluates each before and after the rules.
//
// The model: all values are whole numbers, a row knows its columns, a read yields its units in
// order and applies filter, limit (to each unit, for each may be a task) and columns. To divide
// by zero is an error; a plan that has none must not get one from a rule.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "headrace/base/rng.h"
#include "headrace/control/optimize/optimizer.h"
#include "headrace/control/plan/columns.h"
#include "headrace/control/plan/explain.h"
#include "headrace/control/plan/plan_testing.h"

namespace headrace {
namespace {

using namespace headrace::testing;  // NOLINT: the short words are meant to be short.

using Row = std::map<std::string, std::int64_t>;
using Rows = std::optional<std::vector<Row>>;  // Unset: an error.

// ---- The model.

std::optional<std::int64_t> Evaluate(const ExprPtr& e, const Row& row) {
  if (const auto* column = e->As<expr::Column>()) {
    const auto at = row.find(column->name);
    return at == row.end() ? std::nullopt : std::optional(at->second);
  }
  if (const auto* literal = e->As<expr::Literal>()) {
    return static_cast<const arrow::Int64Scalar&>(*literal->value).value;
  }
  const auto& call = *e->As<expr::Call>();
  const auto a = Evaluate(call.arguments[0], row), b = Evaluate(call.arguments[1], row);
  if (!a || !b) return std::nullopt;
  if (call.function == "add") return *a + *b;
  if (call.function == "greater") return *a > *b ? 1 : 0;
  if (call.function == "and_kleene") return *a != 0 && *b != 0 ? 1 : 0;
  return *b == 0 ? std::nullopt : std::optional(*a / *b);
}

Rows Keep(const ExprPtr& predicate, const Rows& input) {
  if (!input || predicate == nullptr) return input;
  std::vector<Row> kept;
  for (const Row& row : *input) {
    const auto value = Evaluate(predicate, row);
    if (!value) return std::nullopt;
    if (*value != 0) kept.push_back(row);
  }
  return kept;
}

Rows First(std::int64_t count, Rows input) {
  if (input && count >= 0 && static_cast<std::int64_t>(input->size()) > count) {
    input->resize(static_cast<std::size_t>(count));
  }
  return input;
}

Rows ProjectRows(const std::vector<NamedExpr>& exprs, const Rows& input) {
  if (!input) return input;
  std::vector<Row> made;
  for (const Row& row : *input) {
    Row out;
    for (const auto& [name, expr] : exprs) {
      const auto value = Evaluate(expr, row);
      if (!value) return std::nullopt;
      out[name] = *value;
    }
    made.push_back(std::move(out));
  }
  return made;
}

void Append(const Rows& more, Rows* all) {
  if (!more) all->reset();
  if (*all) (*all)->insert((*all)->end(), more->begin(), more->end());
}

Rows RowsOf(const logical::Read& read) {
  Rows all = std::vector<Row>();
  for (std::size_t unit = 0; unit < read.source->units.size(); ++unit) {
    std::vector<Row> rows;
    for (std::int64_t i = 0; i < read.source->units[unit].num_rows; ++i) {
      Row row;
      Rng rng(unit * 1000 + static_cast<std::uint64_t>(i));
      for (const char* name : {"a", "b", "c"}) {
        row[name] = static_cast<std::int64_t>(rng.Below(4));
      }
      rows.push_back(std::move(row));
    }
    Rows kept = First(read.row_limit, Keep(read.filter, rows));
    if (read.columns) {
      std::vector<NamedExpr> exprs;
      for (const std::string& name : *read.columns) exprs.push_back({name, Col(name)});
      kept = ProjectRows(exprs, kept);
    }
    Append(kept, &all);
  }
  return all;
}

Rows Sorted(const logical::Sort& sort, Rows input) {
  if (!input) return input;
  std::stable_sort(input->begin(), input->end(), [&](const Row& a, const Row& b) {
    for (const SortKey& key : sort.keys) {
      const std::int64_t x = a.at(key.column), y = b.at(key.column);
      if (x != y) return key.descending ? x > y : x < y;
    }
    return false;
  });
  return First(sort.limit, std::move(input));
}

Rows Folded(const logical::Aggregate& fold, const Rows& input) {
  if (!input) return input;
  std::map<std::vector<std::int64_t>, Row> groups;
  if (fold.keys.empty()) groups[{}];
  for (const Row& row : *input) {
    std::vector<std::int64_t> key;
    for (const std::string& name : fold.keys) key.push_back(row.at(name));
    Row& group = groups[key];
    for (const std::string& name : fold.keys) group[name] = row.at(name);
    for (const AggregateSpec& spec : fold.aggregates) group[spec.name] += row.at(spec.column);
  }
  std::vector<Row> rows;
  for (auto& [key, group] : groups) {
    for (const AggregateSpec& spec : fold.aggregates) group[spec.name] += 0;
    rows.push_back(std::move(group));
  }
  return rows;
}

// By one key of one name; inner, left semi and left anti.
Rows Joined(const JoinStep& join, const LogicalPtr& op, const Rows& left, const Rows& right) {
  if (!left || !right) return std::nullopt;
  const std::string& key = join.left_keys.front();
  const auto on_left = *InferColumns(op->inputs()[0]), on_right = *InferColumns(op->inputs()[1]);
  const auto has = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<Row> rows;
  for (const Row& l : *left) {
    bool matched = false;
    for (const Row& r : *right) {
      if (l.at(key) != r.at(key)) continue;
      matched = true;
      if (join.kind != JoinKind::kInner) break;
      Row both;
      for (const auto& [name, value] : l) {
        both[name != key && has(on_right, name) ? name + join.left_suffix : name] = value;
      }
      for (const auto& [name, value] : r) {
        if (name != key) both[has(on_left, name) ? name + join.right_suffix : name] = value;
      }
      rows.push_back(std::move(both));
    }
    if (join.kind != JoinKind::kInner && matched == (join.kind == JoinKind::kLeftSemi)) {
      rows.push_back(l);
    }
  }
  return rows;
}

Rows RowsOf(const LogicalPtr& op) {
  if (const auto* join = op->As<logical::Join>()) {
    return Joined(join->join, op, RowsOf(op->inputs()[0]), RowsOf(op->inputs()[1]));
  }
  if (const auto* read = op->As<logical::Read>()) return RowsOf(*read);
  Rows input = std::vector<Row>();
  for (const LogicalPtr& from : op->inputs()) Append(RowsOf(from), &input);
  if (const auto* filter = op->As<logical::Filter>()) return Keep(filter->predicate, input);
  if (const auto* limit = op->As<logical::Limit>()) return First(limit->rows, input);
  if (const auto* project = op->As<logical::Project>()) {
    return ProjectRows(ExpandProjection(project->projection, *InferColumns(op->input())), input);
  }
  if (const auto* sort = op->As<logical::Sort>()) return Sorted(*sort, input);
  if (const auto* fold = op->As<logical::Aggregate>()) return Folded(*fold, input);
  return input;  // Unions and repartitions, and functions, which keep all rows as they are.
}

// ---- Random plans. Columns stay known, so that every plan is valid.

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : rng_(seed) {}

  LogicalPtr Plan(int depth) {
    if (depth == 0) return Source();
    switch (rng_.Below(12)) {
      case 9: {
        const auto input = Plan(depth - 1);
        const auto columns = *InferColumns(input);
        if (columns.empty() || rng_.Chance(0.3)) return Repartition(input, 3);
        return Sort(input, {{Pick(columns), rng_.Chance(0.5), false}});
      }
      case 10: {
        const auto input = Plan(depth - 1);
        const auto columns = *InferColumns(input);
        if (columns.empty()) return input;
        AggregateSpec first = Sum(Pick(columns)), second = Sum(Pick(columns));
        first.name = NewName();
        second.name = NewName();
        const bool global = rng_.Chance(0.2);
        return Aggregate(input, global ? std::vector<std::string>() : std::vector{Pick(columns)},
                         {first, second});
      }
      case 11: {
        const auto left = Plan(depth - 1), right = Plan(depth / 3);
        const auto on_left = *InferColumns(left), on_right = *InferColumns(right);
        const auto key =
            std::find_first_of(on_left.begin(), on_left.end(), on_right.begin(), on_right.end());
        if (key == on_left.end()) return left;
        constexpr JoinKind kKinds[] = {JoinKind::kInner, JoinKind::kLeftSemi, JoinKind::kLeftAnti};
        const auto join = Join(left, right, *key, kKinds[rng_.Below(3)]);
        return Validate(join).ok() ? join : left;
      }
      case 0:
      case 1:
        return WithPredicate(Plan(depth - 1));
      case 2:
        return Limit(Plan(depth - 1), static_cast<std::int64_t>(rng_.Below(12)));
      case 3:
        return SomeColumns(Plan(depth - 1));
      case 4:
      case 5: {
        const auto input = Plan(depth - 1);
        const auto columns = *InferColumns(input);
        const std::string name = rng_.Chance(0.5) || columns.empty() ? NewName() : Pick(columns);
        return With(input, name, Number(columns));
      }
      case 6: {
        const auto input = Plan(depth - 1);
        const auto columns = *InferColumns(input);
        return columns.empty() ? input : Rename(input, Pick(columns), NewName());
      }
      case 7: {
        const auto branch = Plan(depth - 1);
        return Union({branch, rng_.Chance(0.5) ? branch : WithPredicate(branch)});
      }
      default:
        return Map(Plan(depth - 1), Function(FunctionKind::kFilterRows, "all"));
    }
  }

 private:
  LogicalPtr Source() {
    SourceOptions options;
    options.pushes = rng_.Chance(0.6);
    options.units = 1 + static_cast<int>(rng_.Below(3));
    options.unit_rows = 1 + static_cast<std::int64_t>(rng_.Below(8));
    return Read(options);
  }

  LogicalPtr WithPredicate(const LogicalPtr& input) {
    const auto columns = *InferColumns(input);
    ExprPtr predicate = Gt(Number(columns), Lit(static_cast<std::int64_t>(rng_.Below(4))));
    if (rng_.Chance(0.5)) predicate = And(predicate, Gt(Number(columns), Lit(0)));
    return Filter(input, predicate);
  }

  LogicalPtr SomeColumns(const LogicalPtr& input) {
    std::vector<std::string> some;
    const auto columns = *InferColumns(input);
    for (const std::string& name : columns) {
      if (rng_.Chance(0.6))
        some.insert(some.begin() + static_cast<long>(rng_.Below(some.size() + 1)), name);
    }
    return rng_.Chance(0.5) ? Select(input, some) : Drop(input, some);
  }

  ExprPtr Number(const std::vector<std::string>& columns) {
    if (columns.empty() || rng_.Chance(0.1)) return Lit(static_cast<std::int64_t>(rng_.Below(3)));
    const ExprPtr column = Col(Pick(columns));
    if (rng_.Chance(0.5)) return column;
    return rng_.Chance(0.7) ? Add(column, Col(Pick(columns))) : Divide(column, Col(Pick(columns)));
  }

  std::string Pick(const std::vector<std::string>& names) {
    return names[rng_.Below(names.size())];
  }

  std::string NewName() { return "n" + std::to_string(next_name_++); }

  Rng rng_;
  int next_name_ = 0;
};

TEST(OptimizerRandomTest, RulesKeepTheMeaning) {
  const Optimizer optimizer;
  int changed = 0, compared = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const LogicalPtr plan = Generator(seed).Plan(1 + static_cast<int>(seed % 7));
    ASSERT_TRUE(Validate(plan).ok()) << "seed " << seed << ": " << Validate(plan);
    const auto result = optimizer.Optimize(plan);
    ASSERT_TRUE(result.ok()) << "seed " << seed << ": " << result.status();
    const LogicalPtr& better = *result;
    const std::string text =
        "seed " + std::to_string(seed) + "\n" + Explain(plan) + "became\n" + Explain(better);
    EXPECT_EQ(InferColumns(better), InferColumns(plan)) << text;
    changed += better != plan ? 1 : 0;
    const Rows before = RowsOf(plan);
    if (!before) continue;  // Divides by zero: a rule may leave that out.
    ++compared;
    // Twice, for the rules must also stand plans that the later ones have seen.
    const LogicalPtr again = optimizer.Optimize(better).ValueOrDie();
    for (const LogicalPtr& form : {better, again}) {
      const Rows after = RowsOf(form);
      ASSERT_TRUE(after.has_value()) << "now fails: " << text << "then\n" << Explain(form);
      ASSERT_EQ(*after, *before) << text << "then\n" << Explain(form);
    }
    if (const auto rows = InferRowCount(better)) {
      EXPECT_EQ(*rows, static_cast<std::int64_t>(before->size())) << text;
    }
  }
  // The test means nothing if the generator makes plans that no rule touches or that all fail.
  EXPECT_GT(changed, 1500);
  EXPECT_GT(compared, 1500);
}

// Steps of the operators from the sources to `id`, in the order in which rows meet them.
void CollectSteps(const PhysicalPlan& plan, OperatorId id, std::vector<std::size_t>* kinds) {
  const OperatorSpec& op = plan.operators[static_cast<std::size_t>(id.value)];
  for (OperatorId input : op.inputs) CollectSteps(plan, input, kinds);
  if (const auto* task = op.As<TaskOperator>()) {
    for (const Step& step : task->program->steps) kinds->push_back(step.index());
  } else {
    kinds->push_back(100 + op.kind.index());
    const auto* exchange = op.As<ExchangeOperator>();
    if (exchange == nullptr) return;
    for (const Step& step : exchange->program->steps) kinds->push_back(step.index());
  }
}

TEST(OptimizerRandomTest, FusionKeepsEveryStepInItsPlace) {
  int fused = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    LoweringContext context;
    context.capacity = {.cpu_milli = 2000};
    const auto stages =
        PlanQuery(Generator(seed).Plan(1 + static_cast<int>(seed % 7)), Optimizer(), &context)
            .ValueOrDie();
    const auto& before = stages.physical;
    const auto& after = stages.optimized_physical;
    std::vector<std::size_t> steps_before, steps_after;
    CollectSteps(before, {static_cast<std::int32_t>(before.operators.size()) - 1}, &steps_before);
    CollectSteps(after, {static_cast<std::int32_t>(after.operators.size()) - 1}, &steps_after);
    ASSERT_EQ(steps_after, steps_before) << "seed " << seed << "\n"
                                         << Explain(before) << Explain(after);
    fused += after.operators.size() < before.operators.size() ? 1 : 0;
    for (std::size_t i = 0; i < after.operators.size(); ++i) {
      for (OperatorId input : after.operators[i].inputs) {
        ASSERT_TRUE(input.value >= 0 && input.value < static_cast<std::int32_t>(i))
            << "seed " << seed;
      }
    }
  }
  EXPECT_GT(fused, 300);
}

}  // namespace
}  // namespace headrace
