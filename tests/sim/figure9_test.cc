#include "figure9.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string_view>
#include <utility>

namespace headrace::simtest {
namespace {

TEST(Figure9, KeepsTheCpusBusyWithinAnyBudget) {
  for (const Figure9Bar& bar : kFigure9Bars) {
    const std::int64_t budget_bytes = bar.gigabytes * kGigabyte;
    const Case c = Figure9(budget_bytes);
    const Outcome out = SimRun(c).Go(/*check=*/true);
    EXPECT_EQ(Judge(c, out), "");
    EXPECT_LE(out.seconds, bar.seconds) << bar.gigabytes << " GB";
    EXPECT_GE(out.seconds, 150);
    std::printf("%2lld GB: %.1f s, peak %.2f GB, %lld overrides\n",
                static_cast<long long>(bar.gigabytes), out.seconds,
                static_cast<double>(out.peak_charged_bytes) / kGigabyte,
                static_cast<long long>(out.overrides));
  }
}

// The source budget of the same paper (algorithms 1 and 2): sources get what the memory holds at
// once, and then a block for every P seconds, P the sum over the stages of task time / slots. Here
// the means are known from the start.
class SourceBudget final : public BackpressurePolicy {
 public:
  SourceBudget(const SimRun* run, std::int64_t budget_bytes)
      : run_(run), budget_bytes_(budget_bytes) {}

  std::string_view name() const override { return "source budget"; }

  WaitReason MayStart(OperatorId op, const AccountView& view) const override {
    if (op.value != 0) return WaitReason::kNone;
    const OperatorLoad& load = view.operators[0];
    const std::int64_t started = load.tasks_running + load.tasks_parked + load.tasks_done;
    const auto grown = static_cast<std::int64_t>(run_->now().nanos / kPeriodNanos) * kBlockBytes;
    const bool fits = (started + 1) * kBlocksOfTask * kBlockBytes <= budget_bytes_ + grown;
    return fits ? WaitReason::kNone : WaitReason::kPolicy;
  }

 private:
  static constexpr std::int64_t kBlockBytes = 100'000'000;
  static constexpr std::int64_t kBlocksOfTask = 5;
  static constexpr std::int64_t kPeriodNanos = 312'500'000;  // 1 s / 8 + 0.5 s / 8 + 0.5 s / 4.

  const SimRun* run_;
  const std::int64_t budget_bytes_;
};

// Why the source budget is not the default: its P adds up stages that run side by side. The paper
// has 199 to 200 s from 8 GB on, and 291 s at 6 GB.
TEST(Figure9, IsFasterThanWithTheSourceBudget) {
  for (const std::int64_t gigabytes : {6, 8, 12, 16}) {
    const Case c = Figure9(gigabytes * kGigabyte);
    const double ours = SimRun(c).Go(/*check=*/false).seconds;
    SimRun run(c);
    Policies policies;
    policies.push_back(std::make_unique<SourceBudget>(&run, gigabytes * kGigabyte));
    const Outcome theirs = run.Go(/*check=*/false, std::move(policies));
    EXPECT_TRUE(theirs.finished);
    EXPECT_LT(ours * 1.2, theirs.seconds) << gigabytes << " GB";
    std::printf("%2lld GB: %.1f s, with the source budget %.1f s\n",
                static_cast<long long>(gigabytes), ours, theirs.seconds);
  }
}

}  // namespace
}  // namespace headrace::simtest
