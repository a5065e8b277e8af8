#include "headrace/runtime/sim/sim_model.h"

#include <algorithm>

#include "headrace/base/rng.h"
#include "headrace/protocol/program.h"

namespace headrace {

std::shared_ptr<const BlockIndex> SimModel::IndexOf(const TaskProgram& program,
                                                    const Position& block,
                                                    std::int64_t num_rows) const {
  if (program.steps.empty() || num_rows == 0) return nullptr;
  Rng rng(block.Seed(seed + 17));
  auto index = std::make_shared<BlockIndex>();
  if (const auto* scatter = std::get_if<ScatterStep>(&program.steps.back())) {
    // Half of the rows in the first bucket, where the coin says so: a skewed key.
    const std::int64_t skewed = rng.Chance(0.3) ? num_rows / 2 : 0;
    std::vector<std::int64_t> offsets{0, num_rows};
    for (std::int32_t i = 1; i < scatter->buckets; ++i) {
      offsets.push_back(skewed + static_cast<std::int64_t>(
                                     rng.Below(static_cast<std::uint64_t>(num_rows - skewed) + 1)));
    }
    std::sort(offsets.begin(), offsets.end());
    index->buckets = BucketOffsets(offsets);
    return index;
  }
  if (!std::holds_alternative<SortStep>(program.steps.back())) return nullptr;
  // Blocks of a run follow each other: the first letter is the block's.
  index->stride = 1 + static_cast<std::int64_t>(rng.Below(5));
  const std::int64_t samples = (num_rows - 1 + index->stride - 1) / index->stride + 1;
  for (std::int64_t i = 0; i < samples; ++i) {
    std::string key(1, static_cast<char>('a' + block.path.back()));
    key += static_cast<char>('a' + rng.Below(4));
    index->keys.push_back(std::move(key));
  }
  std::sort(index->keys.begin(), index->keys.end());
  return index;
}

std::int64_t SimModel::HeapOf(OperatorId op, const Position& position) const {
  if (const auto at = fixed_heaps.find(op.value); at != fixed_heaps.end()) {
    const std::size_t last = at->second.size() - 1;
    return at->second[position.path.empty() ? last : std::min<std::size_t>(position.path[0], last)];
  }
  if (heap_bytes_max == 0) return 0;
  Rng usual(seed + static_cast<std::uint64_t>(op.value) * 104729 + 1);
  const auto most =
      1 + static_cast<std::int64_t>(usual.Below(static_cast<std::uint64_t>(heap_bytes_max)));
  Rng rng(position.Seed(seed + static_cast<std::uint64_t>(op.value) * 7907 + 5));
  const auto heap =
      static_cast<std::int64_t>((0.7 + 0.3 * rng.Uniform()) * static_cast<double>(most));
  return rng.Chance(heap_outlier_chance) ? heap * (2 + static_cast<std::int64_t>(rng.Below(5)))
                                         : heap;
}

SimModel::Outputs SimModel::OutputsOf(OperatorId op, const Position& position,
                                      std::int64_t rows_in) const {
  if (const auto at = fixed.find(op.value); at != fixed.end()) return at->second;
  Rng rng(position.Seed(seed + static_cast<std::uint64_t>(op.value) * 7919));
  const auto draw = [&](std::int64_t most) {
    return static_cast<std::int64_t>(rng.Below(static_cast<std::uint64_t>(most) + 1));
  };
  std::int64_t rows = rows_in < 0 ? draw(source_rows_max) : rows_in;
  if (rows_in > 0 && rng.Chance(filter_chance)) rows = draw(rows_in);
  Outputs outputs;
  const bool empty = rng.Chance(empty_chance);
  // No more blocks than rows, so that a chain of operators does not multiply empty ones.
  const std::int64_t blocks =
      empty ? 0 : std::min(1 + draw(blocks_max - 1), std::max<std::int64_t>(rows, 1));
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t share = i + 1 == blocks ? rows : draw(rows);
    rows -= share;
    outputs.blocks.push_back({share, share * (1 + draw(row_bytes_max - 1))});
  }
  if (rng.Chance(error_chance)) {
    outputs.error_after = static_cast<std::uint32_t>(draw(blocks));
    outputs.blocks.resize(*outputs.error_after);
  }
  return outputs;
}

}  // namespace headrace
