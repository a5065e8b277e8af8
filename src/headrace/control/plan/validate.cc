#include <arrow/type.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "headrace/control/plan/columns.h"
#include "headrace/control/plan/facts.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {
namespace {

constexpr std::int64_t kPartitionsMax = 1'000'000;  // Each is a task, and counted in each block.

using Names = std::vector<std::string>;
using MaybeNames = std::optional<Names>;

bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// The number of characters to insert, remove or change (Levenshtein), case aside.
std::size_t EditDistance(const std::string& a, const std::string& b) {
  const std::string from = Lower(a), to = Lower(b);
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t change = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, change}));
    }
  }
  return row.back();
}

// Returns the name that was probably meant, or "". A third of the letters may be wrong.
std::string CloseMatch(const std::string& name, const Names& names) {
  std::string best;
  std::size_t least = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : names) {
    const std::size_t distance = EditDistance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string QuotedList(const Names& names) {
  constexpr std::size_t kShown = 100;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i > 0 ? ", '" : "'") + names[i] + "'";
  }
  if (names.size() > kShown) text += ", ... " + std::to_string(names.size()) + " in all";
  return "[" + text + "]";
}

// Fails if one of `wanted` is not in `there`.
Status CheckColumns(const std::string& verb, const Names& wanted, const Names& there) {
  Names missing;
  for (const std::string& name : wanted) {
    if (!Contains(there, name) && !Contains(missing, name)) missing.push_back(name);
  }
  if (missing.empty()) return Status::OK();
  std::string text = verb + ": column(s) not found in dataset schema: " + QuotedList(missing) +
                     ". Available columns: " + QuotedList(there);
  const std::string meant = CloseMatch(missing.front(), there);
  if (!meant.empty()) text += ". Did you mean '" + meant + "'?";
  return Status::KeyError(text);
}

Status CheckUnique(const std::string& verb, Names names) {
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return Status::OK();
  return Status::Invalid(verb, ": column '", *twice, "' would appear twice");
}

Names ColumnsOf(const ExprPtr& e) {
  Names names;
  CollectColumns(e, &names);
  return names;
}

Status CheckPlacement(const std::string& name, const logical::Placement& placement) {
  if (placement.cost) {
    const Resources& cost = *placement.cost;
    if (cost.cpu_milli < 0 || cost.gpu_milli < 0 || cost.memory_bytes < 0) {
      return Status::Invalid(name, ": resources must not be negative: ", cost.ToString());
    }
  }
  if (!placement.compute) return Status::OK();
  if (const auto* tasks = std::get_if<TaskPool>(&*placement.compute)) {
    if (tasks->max_tasks && *tasks->max_tasks < 1) {
      return Status::Invalid(name, ": concurrency must be at least 1, not ", *tasks->max_tasks);
    }
    return Status::OK();
  }
  const auto& actors = std::get<ActorPool>(*placement.compute);
  if (actors.min_size < 1 || actors.max_size < actors.min_size) {
    return Status::Invalid(name, ": an actor pool needs 1 <= min <= max, not min=", actors.min_size,
                           " max=", actors.max_size);
  }
  if (actors.initial_size < actors.min_size || actors.initial_size > actors.max_size) {
    return Status::Invalid(
        name, ": the initial size of an actor pool must be between min=", actors.min_size,
        " and max=", actors.max_size, ", not ", actors.initial_size);
  }
  if (actors.max_tasks_in_flight < 1) {
    return Status::Invalid(name, ": max_tasks_in_flight must be at least 1, not ",
                           actors.max_tasks_in_flight);
  }
  return Status::OK();
}

// Checks one operator; `input` is what its first input yields, if known.
struct Check {
  const LogicalOperator& op;
  const MaybeNames& input;

