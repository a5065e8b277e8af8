#include "headrace/control/plan/lower_exchange.h"

#include <arrow/array/array_base.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <bit>
#include <set>
#include <string_view>

#include "headrace/base/check.h"

namespace headrace {
namespace {

constexpr std::int64_t kBucketBytes = 16 << 20;
constexpr std::int32_t kBucketsMin = 64;
constexpr std::int32_t kBucketsMax = 4096;
constexpr std::int32_t kBucketsDefault = 256;
constexpr std::int64_t kBroadcastBytes = 16 << 20;
// A right side that may be as small as that when it is there; and what its sources may hold, so
// that the left side does not wait for long, and for nothing.
constexpr std::int64_t kSideBytes = 64 << 20;
constexpr std::int64_t kSideGuessMax = std::int64_t{4} << 30;

std::int32_t BucketsFor(const LogicalOperator& op, std::int64_t asked) {
  if (asked > 0) return static_cast<std::int32_t>(std::min<std::int64_t>(asked, INT32_MAX));
  std::int64_t bytes = 0;
  for (const LogicalPtr& input : op.inputs()) {
    const auto its = GuessBytes(input);
    if (!its) return kBucketsDefault;
    bytes += *its;
  }
  const auto wanted = static_cast<std::uint64_t>(bytes / kBucketBytes + 1);
  return static_cast<std::int32_t>(
      std::clamp<std::uint64_t>(std::bit_ceil(wanted), kBucketsMin, kBucketsMax));
}

std::optional<std::int64_t> BytesOfSource(const LogicalPtr& plan) {
  std::int64_t bytes = 0;
  if (const auto* data = plan->As<logical::InputData>()) {
    for (const BlockHandle& block : data->blocks) bytes += block.info.num_bytes;
    return bytes;
  }
  const auto* read = plan->As<logical::Read>();
  if (read == nullptr) return std::nullopt;
  for (const ReadUnit& unit : read->source->units) {
    if (unit.num_bytes < 0) return std::nullopt;
    bytes += unit.num_bytes;
  }
  return bytes;
}

// Returns the bytes that a value of the type takes at most, or unset where values differ in length.
std::optional<std::int64_t> ValueBytes(const arrow::DataType& type) {
  if (!arrow::is_fixed_width(type.id()) || type.id() == arrow::Type::DICTIONARY) {
    return std::nullopt;
  }
  return type.bit_width() / 8 + 1;  // And one for its validity, or for bits of a byte.
}

// Returns the bytes that a source yields at most, or unset. How long encoded text is says nothing:
// few bytes may stand for many repeats.
std::optional<std::int64_t> BoundOfSource(const LogicalPtr& plan) {
  const auto* read = plan->As<logical::Read>();
  if (read == nullptr) return BytesOfSource(plan);
  const ReadSource& source = *read->source;
  if ((source.format != "parquet" && source.format != "range") || !source.schema) {
    return std::nullopt;  // Rows of others are estimates.
  }
  std::int64_t row_bytes = 0;
  for (const auto& field : source.schema->fields()) {
    if (read->columns && std::find(read->columns->begin(), read->columns->end(), field->name()) ==
                             read->columns->end()) {
      continue;
    }
    const auto bytes = ValueBytes(*field->type());
    if (!bytes) return std::nullopt;
    row_bytes += *bytes;
  }
  std::int64_t rows = 0;
  for (const ReadUnit& unit : source.units) {
    if (unit.num_rows < 0) return std::nullopt;
    rows += unit.num_rows;
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(rows, row_bytes, &bytes)) return std::nullopt;
  return bytes;
}

template <class BytesOf>
std::optional<std::int64_t> SumOver(const std::vector<LogicalPtr>& inputs, const BytesOf& of) {
  std::int64_t sum = 0;
  for (const LogicalPtr& input : inputs) {
    const auto bytes = of(input);
    if (!bytes) return std::nullopt;
    sum += *bytes;
  }
  return sum;
}

// The shares of rows that terms of predicates are taken to keep.
constexpr double kEqualShare = 0.1;
constexpr double kRangeShare = 1.0 / 3;
constexpr double kManyShare = 0.5;

double ShareOf(const ExprPtr& predicate) {
  if (const auto* is_in = predicate->As<expr::IsIn>()) {
    return std::min(kManyShare, kEqualShare * static_cast<double>(is_in->values->length()));
  }
  const auto* call = predicate->As<expr::Call>();
  if (call == nullptr) return kManyShare;
  const std::string& name = call->function;
  const std::vector<ExprPtr>& of = call->arguments;
  if (name == "and_kleene") return ShareOf(of[0]) * ShareOf(of[1]);
  if (name == "or_kleene") return std::min(1.0, ShareOf(of[0]) + ShareOf(of[1]));
  if (name == "invert") return 1 - ShareOf(of[0]);
  if (name == "not_equal" || name == "is_valid") return 1 - kEqualShare;
  return name == "equal" || name == "is_null" ? kEqualShare : kRangeShare;
}

double ShareOf(const logical::Read& read) {
  double share = read.filter ? ShareOf(read.filter) : 1;
  const auto& schema = read.source->schema;
  if (read.columns && schema && schema->num_fields() > 0) {
    share *= std::min(1.0, static_cast<double>(read.columns->size()) / schema->num_fields());
  }
  return share;
}

// Returns true if no row of `op` is more than a row of its one input.
bool OnlyChoosesRows(const LogicalOperator& op) {
  const auto* map = op.As<logical::Map>();
  const auto* project = op.As<logical::Project>();
  if (project != nullptr) {
    const ProjectStep& projection = project->projection;
    if (projection.keep_rest) return projection.exprs.empty();
    std::set<std::string_view> seen;  // A column that stands twice makes rows larger.
    return std::all_of(projection.exprs.begin(), projection.exprs.end(), [&](const auto& made) {
      const auto* column = made.expr->template As<expr::Column>();
      return column != nullptr && seen.insert(column->name).second;
    });
  }
  return op.As<logical::Filter>() || op.As<logical::Limit>() || op.As<logical::Repartition>() ||
         op.As<logical::RandomShuffle>() || op.As<logical::RandomizeBlocks>() ||
         op.As<logical::Sort>() || op.As<logical::Group>() ||
         (map != nullptr && map->function->kind == FunctionKind::kFilterRows);
}

struct Planner {
  const LogicalOperator& op;

