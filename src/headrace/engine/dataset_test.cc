#include "headrace/engine/dataset.h"

#include <arrow/api.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "headrace/engine/execution.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/store/object_store.h"

namespace headrace {
namespace {

namespace fs = std::filesystem;

class DatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() /
                 ("headrace-dataset-test-" + std::to_string(::getpid()) + "-" +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(directory_);
  }
  void TearDown() override {
    fs::remove_all(directory_);
    // Whatever a test did: the store holds nothing once its data sets are gone.
    EXPECT_EQ((*Session::Default())->runtime().store().stats().objects, 0);
  }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  fs::path directory_;
};

std::vector<std::int64_t> Ids(const arrow::Table& table, const std::string& name = "id") {
  std::vector<std::int64_t> ids;
  for (const auto& chunk : table.GetColumnByName(name)->chunks()) {
    const auto& values = static_cast<const arrow::Int64Array&>(*chunk);
    for (std::int64_t i = 0; i < values.length(); ++i) ids.push_back(values.Value(i));
  }
  return ids;
}

std::vector<std::int64_t> Iota(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> ids(end - begin);
  std::iota(ids.begin(), ids.end(), begin);
  return ids;
}

TEST_F(DatasetTest, RangeComesInOrder) {
  auto table = Dataset::Range(10'000, 7)->ToTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Ids(**table), Iota(0, 10'000));
}

TEST_F(DatasetTest, EmptyRange) {
  EXPECT_EQ(*Dataset::Range(0)->Count(), 0);
  EXPECT_EQ((*Dataset::Range(0)->ToTable())->num_rows(), 0);
}

TEST_F(DatasetTest, FilterProjectAndLimit) {
  Dataset ds = *Dataset::Range(1000, 10);
  auto table = ds.Filter(Col("id") >= 990)
                   .WithColumn("twice", Col("id") * 2)
                   .RenameColumns({{"id", "n"}})
                   .Limit(3)
                   .ToTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Ids(**table, "n"), Iota(990, 993));
  EXPECT_EQ(Ids(**table, "twice"), (std::vector<std::int64_t>{1980, 1982, 1984}));
}

TEST_F(DatasetTest, UnionOfOneInputTwice) {
  Dataset ds = *(*Dataset::Range(5, 1)).Materialize();
  auto table = ds.Union({ds}).ToTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Ids(**table), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4}));
}

TEST_F(DatasetTest, MixTakesBlocksByTurns) {
  Dataset ds = *(*Dataset::Range(6, 3)).Materialize();
  Dataset other = *(*Dataset::Range(4, 1)).Materialize();
  auto table = ds.Mix({other}, {1, 2}).ToTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Ids(**table), (std::vector<std::int64_t>{0, 1, 2, 3, 0, 1, 2, 3, 4, 5}));
  table = ds.Mix({other}, {}, true).ToTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(Ids(**table), (std::vector<std::int64_t>{0, 1, 0, 1, 2, 3}));
  EXPECT_FALSE(ds.Mix({other}, {1}).ToTable().ok());
}

TEST_F(DatasetTest, FunctionGetsBatchesOfItsSize) {
  std::atomic<int> wrong{0};
  auto check = [&](std::shared_ptr<arrow::RecordBatch> batch)
      -> Result<std::shared_ptr<arrow::RecordBatch>> {
    if (batch->num_rows() != 64) ++wrong;
    return batch;
  };
  auto count = Dataset::Range(64 * 100, 1)->MapBatches(check, {.batch_rows = 64}).Count();
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 6400);
  EXPECT_EQ(wrong.load(), 0);
}

TEST_F(DatasetTest, FunctionErrorNamesOperatorAndRows) {
  auto fail =
      [](std::shared_ptr<arrow::RecordBatch>) -> Result<std::shared_ptr<arrow::RecordBatch>> {
    return Status::Invalid("no such luck");
  };
  auto count = Dataset::Range(100, 2)->MapBatches(fail, {.name = "unlucky"}).Count();
  ASSERT_FALSE(count.ok());
  EXPECT_NE(count.status().ToString().find("no such luck"), std::string::npos) << count.status();
  EXPECT_NE(count.status().ToString().find("MapBatches(unlucky)"), std::string::npos)
      << count.status();
}

TEST_F(DatasetTest, MisspeltColumnSaysWhatThereIs) {
  auto table = Dataset::Range(10)->Filter(Col("idd") > 1).ToTable();
  ASSERT_FALSE(table.ok());
  EXPECT_NE(table.status().message().find("idd"), std::string::npos) << table.status();
  EXPECT_NE(table.status().message().find("id"), std::string::npos) << table.status();
}

TEST_F(DatasetTest, ParquetRoundTrip) {
  auto report = Dataset::Range(5000, 4)->WithColumn("x", Col("id") * 0.5).WriteParquet(Path("out"));
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->num_rows, 5000);
  for (const auto& entry : fs::recursive_directory_iterator(Path("out"))) {
    EXPECT_EQ(entry.path().extension(), ".parquet") << entry.path();
  }
  auto back = Dataset::ReadParquet({Path("out")});
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back->Count(), 5000);
  auto some = back->Filter(Col("id") < 10).SelectColumns({"id"}).ToTable();
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(Ids(**some), Iota(0, 10));
}

TEST_F(DatasetTest, MissingPathAndCorruptFile) {
  auto missing = Dataset::ReadParquet({Path("nowhere")});
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("nowhere"), std::string::npos) << missing.status();

  std::ofstream(Path("bad.parquet")) << "this is no Parquet file";
  auto corrupt = Dataset::ReadParquet({Path("bad.parquet")});
  Status status = corrupt.ok() ? corrupt->ToTable().status() : corrupt.status();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("bad.parquet"), std::string::npos) << status;
}

TEST_F(DatasetTest, BatchesAndEarlyExit) {
  {
    auto batches = Dataset::Range(100'000, 20)->IterBatches(1000);
    ASSERT_TRUE(batches.ok()) << batches.status();
    for (int i = 0; i < 3; ++i) EXPECT_EQ((*batches->Next())->num_rows(), 1000);
  }  // Leaves 97 batches unread.
  auto batches = Dataset::Range(2500, 3)->IterBatches(1000);
  std::vector<std::int64_t> sizes;
  while (auto batch = *batches->Next()) sizes.push_back(batch->num_rows());
  EXPECT_EQ(sizes, (std::vector<std::int64_t>{1000, 1000, 500}));
}

TEST_F(DatasetTest, MaterializedBlocksAreReadAgain) {
  auto kept = Dataset::Range(1000, 8)->Materialize();
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(Ids(**kept->ToTable()), Iota(0, 1000));
  EXPECT_EQ(*kept->Filter(Col("id") >= 500).Count(), 500);
}

TEST_F(DatasetTest, MoreResourcesThanThereAre) {
  auto same =
      [](std::shared_ptr<arrow::RecordBatch> batch) -> Result<std::shared_ptr<arrow::RecordBatch>> {
    return batch;
  };
  auto count = Dataset::Range(10)
                   ->MapBatches(same, {.name = "greedy", .cost = {.cpu_milli = 100'000'000}})
                   .Count();
  ASSERT_FALSE(count.ok());
  EXPECT_NE(count.status().message().find("greedy"), std::string::npos) << count.status();
  EXPECT_NE(count.status().message().find("100000"), std::string::npos) << count.status();
}

}  // namespace
}  // namespace headrace