  Status operator()(const logical::Read& read) const {
    if (read.parallelism == 0 || read.parallelism < -1) {
      return Status::Invalid(op.name(), ": the number of blocks must be at least 1, not ",
                             read.parallelism);
    }
    ARROW_RETURN_NOT_OK(CheckPlacement(op.name(), read.placement));
    if (read.columns) ARROW_RETURN_NOT_OK(CheckUnique(op.name(), *read.columns));
    const MaybeNames there = ColumnsOfSource(read);
    if (!there) return Status::OK();
    if (read.columns) ARROW_RETURN_NOT_OK(CheckColumns(op.name(), *read.columns, *there));
    return CheckColumns(op.name(), ColumnsOf(read.filter), *there);
  }
  Status operator()(const logical::InputData&) const { return Status::OK(); }
  Status operator()(const logical::Map& map) const {
    const bool as_tasks =
        map.placement.compute && std::holds_alternative<TaskPool>(*map.placement.compute);
    if (map.function->is_class && as_tasks) {
      return Status::Invalid(op.name(), ": a class needs an actor pool, not tasks");
    }
    return CheckPlacement(op.name(), map.placement);
  }
  Status operator()(const logical::Filter& filter) const {
    ARROW_RETURN_NOT_OK(CheckPlacement(op.name(), filter.placement));
    if (!input) return Status::OK();
    return CheckColumns("filter", ColumnsOf(filter.predicate), *input);
  }
  Status operator()(const logical::Project& project) const;
  Status operator()(const logical::Limit& limit) const {
    if (limit.rows >= 0) return Status::OK();
    return Status::Invalid("limit: the number of rows must not be negative, but is ", limit.rows);
  }
  Status operator()(const logical::Union&) const { return Status::OK(); }
  Status operator()(const logical::Mix& mix) const {
    const bool positive = std::all_of(mix.weights.begin(), mix.weights.end(), [](double weight) {
      return weight > 0 && std::isfinite(weight);
    });
    if (positive && mix.weights.size() == op.inputs().size()) return Status::OK();
    return Status::Invalid("mix: each of the ", op.inputs().size(),
                           " inputs needs a weight, a positive number");
  }
  Status operator()(const logical::Write& write) const {
    return CheckPlacement(op.name(), write.placement);
  }
  Status operator()(const logical::Repartition& repartition) const;
  Status operator()(const logical::RandomShuffle& shuffle) const {
    if (shuffle.blocks == 0 || shuffle.blocks < -1 || shuffle.blocks > kPartitionsMax) {
      return Status::Invalid("random_shuffle: the number of blocks must be at least 1 and at most ",
                             kPartitionsMax, ", not ", shuffle.blocks);
    }
    return CheckPlacement(op.name(), shuffle.placement);
  }
  Status operator()(const logical::RandomizeBlocks&) const { return Status::OK(); }
  Status operator()(const logical::Sort& sort) const {
    Names names;
    for (const SortKey& key : sort.keys) names.push_back(key.column);
    if (names.empty()) return Status::Invalid("sort: needs at least one key");
    return CheckKeys("sort", names);
  }
  Status operator()(const logical::Aggregate& aggregate) const;
  Status operator()(const logical::Group& group) const {
    if (group.keys.empty()) return Status::Invalid("groupby: needs at least one key");
    ARROW_RETURN_NOT_OK(CheckPartitions("groupby", group.partitions));
    return CheckKeys("groupby", group.keys);
  }
  Status operator()(const logical::Join& join) const;
  Status operator()(const logical::Zip&) const;

 private:
  Status CheckKeys(const std::string& verb, const Names& keys) const {
    return input ? CheckColumns(verb, keys, *input) : Status::OK();
  }
  static Status CheckPartitions(const std::string& verb, std::int64_t partitions) {
    if (partitions == -1 || (partitions > 0 && partitions <= kPartitionsMax)) return Status::OK();
    return Status::Invalid(verb, ": the number of partitions must be at least 1 and at most ",
                           kPartitionsMax, ", not ", partitions);
  }
  static MaybeNames ColumnsOfSource(const logical::Read& read) {
    if (read.source->schema == nullptr) return std::nullopt;
    return read.source->schema->field_names();
  }
};

Status Check::operator()(const logical::Repartition& repartition) const {
  const bool by_blocks = repartition.blocks != -1, by_rows = repartition.rows_per_block != -1;
  if (by_rows && (by_blocks || !repartition.keys.empty() || repartition.shuffle)) {
    return Status::Invalid("repartition: rows per block go with nothing else");
  }
  if (!by_blocks && !by_rows && repartition.keys.empty()) {
    return Status::Invalid("repartition: needs a number of blocks, rows per block, or keys");
  }
  if (by_blocks && (repartition.blocks < 1 || repartition.blocks > kPartitionsMax)) {
    return Status::Invalid("repartition: the number of blocks must be at least 1 and at most ",
                           kPartitionsMax, ", not ", repartition.blocks);
  }
  if (by_rows && repartition.rows_per_block < 1) {
    return Status::Invalid("repartition: the rows per block must be at least 1, not ",
                           repartition.rows_per_block);
  }
  return CheckKeys("repartition", repartition.keys);
}

