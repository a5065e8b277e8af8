#include "headrace/control/schedule/exchange_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <numeric>

#include "headrace/base/rng.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

ExchangeOperator Spec(ExchangeKind kind, std::vector<Step> steps = {}) {
  ExchangeOperator spec;
  spec.kind = kind;
  auto program = std::make_shared<TaskProgram>();
  program->steps = std::move(steps);
  spec.program = std::move(program);
  return spec;
}

/// Blocks of one or two inputs.
struct Blocks {
  std::vector<std::deque<BlockInfo>> inputs{1};

  BlockInfo& Add(std::int64_t rows, std::int64_t bytes, std::size_t input = 0) {
    while (inputs.size() <= input) inputs.emplace_back();
    BlockInfo& info = inputs[input].emplace_back();
    info.num_rows = rows;
    info.num_bytes = bytes;
    info.position.path = {static_cast<std::uint32_t>(inputs[input].size() - 1), 0};
    return info;
  }
  BlockInfo& Scattered(std::vector<std::int64_t> sizes, std::int64_t row_bytes,
                       std::size_t input = 0) {
    auto index = std::make_shared<BlockIndex>();
    std::vector<std::int64_t> offsets{0};
    for (const std::int64_t size : sizes) offsets.push_back(offsets.back() + size);
    const std::int64_t rows = offsets.back();
    index->buckets = BucketOffsets(offsets);
    BlockInfo& info = Add(rows, rows * row_bytes, input);
    info.index = std::move(index);
    return info;
  }
  BlockInfo& Sorted(std::vector<std::string> rows, std::int64_t stride, std::int64_t row_bytes,
                    std::uint32_t run, std::uint32_t number = 0) {
    BlockInfo& info = Add(static_cast<std::int64_t>(rows.size()),
                          static_cast<std::int64_t>(rows.size()) * row_bytes);
    info.position.path = {run, number};
    auto index = std::make_shared<BlockIndex>();
    index->stride = stride;
    for (std::size_t i = 0; i < rows.size(); i += static_cast<std::size_t>(stride)) {
      index->keys.push_back(rows[i]);
    }
    if ((rows.size() - 1) % static_cast<std::size_t>(stride) != 0)
      index->keys.push_back(rows.back());
    info.index = std::move(index);
    return info;
  }

  Result<std::unique_ptr<ExchangePlan>> Plan(const ExchangeOperator& spec,
                                             const ExchangePlace& place = {2, 1 << 30}) const {
    std::vector<InputInfos> infos(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      for (const BlockInfo& info : inputs[i]) infos[i].push_back(&info);
    }
    return MakeExchangePlan(spec, std::move(infos), place);
  }
  std::uint32_t size() const {
    std::size_t all = 0;
    for (const auto& input : inputs) all += input.size();
    return static_cast<std::uint32_t>(all);
  }
  const BlockInfo& at(std::uint32_t block) const {
    std::size_t input = 0, index = block;
    while (index >= inputs[input].size()) index -= inputs[input++].size();
    return inputs[input][index];
  }
};

std::int64_t RowsOf(const ExchangeWork& work, std::uint32_t first, std::uint32_t last) {
  std::int64_t rows = 0;
  for (std::uint32_t i = first; i < last; ++i) {
    rows += work.parts[i].range.end - work.parts[i].range.begin;
  }
  return rows;
}