  ExchangeParts operator()(const logical::Repartition& repartition) const {
    ExchangeParts parts;
    parts.shape = ReduceShape::kOneBlock;
    parts.exchange.partitions = repartition.blocks;
    parts.exchange.rows_per_partition = repartition.rows_per_block;
    parts.reduce.emplace();
    if (!repartition.shuffle && repartition.keys.empty()) {
      parts.exchange.kind =
          repartition.rows_per_block > 0 ? ExchangeKind::kRowBatches : ExchangeKind::kRows;
      parts.map_sides = {{}};
      return parts;
    }
    parts.exchange.kind = ExchangeKind::kBuckets;
    parts.map_sides = {{Scatter(repartition.keys, repartition.blocks, repartition.seed)}};
    if (repartition.keys.empty()) parts.reduce = {ShuffleStep{repartition.seed}};
    if (repartition.sort) parts.reduce = {GroupStep{repartition.keys}};
    return parts;
  }

  ExchangeParts operator()(const logical::RandomShuffle& shuffle) const {
    ExchangeParts parts;
    parts.exchange.kind = ExchangeKind::kBuckets;
    parts.exchange.partitions = shuffle.blocks;
    if (shuffle.placement.cost) parts.exchange.cost = *shuffle.placement.cost;
    if (shuffle.blocks > 0) parts.shape = ReduceShape::kOneBlock;
    parts.map_sides = {{Scatter({}, shuffle.blocks, shuffle.seed)}};
    parts.reduce = {ShuffleStep{shuffle.seed}};
    return parts;
  }

  ExchangeParts operator()(const logical::RandomizeBlocks& randomize) const {
    ExchangeParts parts;
    parts.exchange.kind = ExchangeKind::kPermuted;
    parts.exchange.seed = randomize.seed;
    parts.map_sides = {{}};
    return parts;
  }

  ExchangeParts operator()(const logical::Sort& sort) const {
    ExchangeParts parts;
    parts.exchange.kind = ExchangeKind::kRuns;
    parts.exchange.boundaries = sort.boundaries;
    if (!sort.boundaries.empty()) parts.shape = ReduceShape::kOneBlock;
    parts.map_sides = {{SortStep{sort.keys, sort.limit}}};
    parts.reduce = {MergeStep{sort.keys, sort.limit}};
    return parts;
  }

  ExchangeParts operator()(const logical::Aggregate& aggregate) const {
    using Phase = AggregateStep::Phase;
    ExchangeParts parts;
    parts.map_sides = {{AggregateStep{Phase::kPartial, aggregate.keys, aggregate.aggregates}}};
    parts.reduce = {AggregateStep{Phase::kFinal, aggregate.keys, aggregate.aggregates}};
    if (aggregate.keys.empty()) {
      parts.exchange.kind = ExchangeKind::kGathered;
      return parts;
    }
    parts.exchange.kind = ExchangeKind::kBuckets;
    parts.exchange.partitions = aggregate.partitions;
    parts.map_sides[0].push_back(Scatter(aggregate.keys, aggregate.partitions, 0));
    return parts;
  }

  ExchangeParts operator()(const logical::Group& group) const {
    ExchangeParts parts;
    parts.shape = ReduceShape::kAsMade;
    parts.exchange.kind = ExchangeKind::kBuckets;
    parts.exchange.partitions = group.partitions;
    parts.map_sides = {{Scatter(group.keys, group.partitions, 0)}};
    parts.reduce = {GroupStep{group.keys}};
    return parts;
  }

