#include "headrace/engine/seeds.h"

#include <sys/random.h>
#include <unistd.h>

#include <unordered_map>
#include <utility>

#include "headrace/base/check.h"

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

  static std::uint64_t Draw() {
    std::uint64_t seed = 0;
    HEADRACE_CHECK(::getentropy(&seed, sizeof(seed)) == 0);
    return seed | 1;
  }

  std::unordered_map<const LogicalOperator*, LogicalPtr> done_;
};

}  // namespace

LogicalPtr DrawSeeds(const LogicalPtr& plan) { return SeedDrawer().Visit(plan); }

}  // namespace headrace