/// Checks what holds for every plan: parts lie in their blocks and in the tasks that TasksOf()
/// names, and an input with blocks has a part in each task. Returns how often each row is taken.
std::vector<std::vector<int>> Cover(const Blocks& blocks, const ExchangePlan& plan) {
  std::vector<std::vector<int>> taken;
  for (std::uint32_t block = 0; block < blocks.size(); ++block) {
    taken.emplace_back(static_cast<std::size_t>(blocks.at(block).num_rows), 0);
  }
  const auto left_blocks = static_cast<std::uint32_t>(blocks.inputs[0].size());
  for (std::uint32_t task = 0; task < plan.num_tasks(); ++task) {
    const ExchangeWork work = plan.WorkOf(task);
    for (std::uint32_t i = 0; i < work.parts.size(); ++i) {
      const BlockPart& part = work.parts[i];
      EXPECT_EQ(i < work.left_parts, part.block < left_blocks);
      const auto [first, last] = plan.TasksOf(part.block);
      EXPECT_LE(first, task);
      EXPECT_GE(last, task);
      EXPECT_LE(part.range.end, blocks.at(part.block).num_rows);
      for (std::int64_t row = part.range.begin; row < part.range.end; ++row) {
        ++taken[part.block][static_cast<std::size_t>(row)];
      }
    }
    EXPECT_EQ(work.left_parts > 0, left_blocks > 0);
    EXPECT_EQ(work.parts.size() > work.left_parts, blocks.size() > left_blocks);
  }
  return taken;
}

void ExpectEachOnce(const Blocks& blocks, const ExchangePlan& plan) {
  for (const auto& block : Cover(blocks, plan)) {
    for (const int times : block) EXPECT_EQ(times, 1);
  }
}

TEST(ExchangePlan, RowsByNumberAndBySize) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    Blocks blocks;
    std::int64_t rows = 0;
    for (std::uint64_t i = rng.Below(8) + 1; i > 0; --i) {
      const auto its = static_cast<std::int64_t>(rng.Chance(0.3) ? 0 : rng.Below(20));
      blocks.Add(its, its * 8);
      rows += its;
    }
    ExchangeOperator spec = Spec(ExchangeKind::kRows);
    const auto number = static_cast<std::int64_t>(1 + rng.Below(30));
    spec.partitions = number;
    auto plan = *blocks.Plan(spec);
    EXPECT_EQ(plan->num_tasks(), number);
    ExpectEachOnce(blocks, *plan);
  }
}

TEST(ExchangePlan, ZippedTasksHaveEqualRowsOfBothSides) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    Blocks blocks;
    std::int64_t left = 0;
    for (std::uint64_t i = 1 + rng.Below(6); i > 0; --i) {
      const auto rows = static_cast<std::int64_t>(rng.Below(20));
      blocks.Add(rows, rows << 18);
      left += rows;
    }
    for (std::int64_t right = left; right > 0;) {
      const auto rows = std::min<std::int64_t>(right, static_cast<std::int64_t>(rng.Below(9)));
      blocks.Add(rows, rows, 1);
      right -= rows;
    }
    if (blocks.inputs.size() == 1) blocks.Add(0, 0, 1);
    const auto plan = *blocks.Plan(Spec(ExchangeKind::kAligned, {ZipStep{}}));
    ExpectEachOnce(blocks, *plan);
    for (std::uint32_t task = 0; task < plan->num_tasks(); ++task) {
      const ExchangeWork work = plan->WorkOf(task);
      const auto parts = static_cast<std::uint32_t>(work.parts.size());
      EXPECT_EQ(RowsOf(work, 0, work.left_parts), RowsOf(work, work.left_parts, parts));
    }
  }
  Blocks unequal;
  unequal.Add(3, 3);
  unequal.Add(4, 4, 1);
  const auto failed = unequal.Plan(Spec(ExchangeKind::kAligned, {ZipStep{}}));
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.status().message().find("3, 4"), std::string::npos);
}

TEST(ExchangePlan, BucketsAreEachInOneTask) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    Blocks blocks;
    const std::size_t buckets = 1 + rng.Below(20);
    for (std::uint64_t i = 1 + rng.Below(6); i > 0; --i) {
      std::vector<std::int64_t> sizes(buckets);
      for (std::int64_t& size : sizes) size = static_cast<std::int64_t>(rng.Below(5));
      blocks.Scattered(sizes, 1 << 17);
    }
    blocks.Add(0, 0);
    ExchangeOperator spec = Spec(ExchangeKind::kBuckets);
    ExpectEachOnce(blocks, **blocks.Plan(spec));
    spec.partitions = static_cast<std::int64_t>(buckets);
    const auto plan = *blocks.Plan(spec);
    EXPECT_EQ(plan->num_tasks(), buckets);
    ExpectEachOnce(blocks, *plan);
  }
}

