#include "figure9.h"

#include <gtest/gtest.h>

#include <cstdio>

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

}  // namespace
}  // namespace headrace::simtest
