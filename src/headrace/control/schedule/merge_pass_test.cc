#include "headrace/control/schedule/merge_pass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>

#include "headrace/base/rng.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

constexpr std::int64_t kMiB = 1 << 20;

ExchangeOperator MergeSpec() {
  ExchangeOperator spec;
  spec.kind = ExchangeKind::kRuns;
  auto program = std::make_shared<TaskProgram>();
  program->steps = {MergeStep{{{"k"}}, -1}};
  spec.program = std::move(program);
  return spec;
}

/// Runs of `bytes` each, in blocks of two, with keys in no order.
std::deque<BlockInfo> Runs(std::int64_t count, std::int64_t bytes, std::uint64_t seed = 1) {
  Rng rng(seed);
  std::deque<BlockInfo> blocks;
  for (std::int64_t run = 0; run < count; ++run) {
    for (std::uint32_t number = 0; number < 2; ++number) {
      BlockInfo& info = blocks.emplace_back();
      info.num_rows = 100;
      info.num_bytes = bytes / 2;
      info.position.path = {static_cast<std::uint32_t>(run), number};
      auto index = std::make_shared<BlockIndex>();
      index->stride = 10;
      for (int i = 0; i < 11; ++i) {
        index->keys.push_back((number == 0 ? "a" : "b") + std::to_string(rng.Below(1'000'000)));
      }
      std::sort(index->keys.begin(), index->keys.end());
      info.index = std::move(index);
    }
  }
  return blocks;
}

InputInfos InfosOf(const std::deque<BlockInfo>& blocks) {
  InputInfos infos;
  for (const BlockInfo& info : blocks) infos.push_back(&info);
  return infos;
}

std::int64_t BytesOf(const InputInfos& blocks) {
  std::int64_t bytes = 0;
  for (const BlockInfo* info : blocks) bytes += info->num_bytes;
  return bytes;
}

/// What passes made of an input.
struct Merged {
  std::int64_t passes = 0;
  std::int64_t runs = 0;        // In the end.
  std::int64_t runs_most = 0;   // That one task of a pass read; and
  std::int64_t bytes_most = 0;  // the bytes that it read where those were more than the fan-in.
};

/// Returns the blocks after a pass, as if each of its tasks yielded one; in order.
InputInfos AfterPass(const MergePass& pass, const InputInfos& infos, std::deque<BlockInfo>* made) {
  InputInfos next;
  std::map<std::uint32_t, std::vector<BlockInfo*>> groups;
  std::int64_t before = -1;
  pass.ForEach(
      [&](std::uint32_t block) {
        EXPECT_FALSE(pass.merged(block));
        EXPECT_LT(before, block);
        before = block;
        next.push_back(infos[block]);
      },
      [&](std::uint32_t, std::uint32_t first) {
        EXPECT_LE(before, first);
        before = first;
        BlockInfo& info = made->emplace_back(*infos[first]);
        info.num_bytes = 0;
        info.position.path.back() = static_cast<std::uint32_t>(groups[first].size());
        groups[first].push_back(&info);
        next.push_back(&info);
      });
  for (std::uint32_t block = 0; block < infos.size(); ++block) {
    if (!pass.merged(block)) continue;
    const auto& tasks = (--groups.upper_bound(block))->second;
    tasks[block % tasks.size()]->num_bytes += infos[block]->num_bytes;
  }
  return next;
}

