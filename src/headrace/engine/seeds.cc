#include "headrace/engine/seeds.h"

#include <random>
#include <unordered_map>
#include <utility>

namespace headrace {
namespace {

class SeedDrawer {
 public:
  LogicalPtr Visit(const LogicalPtr& op) {
    auto [found, is_new] = done_.try_emplace(op.get());
    if (!is_new) return found->second;
    std::vector<LogicalPtr> inputs;
    for (const LogicalPtr& input : op->inputs()) inputs.push_back(Visit(input));
    LogicalPtr made = LogicalOperator::WithInputs(op, std::move(inputs));
    LogicalKind kind = made->kind();
    if (std::uint64_t* seed = SeedOf(&kind); seed != nullptr && *seed == kSeedOfEachRun) {
      *seed = Draw();
      made = LogicalOperator::Make(std::move(kind), made->inputs());
    }
    return done_[op.get()] = made;
  }

 private:
  static std::uint64_t* SeedOf(LogicalKind* kind) {
    if (auto* shuffle = std::get_if<logical::RandomShuffle>(kind)) return &shuffle->seed;
    if (auto* blocks = std::get_if<logical::RandomizeBlocks>(kind)) return &blocks->seed;
    if (auto* parts = std::get_if<logical::Repartition>(kind)) {
      return parts->shuffle ? &parts->seed : nullptr;
    }
    return nullptr;
  }

  std::uint64_t Draw() { return (static_cast<std::uint64_t>(device_()) << 32 | device_()) | 1; }

  std::random_device device_;
  std::unordered_map<const LogicalOperator*, LogicalPtr> done_;
};

}  // namespace

LogicalPtr DrawSeeds(const LogicalPtr& plan) { return SeedDrawer().Visit(plan); }

}  // namespace headrace