  ExchangeParts operator()(const logical::Join& join) const {
    ExchangeParts parts;
    parts.reduce = {join.join};
    parts.map_sides = {{}, {}};
    const bool waits = MayWaitForRight(join);
    if (const auto small = SmallSide(join); small && !waits) {
      parts.exchange.kind = ExchangeKind::kBroadcast;
      parts.exchange.small_input = *small;
      return parts;
    }
    parts.exchange.kind = ExchangeKind::kBuckets;
    parts.exchange.partitions = join.partitions;
    if (waits) parts.exchange.broadcast_bytes = kSideBytes;
    parts.map_sides[0] = {Scatter(join.join.left_keys, join.partitions, 0)};
    parts.map_sides[1] = {Scatter(join.join.right_keys, join.partitions, 0)};
    return parts;
  }

  ExchangeParts operator()(const logical::Zip&) const {
    ExchangeParts parts;
    parts.exchange.kind = ExchangeKind::kAligned;
    parts.map_sides = {{}, {}};
    parts.reduce = {ZipStep{}};
    return parts;
  }

  template <class Other>
  ExchangeParts operator()(const Other&) const {
    HEADRACE_CHECK(false);
    return {};
  }

 private:
  Step Scatter(std::vector<std::string> keys, std::int64_t blocks, std::uint64_t seed) const {
    return ScatterStep{std::move(keys), BucketsFor(op, blocks), seed};
  }

  // Returns true if each left row can be joined by itself.
  static bool JoinsLeftApart(JoinKind kind) {
    return kind == JoinKind::kInner || kind == JoinKind::kLeftOuter ||
           kind == JoinKind::kLeftSemi || kind == JoinKind::kLeftAnti;
  }

  // Returns true if the left side's tasks are to wait for the size of the right one.
  bool MayWaitForRight(const logical::Join& join) const {
    if (join.partitions > 0 || !JoinsLeftApart(join.join.kind)) return false;
    const LogicalPtr& left = op.inputs()[0];
    const LogicalPtr& right = op.inputs()[1];
    const auto left_bytes = GuessBytes(left), right_bytes = GuessBytes(right);
    return left_bytes && right_bytes && *right_bytes <= kSideGuessMax &&
           (*right_bytes <= *left_bytes || EstimateBytes(right) <= EstimateBytes(left));
  }

  // Returns the input that every task may have all of, or unset.
  std::optional<std::int32_t> SmallSide(const logical::Join& join) const {
    if (join.partitions > 0) return std::nullopt;
    const JoinKind kind = join.join.kind;
    const bool left_apart = JoinsLeftApart(kind);
    const bool right_apart = kind == JoinKind::kInner || kind == JoinKind::kRightOuter ||
                             kind == JoinKind::kRightSemi || kind == JoinKind::kRightAnti;
    const auto left = BoundBytes(op.inputs()[0]), right = BoundBytes(op.inputs()[1]);
    // Each task makes a table of the small side anew, so the other one must be known to be larger.
    const auto other_left = GuessBytes(op.inputs()[0]), other_right = GuessBytes(op.inputs()[1]);
    if (left_apart && right && *right <= kBroadcastBytes && other_left && *right <= *other_left) {
      return 1;
    }
    if (right_apart && left && *left <= kBroadcastBytes && other_right && *left <= *other_right) {
      return 0;
    }
    return std::nullopt;
  }
};

}  // namespace

ExchangeParts PlanExchange(const LogicalOperator& op) { return std::visit(Planner{op}, op.kind()); }

std::optional<std::int64_t> GuessBytes(const LogicalPtr& plan) {
  if (plan->inputs().empty()) return BytesOfSource(plan);
  return SumOver(plan->inputs(), GuessBytes);
}

std::optional<double> EstimateBytes(const LogicalPtr& plan) {
  if (plan->inputs().empty()) {
    const auto bytes = BytesOfSource(plan);
    if (!bytes) return std::nullopt;
    const auto* read = plan->As<logical::Read>();
    return static_cast<double>(*bytes) * (read != nullptr ? ShareOf(*read) : 1);
  }
  double sum = 0;
  for (const LogicalPtr& input : plan->inputs()) {
    const auto bytes = EstimateBytes(input);
    if (!bytes) return std::nullopt;
    sum += *bytes;
  }
  const auto* filter = plan->As<logical::Filter>();
  return filter != nullptr ? sum * ShareOf(filter->predicate) : sum;
}

std::optional<std::int64_t> BoundBytes(const LogicalPtr& plan) {
  if (plan->inputs().empty()) return BoundOfSource(plan);
  const bool adds_up = plan->As<logical::Union>() != nullptr ||
                       plan->As<logical::Mix>() != nullptr || plan->As<logical::Zip>() != nullptr;
  if (!adds_up && !OnlyChoosesRows(*plan)) return std::nullopt;
  return SumOver(plan->inputs(), BoundBytes);
}

}  // namespace headrace
