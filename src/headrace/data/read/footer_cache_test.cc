#include "headrace/data/read/footer_cache.h"

#include <arrow/io/file.h>
#include <arrow/table.h>
#include <gtest/gtest.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "headrace/data/read/source.h"
#include "headrace/data/testing.h"

namespace headrace {
namespace {

using testing::NumbersTable;
using testing::TempDir;
using testing::WriteParquet;

std::shared_ptr<arrow::Table> Numbers(std::int64_t first, std::int64_t rows) {
  return NumbersTable(first, rows)->SelectColumns({0}).ValueOrDie();
}

void SetAge(const std::string& path, std::chrono::seconds age) {
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - age);
}

std::shared_ptr<parquet::FileMetaData> FooterOf(const std::string& path) {
  parquet::arrow::FileReaderBuilder builder;
  const Status opened = OpenParquet(arrow::io::ReadableFile::Open(path).ValueOrDie(),
                                    parquet::ReaderProperties(), &builder);
  EXPECT_TRUE(opened.ok()) << opened.ToString();
  return builder.raw_reader()->metadata();
}

TEST(FooterCache, TasksOfOneFileShareItsFooter) {
  TempDir dir;
  const std::string path = dir / "a.parquet";
  WriteParquet(path, Numbers(0, 10));
  SetAge(path, std::chrono::hours(1));
  EXPECT_EQ(FooterOf(path), FooterOf(path));
}

TEST(FooterCache, AFileThatWasWrittenAgainIsReadAnew) {
  TempDir dir;
  const std::string path = dir / "a.parquet";
  WriteParquet(path, Numbers(100, 10));
  SetAge(path, std::chrono::hours(2));
  const auto before = std::filesystem::file_size(path);
  const auto old = FooterOf(path);
  WriteParquet(path, Numbers(200, 10));
  SetAge(path, std::chrono::hours(1));
  ASSERT_EQ(std::filesystem::file_size(path), before);
  EXPECT_NE(FooterOf(path), old);
  // The statistics of the old footer know no such row.
  FileSourceOptions options;
  options.format = "parquet";
  options.paths = {path};
  const auto source = MakeFileSource(options).ValueOrDie();
  const auto filter = testing::Call("greater", {testing::Col("x"), testing::Lit(150)});
  EXPECT_EQ(testing::ReadAll(ReadStep{source, {}, filter, -1}).ValueOrDie()->num_rows(), 10);
}

TEST(FooterCache, AFileThatMayStillBeWrittenIsNotKept) {
  TempDir dir;
  const std::string path = dir / "a.parquet";
  WriteParquet(path, Numbers(0, 10));
  SetAge(path, std::chrono::seconds(-60));
  EXPECT_NE(FooterOf(path), FooterOf(path));
}

TEST(FooterCache, OnlySomeAreKept) {
  TempDir dir;
  std::weak_ptr<parquet::FileMetaData> first;
  for (int i = 0; i < 200; ++i) {
    const std::string path = dir / (std::to_string(i) + ".parquet");
    WriteParquet(path, Numbers(i, 1));
    SetAge(path, std::chrono::hours(1));
    const auto footer = FooterOf(path);
    if (i == 0) first = footer;
  }
  EXPECT_TRUE(first.expired());
}

// ---- What footers say is how files are cut.

std::vector<std::int64_t> UnitRows(const std::string& path) {
  FileSourceOptions options;
  options.format = "parquet";
  options.paths = {path};
  const auto source = MakeFileSource(options).ValueOrDie();
  std::vector<std::int64_t> rows;
  for (const ReadUnit& unit : source->units) rows.push_back(unit.num_rows);
  return rows;
}

TEST(ParquetUnits, SmallFilesAreCutEvenlyForSomeTasks) {
  TempDir dir;
  // 20 row groups of about 0.5 MiB.
  WriteParquet(dir / "a.parquet", Numbers(0, 20 * 65'536), 65'536);
  const auto rows = UnitRows(dir / "a.parquet");
  EXPECT_GT(rows.size(), 5U);
  EXPECT_LE(rows.size(), 16U);
  const auto [least, most] = std::minmax_element(rows.begin(), rows.end());
  EXPECT_LE(*most, *least + 65'536);
  // Less than is worth a task.
  WriteParquet(dir / "b.parquet", Numbers(0, 10'000), 1'000);
  EXPECT_EQ(UnitRows(dir / "b.parquet"), std::vector<std::int64_t>{10'000});
}

}  // namespace
}  // namespace headrace