Status Check::operator()(const logical::Aggregate& aggregate) const {
  ARROW_RETURN_NOT_OK(CheckPartitions("groupby", aggregate.partitions));
  ARROW_RETURN_NOT_OK(CheckKeys("groupby", aggregate.keys));
  Names read, made = aggregate.keys;
  for (const AggregateSpec& spec : aggregate.aggregates) {
    if (!spec.column.empty()) read.push_back(spec.column);
    made.push_back(spec.name);
  }
  ARROW_RETURN_NOT_OK(CheckKeys("aggregate", read));
  ARROW_RETURN_NOT_OK(CheckUnique("aggregate", std::move(made)));
  const auto schema = InferSchema(op.input());
  if (schema == nullptr) return Status::OK();
  const AggregateStep step{AggregateStep::Phase::kWhole, aggregate.keys, aggregate.aggregates};
  return AggregateSchema(step, *schema).status();
}

Status Check::operator()(const logical::Join& join) const {
  const JoinStep& step = join.join;
  if (step.left_keys.empty() || step.left_keys.size() != step.right_keys.size()) {
    return Status::Invalid("join: needs as many keys on the left as on the right, not ",
                           step.left_keys.size(), " and ", step.right_keys.size());
  }
  ARROW_RETURN_NOT_OK(CheckPartitions("join", join.partitions));
  ARROW_RETURN_NOT_OK(CheckKeys("join", step.left_keys));
  const MaybeNames right = InferColumns(op.inputs()[1]);
  if (right) ARROW_RETURN_NOT_OK(CheckColumns("join", step.right_keys, *right));
  const auto left_schema = InferSchema(op.inputs()[0]);
  const auto right_schema = InferSchema(op.inputs()[1]);
  if (left_schema == nullptr || right_schema == nullptr) return Status::OK();
  return JoinSchema(step, *left_schema, *right_schema).status();
}

Status Check::operator()(const logical::Zip&) const {
  std::optional<std::int64_t> rows;
  for (const LogicalPtr& other : op.inputs()) {
    const auto its = InferRowCount(other);
    if (rows && its && *rows != *its) {
      return Status::Invalid("zip: the datasets have different numbers of rows, ", *rows, " and ",
                             *its);
    }
    if (!rows) rows = its;
  }
  return Status::OK();
}

Status Check::operator()(const logical::Project& project) const {
  ARROW_RETURN_NOT_OK(CheckPlacement(op.name(), project.placement));
  const ProjectStep& step = project.projection;
  const std::string makes = step.keep_rest ? "with_column" : "select_columns";
  Names made, read, renamed;
  for (const auto& [name, expr] : step.exprs) {
    made.push_back(name);
    CollectColumns(expr, &read);
  }
  for (const auto& [from, to] : step.rename) renamed.push_back(from);
  ARROW_RETURN_NOT_OK(CheckUnique(makes, std::move(made)));
  if (!input) return Status::OK();
  ARROW_RETURN_NOT_OK(CheckColumns("drop_columns", step.drop, *input));
  ARROW_RETURN_NOT_OK(CheckColumns("rename_columns", renamed, *input));
  ARROW_RETURN_NOT_OK(CheckColumns(makes, read, *input));
  Names output;
  for (const auto& [name, expr] : ExpandProjection(step, *input)) output.push_back(name);
  return CheckUnique(step.rename.empty() ? makes : "rename_columns", std::move(output));
}

}  // namespace

Status FindFault(const LogicalOperator& op) {
  // The inputs first, so that the first wrong verb is the one reported.
  for (const LogicalPtr& input : op.inputs()) ARROW_RETURN_NOT_OK(Validate(input));
  const MaybeNames first = op.inputs().empty() ? std::nullopt : InferColumns(op.input());
  return std::visit(Check{op, first}, op.kind());
}

Status Validate(const LogicalPtr& plan) { return plan->facts().fault; }

}  // namespace headrace