TEST(ExchangePlan, NumberOfPartitionsFollowsTheSizes) {
  const std::vector<std::int64_t> even(256, 1);
  const auto tasks = [&](std::int64_t row_bytes, const ExchangePlace& place,
                         std::vector<Step> steps = {}) {
    Blocks blocks;
    blocks.Scattered(even, row_bytes);
    return (*blocks.Plan(Spec(ExchangeKind::kBuckets, std::move(steps)), place))->num_tasks();
  };
  const ExchangePlace roomy{4, std::int64_t{1} << 40};
  EXPECT_EQ(tasks(1 << 10, roomy), 1U);    // 256 KiB.
  EXPECT_EQ(tasks(1 << 14, roomy), 4U);    // 4 MiB.
  EXPECT_EQ(tasks(1 << 18, roomy), 64U);   // 64 MiB.
  EXPECT_EQ(tasks(1 << 22, roomy), 64U);   // 1 GiB.
  EXPECT_EQ(tasks(1 << 25, roomy), 256U);  // 8 GiB, in 32 MiB.
  EXPECT_EQ(tasks(1 << 18, {4, 4 << 20}), 256U);
  // Dear tasks: 8 MiB each, but two for each cpu, and 1 MiB all the same.
  const std::int64_t dear = 8 << 20;
  EXPECT_EQ(tasks(1 << 18, {1, std::int64_t{1} << 40, dear}), 8U);
  EXPECT_EQ(tasks(1 << 18, {16, std::int64_t{1} << 40, dear}), 32U);
  EXPECT_EQ(tasks(1 << 14, {16, std::int64_t{1} << 40, dear}), 4U);
  EXPECT_EQ(tasks(1 << 25, {4, std::int64_t{1} << 40, dear}), 256U);
  // A shuffle must not depend on the place.
  EXPECT_EQ(tasks(1 << 18, {4, 4 << 20, dear}, {ShuffleStep{}}), 64U);
}

TEST(ExchangePlan, ASkewedBucketOfAJoinIsSharedOut) {
  Blocks blocks;
  for (int i = 0; i < 20; ++i) blocks.Scattered({1, 90, 1}, 1 << 14);
  blocks.Scattered({1, 1, 1}, 1 << 10, 1);
  const auto plan =
      *blocks.Plan(Spec(ExchangeKind::kBuckets, {JoinStep{JoinKind::kLeftOuter, {}, {}, {}, {}}}));
  EXPECT_GT(plan->num_tasks(), 10U);
  const auto taken = Cover(blocks, *plan);
  for (std::size_t block = 0; block < 20; ++block) {
    for (const int times : taken[block]) EXPECT_EQ(times, 1);
  }
  EXPECT_EQ(taken[20][0], 1);
  EXPECT_GT(taken[20][1], 10);  // Beside each share of the left side.
  // Rows of the left side without a match must be found once.
  const auto outer =
      *blocks.Plan(Spec(ExchangeKind::kBuckets, {JoinStep{JoinKind::kFullOuter, {}, {}, {}, {}}}));
  ExpectEachOnce(blocks, *outer);
}

