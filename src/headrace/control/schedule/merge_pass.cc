#include "headrace/control/schedule/merge_pass.h"

#include <algorithm>

#include "headrace/base/check.h"
#include "headrace/control/schedule/exchange_plan_impl.h"
#include "headrace/protocol/program.h"

namespace headrace {
namespace {

// What a task should have of each run: twice what lies between two keys of an index and a part of
// a file, of which it reads more than it needs.
constexpr std::int64_t kPieceBytes = 128 << 10;
// With less than two, nothing would become fewer; with four, passes are few enough.
constexpr std::int64_t kFanInMin = 4;
// Runs of little that one task may open.
constexpr std::int64_t kTinyMax = 4096;

bool SameRun(const Position& a, const Position& b) {
  return a.path.size() == b.path.size() && !a.path.empty() &&
         std::equal(a.path.begin(), a.path.end() - 1, b.path.begin());
}

std::int64_t SumBytes(const InputInfos& blocks) {
  std::int64_t bytes = 0;
  for (const BlockInfo* info : blocks) bytes += info->num_bytes;
  return bytes;
}

/// The runs of an input, and which of them make one.
class RunGroups {
 public:
  struct Group {
    std::size_t begin, end;  // Runs.
  };

  RunGroups(const InputInfos& blocks, const std::vector<std::uint32_t>& firsts) {
    for (std::size_t run = 0; run + 1 < firsts.size(); ++run) {
      std::int64_t bytes = before_.back();
      for (std::uint32_t block = firsts[run]; block < firsts[run + 1]; ++block) {
        bytes += blocks[block]->num_bytes;
      }
      before_.push_back(bytes);
    }
  }

  std::int64_t count() const { return static_cast<std::int64_t>(before_.size()) - 1; }

  /// Runs that have less than a piece each: as many together as one task may have.
  std::vector<Group> OfTiny(std::int64_t partition_bytes, std::int64_t fan_in) const {
    std::vector<Group> groups;
    const auto count = static_cast<std::size_t>(this->count());
    for (std::size_t begin = 0, end = 0; begin < count; begin = end) {
      const auto fits = [&](std::size_t next) {
        const auto runs = static_cast<std::int64_t>(next - begin);
        return runs <= fan_in ||
               (runs <= kTinyMax && before_[next] - before_[begin] <= partition_bytes);
      };
      while (end < count && fits(end + 1)) ++end;
      groups.push_back({begin, end});
    }
    return groups;
  }

  /// As few as leave `fan_in` runs, or a whole pass that comes nearer to it.
  std::vector<Group> OfLarge(std::int64_t fan_in) const {
    // A group of n runs takes away n - 1 of them.
    const auto up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
    const std::int64_t number = std::min(up(count() - fan_in, fan_in - 1), up(count(), fan_in));
    const std::int64_t merged = std::min(count(), count() - fan_in + number);
    const std::size_t first = Smallest(static_cast<std::size_t>(merged));
    std::vector<Group> groups;
    for (std::int64_t i = 0; i < number; ++i) {
      groups.push_back({first + static_cast<std::size_t>(merged * i / number),
                        first + static_cast<std::size_t>(merged * (i + 1) / number)});
    }
    return groups;
  }

 private:
  // Returns the first of `count` runs that follow each other and have the fewest bytes.
  std::size_t Smallest(std::size_t count) const {
    const auto bytes = [&](std::size_t first) { return before_[first + count] - before_[first]; };
    std::size_t best = 0;
    for (std::size_t first = 1; first + count < before_.size(); ++first) {
      if (bytes(first) < bytes(best)) best = first;
    }
    return best;
  }

