#include "headrace/control/plan/read_groups.h"

#include <algorithm>

namespace headrace {
namespace {

// Returns how many units, from the first, can matter: with a row limit, those up to the one at
// which the known rows reach it. What a user's source says of its rows is taken for a guess.
std::size_t CountNeeded(const logical::Read& read) {
  const auto& units = read.source->units;
  const bool guess = read.source->format == "python";
  if (read.row_limit < 0 || read.filter != nullptr || guess) return units.size();
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units[i].num_rows < 0) return units.size();
    rows += units[i].num_rows;
    if (rows >= read.row_limit) return i + 1;
  }
  return units.size();
}

// Returns the sizes of the first `count` units; unknown ones weigh as the mean of the known.
// All are zero if none is known.
std::vector<std::int64_t> EstimateBytes(const std::vector<ReadUnit>& units, std::size_t count) {
  std::int64_t known_bytes = 0, known = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (units[i].num_bytes < 0) continue;
    known_bytes += units[i].num_bytes;
    ++known;
  }
  std::vector<std::int64_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t mean = known == 0 ? 0 : known_bytes / known;
    bytes[i] = units[i].num_bytes < 0 ? mean : units[i].num_bytes;
  }
  return bytes;
}

std::int64_t CountTasks(const logical::Read& read, const ExecutionOptions& options,
                        std::int64_t cpu_milli, std::int64_t total_bytes) {
  if (read.parallelism > 0) return read.parallelism;
  std::int64_t tasks = std::max<std::int64_t>(1, options.read_op_min_num_blocks);
  if (total_bytes > 0) {
    const std::int64_t most = std::max<std::int64_t>(
        1, total_bytes / std::max<std::int64_t>(1, options.target_min_block_bytes));
    const std::int64_t max_bytes = std::max<std::int64_t>(1, options.target_max_block_bytes);
    const std::int64_t least = (total_bytes + max_bytes - 1) / max_bytes;
    tasks = std::max(std::min(tasks, most), least);
  }
  const std::int64_t two_per_cpu = 2 * ((cpu_milli + 999) / 1000);
  return std::max(tasks, two_per_cpu);
}

}  // namespace

std::vector<UnitGroup> GroupUnits(const logical::Read& read, const ExecutionOptions& options,
                                  std::int64_t cpu_milli) {
  const std::size_t count = CountNeeded(read);
  std::vector<std::int64_t> weights = EstimateBytes(read.source->units, count);
  std::int64_t total = 0;
  for (std::int64_t weight : weights) total += weight;
  const std::int64_t tasks = std::min<std::int64_t>(CountTasks(read, options, cpu_milli, total),
                                                    static_cast<std::int64_t>(count));
  if (total == 0) {
    std::fill(weights.begin(), weights.end(), 1);
    total = static_cast<std::int64_t>(count);
  }
  std::vector<UnitGroup> groups(static_cast<std::size_t>(tasks));
  std::size_t group = 0;
  std::int64_t before = 0;  // Weight of the units that are placed.
  for (std::size_t i = 0; i < count; ++i) {
    groups[group].push_back(static_cast<std::uint32_t>(i));
    before += weights[i];
    const std::size_t left = count - i - 1, groups_left = groups.size() - group - 1;
    if (groups_left == 0) continue;
    // Go on when this group has its share, or when the rest must have a unit each.
    const double share = static_cast<double>(total) * static_cast<double>(group + 1) /
                         static_cast<double>(groups.size());
    if (left == groups_left || static_cast<double>(before) >= share) ++group;
  }
  return groups;
}

}  // namespace headrace