/// Every row of sorted blocks is in the range of exactly one task's keys, and that task has it.
void CheckRuns(const std::vector<std::vector<std::vector<std::string>>>& runs,
               const ExchangePlan& plan) {
  std::vector<std::pair<std::uint32_t, const std::vector<std::string>*>> blocks;
  for (std::uint32_t run = 0; run < runs.size(); ++run) {
    for (const auto& block : runs[run]) blocks.emplace_back(run, &block);
  }
  std::size_t found = 0, all = 0;
  for (const auto& [run, block] : blocks) all += block->size();
  for (std::uint32_t task = 0; task < plan.num_tasks(); ++task) {
    const ExchangeWork work = plan.WorkOf(task);
    ASSERT_TRUE(work.keys.has_value());
    ASSERT_EQ(work.keys->runs.size(), work.parts.size());
    for (std::size_t i = 0; i < work.parts.size(); ++i) {
      const auto& [run, rows] = blocks[work.parts[i].block];
      EXPECT_EQ(work.keys->runs[i], run);
      for (std::int64_t row = work.parts[i].range.begin; row < work.parts[i].range.end; ++row) {
        const RunBound at{(*rows)[static_cast<std::size_t>(row)], run};
        const bool in = (!work.keys->low || *work.keys->low <= at) &&
                        (!work.keys->high || at < *work.keys->high);
        found += in ? 1 : 0;
      }
    }
  }
  EXPECT_EQ(found, all);
}

TEST(ExchangePlan, SortedRowsAreEachInOneTask) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Rng rng(seed);
    Blocks blocks;
    std::vector<std::vector<std::vector<std::string>>> runs(1 + rng.Below(6));
    const std::uint64_t letters = rng.Chance(0.3) ? 1 : 1 + rng.Below(20);
    for (std::uint32_t run = 0; run < runs.size(); ++run) {
      std::vector<std::string> rows(1 + rng.Below(60));
      for (std::string& row : rows)
        row = std::string(1, static_cast<char>('a' + rng.Below(letters)));
      std::sort(rows.begin(), rows.end());
      for (std::size_t begin = 0; begin < rows.size();) {
        const std::size_t end = std::min(rows.size(), begin + 1 + rng.Below(30));
        runs[run].emplace_back(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                               rows.begin() + static_cast<std::ptrdiff_t>(end));
        blocks.Sorted(runs[run].back(), 1 + static_cast<std::int64_t>(rng.Below(7)), 1 << 17, run,
                      static_cast<std::uint32_t>(runs[run].size()));
        begin = end;
      }
    }
    ExchangeOperator spec = Spec(ExchangeKind::kRuns, {MergeStep{}});
    const auto plan = *blocks.Plan(spec);
    Cover(blocks, *plan);
    CheckRuns(runs, *plan);
    spec.boundaries = {"b", "c", "m"};
    const auto asked = *blocks.Plan(spec);
    EXPECT_EQ(asked->num_tasks(), 4U);
    Cover(blocks, *asked);
    CheckRuns(runs, *asked);
  }
}

TEST(ExchangePlan, SmallRunsAreOnePartition) {
  Blocks blocks;
  blocks.Sorted({"a", "b", "c", "d", "e", "f"}, 2, 8, 0);
  EXPECT_EQ((*blocks.Plan(Spec(ExchangeKind::kRuns, {MergeStep{}})))->num_tasks(), 1U);
}

TEST(ExchangePlan, EqualKeysAreSharedOutByRuns) {
  Blocks blocks;
  for (std::uint32_t run = 0; run < 10; ++run) {
    blocks.Sorted(std::vector<std::string>(64, "same"), 8, 1 << 16, run);  // 4 MiB each.
  }
  const auto plan = *blocks.Plan(Spec(ExchangeKind::kRuns, {MergeStep{}}));
  ASSERT_EQ(plan->num_tasks(), 10U);
  for (std::uint32_t task = 0; task < 10; ++task) {
    const ExchangeWork work = plan->WorkOf(task);
    EXPECT_EQ(RowsOf(work, 0, work.left_parts), 64);
  }
}

TEST(ExchangePlan, BlocksThatNobodyPreparedAreErrors) {
  Blocks blocks;
  blocks.Add(5, 5);
  EXPECT_FALSE(blocks.Plan(Spec(ExchangeKind::kBuckets)).ok());
  EXPECT_FALSE(blocks.Plan(Spec(ExchangeKind::kRuns, {MergeStep{}})).ok());
}

}  // namespace
}  // namespace headrace