/// Does passes until there is none, as if each group became one block for each of its tasks.
Merged MergeAll(const std::deque<BlockInfo>& blocks, const ExchangePlace& place) {
  const ExchangeOperator spec = MergeSpec();
  std::deque<BlockInfo> made;
  InputInfos infos = InfosOf(blocks);
  const std::int64_t total = BytesOf(infos);
  const std::int64_t fan_in = MergeFanIn(spec, total, place);
  Merged out;
  while (true) {
    const auto pass = *MakeMergePass(spec, infos, place);
    if (!pass) break;
    ++out.passes;
    EXPECT_LT(out.passes, 20);
    for (std::uint32_t task = 0; task < pass->num_tasks(); ++task) {
      std::set<std::vector<std::uint32_t>> runs;
      double bytes = 0;
      for (const BlockPart& part : pass->WorkOf(task).parts) {
        EXPECT_TRUE(pass->merged(part.block));
        const auto [first, last] = pass->TasksOf(part.block);
        EXPECT_TRUE(first <= task && task <= last);
        const BlockInfo& info = *infos[part.block];
        const auto& path = info.position.path;
        runs.insert({path.begin(), path.end() - 1});
        bytes += static_cast<double>(info.num_bytes) *
                 static_cast<double>(part.range.end - part.range.begin) /
                 static_cast<double>(info.num_rows);
      }
      const auto count = static_cast<std::int64_t>(runs.size());
      if (count > fan_in) {
        out.bytes_most = std::max(out.bytes_most, static_cast<std::int64_t>(bytes));
      } else {
        out.runs_most = std::max(out.runs_most, count);
      }
    }
    infos = AfterPass(*pass, infos, &made);
  }
  out.runs = static_cast<std::int64_t>(FindRuns(infos).size()) - 1;
  EXPECT_TRUE(out.runs <= fan_in || total <= place.budget_bytes) << out.runs;
  EXPECT_EQ(BytesOf(infos), total);
  return out;
}

TEST(MergePass, FanInFollowsTheBudget) {
  const ExchangeOperator spec = MergeSpec();
  EXPECT_EQ(MergeFanIn(spec, 64 << 10, {2, 1 << 30}), 8);
  EXPECT_EQ(MergeFanIn(spec, std::int64_t{20} << 30, {2, std::int64_t{2} << 30}), 256);
  EXPECT_EQ(MergeFanIn(spec, std::int64_t{20} << 30, {2, 80 * kMiB}), 80);
  EXPECT_EQ(MergeFanIn(spec, std::int64_t{20} << 30, {2, 1 * kMiB}), 4);
}

TEST(MergePass, NoneWhereRunsAreFewOrFitIn) {
  const auto few = Runs(80, 100 * kMiB);
  EXPECT_EQ(MergeAll(few, {2, 80 * kMiB}).passes, 0);
  const auto small = Runs(2'000, 1 * kMiB);
  EXPECT_EQ(MergeAll(small, {2, 2'000 * kMiB}).passes, 0);
}

TEST(MergePass, NoTaskReadsMoreRunsThanItsFanIn) {
  for (const std::int64_t count : {81, 100, 500, 2'000}) {
    const auto runs = Runs(count, 10 * kMiB);
    const Merged merged = MergeAll(runs, {2, 80 * kMiB});
    EXPECT_EQ(merged.passes, 1) << count;
    EXPECT_LE(merged.runs_most, 80) << count;
    EXPECT_EQ(merged.bytes_most, 0) << count;
    EXPECT_EQ(merged.runs, 80) << count;
  }
}

TEST(MergePass, MergesNoMoreThanItMust) {
  const auto runs = Runs(100, 10 * kMiB);
  const auto infos = InfosOf(runs);
  const auto pass = *MakeMergePass(MergeSpec(), infos, {2, 80 * kMiB});
  ASSERT_TRUE(pass);
  std::uint32_t merged = 0;
  for (std::uint32_t block = 0; block < infos.size(); ++block) merged += pass->merged(block);
  EXPECT_EQ(merged, 2 * 21);  // Twenty too many: of 21 blocks of two, one.
}

TEST(MergePass, TakesTheRunsThatHaveTheFewestBytes) {
  auto runs = Runs(100, 10 * kMiB);
  for (std::size_t block = 80; block < 140; ++block) runs[block].num_bytes /= 2;
  const auto infos = InfosOf(runs);
  const auto pass = *MakeMergePass(MergeSpec(), infos, {2, 80 * kMiB});
  ASSERT_TRUE(pass);
  for (std::uint32_t block = 0; block < infos.size(); ++block) {
    EXPECT_TRUE(!pass->merged(block) || (block >= 80 && block < 140)) << block;
  }
}

TEST(MergePass, RunsOfLittleGoTogetherByTheirBytes) {
  // 10,000 runs of 16 KiB under a budget of 8 MiB, where a partition has one: 160 runs at once.
  const auto runs = Runs(10'000, 16 << 10);
  const Merged merged = MergeAll(runs, {2, 8 * kMiB});
  EXPECT_LE(merged.bytes_most, 5 * kMiB / 4);
  EXPECT_GT(merged.bytes_most, kMiB / 2);
  EXPECT_LE(merged.passes, 4);
}

}  // namespace
}  // namespace headrace
