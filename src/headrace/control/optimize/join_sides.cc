#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <utility>

#include "headrace/control/optimize/rules.h"
#include "headrace/control/plan/lower_exchange.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {
namespace {

// How many times larger the right side must look. Estimates are rough, and where the sides are
// alike little is won.
constexpr double kMuchLarger = 4;

// Returns the kind of the same join with its sides exchanged, for those that can join right rows
// apart from each other; else the kind itself, but inner joins are their own.
JoinKind Exchanged(JoinKind kind) {
  switch (kind) {
    case JoinKind::kRightOuter:
      return JoinKind::kLeftOuter;
    case JoinKind::kRightSemi:
      return JoinKind::kLeftSemi;
    case JoinKind::kRightAnti:
      return JoinKind::kLeftAnti;
    default:
      return kind;
  }
}

// Returns true if equal values of the type cannot be told apart, so that a key may be taken from
// either side.
bool IsExact(const arrow::DataType& type) {
  const arrow::Type::type id = type.id();
  return arrow::is_integer(id) || arrow::is_temporal(id) || arrow::is_base_binary_like(id) ||
         arrow::is_decimal(id) || id == arrow::Type::BOOL;
}

bool KeysAreExact(const JoinStep& join, const arrow::Schema& left, const arrow::Schema& right) {
  for (std::size_t i = 0; i < join.left_keys.size(); ++i) {
    const auto a = left.GetFieldByName(join.left_keys[i]);
    const auto b = right.GetFieldByName(join.right_keys[i]);
    if (!a || !b || !a->type()->Equals(*b->type()) || !IsExact(*a->type())) return false;
  }
  return true;
}

// Returns where each column of the join stands once the sides are exchanged: for both, those of the
// first side in order, then those of the second that are no keys, or for outer joins the other
// way round; see JoinSchema().
std::vector<int> PlacesOf(const JoinStep& join, const arrow::Schema& left,
                          const arrow::Schema& right) {
  const bool inner = join.kind == JoinKind::kInner;
  std::vector<int> places;
  int at = right.num_fields();
  for (const auto& field : left.fields()) {
    const auto key = std::find(join.left_keys.begin(), join.left_keys.end(), field->name());
    if (key == join.left_keys.end()) {
      places.push_back(at++);
    } else if (inner) {
      const auto index = static_cast<std::size_t>(key - join.left_keys.begin());
      places.push_back(right.GetFieldIndex(join.right_keys[index]));
    }
  }
  for (int i = 0; i < right.num_fields(); ++i) {
    const auto& name = right.field(i)->name();
    const bool is_key =
        std::find(join.right_keys.begin(), join.right_keys.end(), name) != join.right_keys.end();
    if (!inner || !is_key) places.push_back(i);
  }
  return places;
}

// Returns true if the left side looks so much smaller that it should be the one that is held.
bool LeftLooksSmall(const LogicalOperator& op) {
  const auto left = EstimateBytes(op.inputs()[0]), right = EstimateBytes(op.inputs()[1]);
  return left && right && kMuchLarger * *left < *right;
}

class JoinSides : public Rule {
 public:
  std::string_view name() const override { return "join_sides"; }

  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override {
    const auto* join = op->As<logical::Join>();
    if (join == nullptr || join->partitions > 0) return op;
    const JoinStep& step = join->join;
    JoinStep other{Exchanged(step.kind), step.right_keys, step.left_keys, step.right_suffix,
                   step.left_suffix};
    if ((step.kind == other.kind && step.kind != JoinKind::kInner) || !LeftLooksSmall(*op)) {
      return op;
    }
    const auto left = InferSchema(op->inputs()[0]), right = InferSchema(op->inputs()[1]);
    if (!left || !right) return op;
    if (step.kind == JoinKind::kInner && !KeysAreExact(step, *left, *right)) return op;
    const auto before = JoinSchema(step, *left, *right), after = JoinSchema(other, *right, *left);
    if (!before.ok() || !after.ok()) return op;
    const bool has_both = step.kind == JoinKind::kInner || step.kind == JoinKind::kRightOuter;
    LogicalPtr exchanged = LogicalOperator::Make(logical::Join{std::move(other), join->partitions},
                                                 {op->inputs()[1], op->inputs()[0]});
    if (!has_both) return exchanged;
    logical::Project project{{}, "Project", {}};
    const std::vector<int> places = PlacesOf(step, *left, *right);
    for (std::size_t i = 0; i < places.size(); ++i) {
      const std::string& name = (*before)->field(static_cast<int>(i))->name();
      const std::string& from = (*after)->field(places[i])->name();
      project.projection.exprs.push_back({name, MakeExpr(expr::Column{from})});
    }
    return LogicalOperator::Make(std::move(project), {std::move(exchanged)});
  }
};

}  // namespace

std::shared_ptr<const Rule> MakeJoinSides() { return std::make_shared<JoinSides>(); }

}  // namespace headrace
