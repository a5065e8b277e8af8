// The verbs that need all of their input.

#include <utility>

#include "headrace/engine/consume.h"
#include "headrace/engine/dataset.h"
#include "headrace/engine/execution.h"
#include "headrace/engine/seeds.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

namespace headrace {

Dataset Dataset::Repartition(RepartitionOptions options) const {
  return With(logical::Repartition{options.blocks, options.rows_per_block, std::move(options.keys),
                                   options.shuffle, PlanSeed(options.seed), options.sort});
}

Dataset Dataset::RandomShuffle(std::optional<std::uint64_t> seed) const {
  logical::RandomShuffle shuffle;
  shuffle.seed = PlanSeed(seed);
  return With(std::move(shuffle));
}

Dataset Dataset::RandomizeBlockOrder(std::optional<std::uint64_t> seed) const {
  return With(logical::RandomizeBlocks{PlanSeed(seed)});
}

Dataset Dataset::Sort(std::vector<SortKey> keys) const {
  logical::Sort sort;
  sort.keys = std::move(keys);
  return With(std::move(sort));
}

Dataset Dataset::Aggregate(std::vector<std::string> keys, std::vector<AggregateSpec> aggregates,
                           std::int64_t partitions) const {
  return With(logical::Aggregate{std::move(keys), std::move(aggregates), partitions});
}

Dataset Dataset::Unique(std::string column) const { return Aggregate({std::move(column)}, {}); }

Dataset Dataset::Group(std::vector<std::string> keys, std::int64_t partitions) const {
  return With(logical::Group{std::move(keys), partitions});
}

Dataset Dataset::Join(const Dataset& right, JoinStep join, std::int64_t partitions) const {
  return Dataset(
      session_,
      LogicalOperator::Make(logical::Join{std::move(join), partitions}, {plan_, right.plan_}),
      options_);
}

Dataset Dataset::Zip(const std::vector<Dataset>& others) const {
  if (others.empty()) return *this;
  std::vector<LogicalPtr> inputs{plan_};
  for (const Dataset& other : others) inputs.push_back(other.plan_);
  return Dataset(session_, LogicalOperator::Make(logical::Zip{}, std::move(inputs)), options_);
}

Result<std::vector<Dataset>> Dataset::SplitAtIndices(
    const std::vector<std::int64_t>& indices) const {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || (i > 0 && indices[i] < indices[i - 1])) {
      return Status::Invalid("the indices of a split must be positive and sorted");
    }
  }
  ExecutionOptions ordered = options_;
  ordered.preserve_order = true;
  ARROW_ASSIGN_OR_RAISE(auto execution, Execute(ordered));
  std::vector<std::vector<Block>> parts(1);
  std::size_t next = 0;
  std::int64_t row = 0;
  ARROW_RETURN_NOT_OK(ForEachBlock(*execution, [&](const Block& block) {
    std::int64_t begin = 0;
    while (next < indices.size() && indices[next] < row + block.num_rows()) {
      const std::int64_t end = indices[next++] - row;
      if (end > begin) parts.back().push_back(block.Slice(begin, end));
      parts.emplace_back();
      begin = end;
    }
    if (begin < block.num_rows()) parts.back().push_back(block.Slice(begin, block.num_rows()));
    row += block.num_rows();
    return Status::OK();
  }));
  parts.resize(indices.size() + 1);
  std::vector<Dataset> made;
  for (const std::vector<Block>& blocks : parts) {
    ARROW_ASSIGN_OR_RAISE(logical::InputData input, session_->Store(blocks));
    made.push_back(Dataset(session_, LogicalOperator::Make(std::move(input)), options_));
  }
  return made;
}

Result<std::vector<Dataset>> Dataset::Split(std::int64_t n) const {
  if (n < 1) return Status::Invalid("the number of splits ", n, " is not positive");
  ARROW_ASSIGN_OR_RAISE(Dataset kept, Materialize());
  ARROW_ASSIGN_OR_RAISE(const std::int64_t rows, kept.Count());
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 1; i < n; ++i) indices.push_back(rows * i / n);
  return kept.SplitAtIndices(indices);
}

}  // namespace headrace
