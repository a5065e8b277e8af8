#include "headrace/block/position.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(Position, SortsInTheOrderOfTheData) {
  EXPECT_LT((Position{{3, 0, 1, 7}}), (Position{{3, 0, 2}}));
  EXPECT_LT((Position{{3, 0}}), (Position{{3, 0, 0}}));
  EXPECT_LT((Position{{2, 9}}), (Position{{10}}));
}

TEST(Position, PrintsItsPath) {
  EXPECT_EQ(Position{}.ToString(), "root");
  EXPECT_EQ((Position{{3}}).Child(0).Child(12).ToString(), "3.0.12");
}

TEST(Position, SeedsDependOnEveryPartAndOnTheSeed) {
  const Position a{{1, 2}};
  EXPECT_EQ(a.Seed(5), (Position{{1, 2}}).Seed(5));
  EXPECT_NE(a.Seed(5), a.Seed(6));
  EXPECT_NE(a.Seed(5), (Position{{2, 1}}).Seed(5));
  EXPECT_NE(a.Seed(5), (Position{{1}}).Seed(5));
  EXPECT_NE((Position{{0}}).Seed(5), Position{}.Seed(5));
}

}  // namespace
}  // namespace headrace