  std::vector<std::int64_t> before_{0};  // Bytes before each run.
};

}  // namespace

std::int64_t MergeFanIn(const ExchangeOperator& spec, std::int64_t total_bytes,
                        const ExchangePlace& place) {
  return std::max(kFanInMin, PartitionBytes(spec, total_bytes, place) / kPieceBytes);
}

ProgramPtr MergeProgram(const ExchangeOperator& spec) {
  if (spec.program == nullptr || spec.program->steps.empty()) return nullptr;
  const auto* merge = std::get_if<MergeStep>(&spec.program->steps.front());
  if (merge == nullptr) return nullptr;
  auto program = std::make_shared<TaskProgram>();
  program->id = ~spec.program->id;  // Numbers of plans count from the other end.
  program->name = spec.program->name + " (merge)";
  program->run_name = spec.program->run_name;
  // What comes sorted the sort passes on as it is, labelled.
  program->steps = {MergeStep{merge->keys, -1}, SortStep{merge->keys, -1}};
  program->shape.shape = false;
  return program;
}

std::vector<std::uint32_t> FindRuns(const InputInfos& blocks) {
  std::vector<std::uint32_t> first;
  for (std::uint32_t block = 0; block < blocks.size(); ++block) {
    if (block > 0 && SameRun(blocks[block - 1]->position, blocks[block]->position)) continue;
    first.push_back(block);
  }
  first.push_back(static_cast<std::uint32_t>(blocks.size()));
  return first;
}

Result<std::optional<MergePass>> MakeMergePass(const ExchangeOperator& spec,
                                               const InputInfos& blocks,
                                               const ExchangePlace& place) {
  const std::int64_t total = SumBytes(blocks);
  if (total <= place.budget_bytes) return std::nullopt;
  const std::vector<std::uint32_t> firsts = FindRuns(blocks);
  const RunGroups runs(blocks, firsts);
  const std::int64_t fan_in = MergeFanIn(spec, total, place);
  if (runs.count() <= fan_in) return std::nullopt;
  const bool tiny = total / runs.count() < kPieceBytes;
  const auto groups =
      tiny ? runs.OfTiny(PartitionBytes(spec, total, place), fan_in) : runs.OfLarge(fan_in);
  ExchangeOperator part = spec;
  part.boundaries.clear();  // They part the result, not these runs.
  MergePass pass;
  pass.num_blocks_ = static_cast<std::uint32_t>(blocks.size());
  for (const auto& [first, last] : groups) {
    if (last - first < 2) continue;
    MergePass::Group& group = pass.groups_.emplace_back();
    group.begin = firsts[first];
    group.end = firsts[last];
    group.first_task = pass.num_tasks_;
    ARROW_ASSIGN_OR_RAISE(
        group.plan,
        MakeRunsPlan(part, {{blocks.begin() + group.begin, blocks.begin() + group.end}}, place));
    pass.num_tasks_ += group.plan->num_tasks();
  }
  return pass;
}

const MergePass::Group& MergePass::GroupOf(std::uint32_t task) const {
  const auto after = std::upper_bound(
      groups_.begin(), groups_.end(), task,
      [](std::uint32_t number, const Group& group) { return number < group.first_task; });
  HEADRACE_CHECK(after != groups_.begin());
  return *(after - 1);
}

ExchangeWork MergePass::WorkOf(std::uint32_t task) const {
  const Group& group = GroupOf(task);
  ExchangeWork work = group.plan->WorkOf(task - group.first_task);
  for (BlockPart& part : work.parts) part.block += group.begin;
  return work;
}

bool MergePass::merged(std::uint32_t block) const {
  return std::any_of(groups_.begin(), groups_.end(), [block](const Group& group) {
    return group.begin <= block && block < group.end;
  });
}

std::pair<std::uint32_t, std::uint32_t> MergePass::TasksOf(std::uint32_t block) const {
  const auto group = std::find_if(groups_.begin(), groups_.end(),
                                  [block](const Group& g) { return block < g.end; });
  const auto [first, last] = group->plan->TasksOf(block - group->begin);
  if (first > last) return {1, 0};
  return {first + group->first_task, last + group->first_task};
}

void MergePass::ForEach(
    const std::function<void(std::uint32_t block)>& keep,
    const std::function<void(std::uint32_t task, std::uint32_t first)>& take) const {
  std::uint32_t block = 0;
  for (const Group& group : groups_) {
    for (; block < group.begin; ++block) keep(block);
    for (std::uint32_t task = 0; task < group.plan->num_tasks(); ++task) {
      take(group.first_task + task, group.begin);
    }
    block = group.end;
  }
  for (; block < num_blocks_; ++block) keep(block);
}

}  // namespace headrace
