#include <arrow/api.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "headrace/data/read/source.h"
#include "headrace/engine/dataset.h"
#include "headrace/engine/execution.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/store/object_store.h"

// Exchanges of more than the budget: what they hold goes to disk by the ledger's word.

namespace headrace {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBudgetBytes = 8 << 20;
constexpr std::int64_t kSpilledRows = 4 << 20;  // Of eight bytes: four times the budget.

class ExchangeSpillTest : public ::testing::Test {
 protected:
  ExchangeSpillTest() {
    std::string pattern = fs::temp_directory_path() / "exchange-test-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    LocalRuntimeOptions options;
    options.total.cpu_milli = 2000;
    options.object_store_bytes = kBudgetBytes;
    options.spill_directory = directory_;
    session_ = Session::Make(std::move(options)).ValueOrDie();
    logical::Read read;
    read.source = MakeRangeSource(kSpilledRows);
    read.parallelism = 64;
    range_ = LogicalOperator::Make(std::move(read));
  }
  ~ExchangeSpillTest() override {
    EXPECT_EQ(session_->runtime().store().stats().objects, 0);
    EXPECT_EQ(session_->runtime().store().stats().spilled_bytes, 0);
    session_.reset();
    EXPECT_TRUE(fs::is_empty(directory_));
    fs::remove_all(directory_);
  }

  /// Runs the plan and calls `visit(value)` for each row of its first column.
  template <class Visit>
  void ForEach(const LogicalPtr& plan, Visit visit) {
    auto execution = session_->Execute(plan, {}).ValueOrDie();
    while (true) {
      auto next = execution->Next(2);
      ASSERT_TRUE(next.ok()) << next.status();
      if (!next->has_value()) break;
      const ObjectId object[] = {(*next)->object};
      {
        const Block block = execution->backend().Get(object[0]).ValueOrDie();
        for (const auto& chunk : block.table()->column(0)->chunks()) {
          const auto& values = static_cast<const arrow::Int64Array&>(*chunk);
          for (std::int64_t i = 0; i < values.length(); ++i) visit(values.Value(i));
        }
      }
      execution->backend().Release(object);
    }
    EXPECT_GT(session_->runtime().store().stats().spilled_bytes_total, kSpilledRows * 8 / 4);
    EXPECT_LT(execution->peak_charged_bytes(), 2 * kBudgetBytes);
  }

  std::string directory_;
  std::shared_ptr<Session> session_;
  LogicalPtr range_;
};

TEST_F(ExchangeSpillTest, Sorts) {
  std::int64_t expected = kSpilledRows;
  ForEach(LogicalOperator::Make(logical::Sort{{{"id", true, false}}, {}, -1}, {range_}),
          [&](std::int64_t value) { ASSERT_EQ(value, --expected); });
  EXPECT_EQ(expected, 0);
}

TEST_F(ExchangeSpillTest, Shuffles) {
  std::vector<bool> seen(kSpilledRows, false);
  std::int64_t rows = 0, in_place = 0;
  ForEach(LogicalOperator::Make(logical::RandomShuffle{5, -1, {}}, {range_}),
          [&](std::int64_t value) {
            ASSERT_FALSE(seen[static_cast<std::size_t>(value)]);
            seen[static_cast<std::size_t>(value)] = true;
            in_place += value == rows++ ? 1 : 0;
          });
  EXPECT_EQ(rows, kSpilledRows);
  EXPECT_LT(in_place, 100);
}

TEST_F(ExchangeSpillTest, Repartitions) {
  std::int64_t expected = 0;
  ForEach(LogicalOperator::Make(logical::Repartition{16, -1, {}, false, 0}, {range_}),
          [&](std::int64_t value) { ASSERT_EQ(value, expected++); });
  EXPECT_EQ(expected, kSpilledRows);
}

}  // namespace
}  // namespace headrace
