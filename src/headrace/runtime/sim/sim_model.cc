#include "headrace/runtime/sim/sim_model.h"

#include <algorithm>

#include "headrace/base/rng.h"

namespace headrace {

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
