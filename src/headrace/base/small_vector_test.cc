#include "headrace/base/small_vector.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "headrace/base/rng.h"

namespace headrace {
namespace {

using Small = SmallVector<std::uint32_t, 4>;

std::vector<std::uint32_t> ValuesOf(const Small& small) { return {small.begin(), small.end()}; }

TEST(SmallVector, IsUsedAsAVector) {
  Small small = {3, 1};
  small.push_back(2);
  small.insert(small.begin(), 9);
  EXPECT_EQ(ValuesOf(small), (std::vector<std::uint32_t>{9, 3, 1, 2}));
  small.insert(small.begin() + 1, 8);  // The fifth: on the heap now.
  EXPECT_EQ(ValuesOf(small), (std::vector<std::uint32_t>{9, 8, 3, 1, 2}));
  small.resize(7);
  EXPECT_EQ(small.back(), 0U);
  small.resize(1);
  EXPECT_EQ(small, Small{9});
}

TEST(SmallVector, ComparesInTheOrderOfVectors) {
  const std::vector<std::vector<std::uint32_t>> all = {{}, {1}, {1, 2}, {1, 2, 3, 4, 5}, {2}};
  for (const auto& a : all) {
    for (const auto& b : all) {
      EXPECT_EQ(Small(a.begin(), a.end()) < Small(b.begin(), b.end()), a < b);
      EXPECT_EQ(Small(a.begin(), a.end()) == Small(b.begin(), b.end()), a == b);
    }
  }
}

TEST(SmallVector, ManyRandomStepsAgreeWithAVector) {
  Rng rng(7);
  std::vector<std::vector<std::uint32_t>> expected(3);
  std::vector<Small> seen(3);
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t a = rng.Below(3);
    const std::size_t b = rng.Below(3);
    const auto value = static_cast<std::uint32_t>(rng.Below(UINT32_MAX));
    switch (rng.Below(7)) {
      case 0:
        expected[a] = expected[b];
        seen[a] = seen[b];
        break;
      case 1:
        if (a == b) break;
        expected[a] = std::exchange(expected[b], {});
        seen[a] = std::move(seen[b]);
        EXPECT_TRUE(seen[b].empty());
        break;
      case 2: {
        const auto at = static_cast<std::ptrdiff_t>(value % (expected[a].size() + 1));
        expected[a].insert(expected[a].begin() + at, value);
        seen[a].insert(seen[a].begin() + at, value);
        break;
      }
      case 3:
        expected[a].resize(value % 8);
        seen[a].resize(value % 8);
        break;
      case 4: {
        const Small copy = seen[a];
        EXPECT_EQ(ValuesOf(copy), expected[a]);
        break;
      }
      default:
        expected[a].push_back(value);
        seen[a].push_back(value);
    }
    ASSERT_EQ(ValuesOf(seen[a]), expected[a]);
  }
}

}  // namespace
}  // namespace headrace
