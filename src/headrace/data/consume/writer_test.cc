#include "headrace/data/consume/writer.h"

#include <arrow/api.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/filesystem/localfs.h>
#include <arrow/io/memory.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>

#include "headrace/block/ipc.h"
#include "headrace/data/consume/commit.h"
#include "headrace/data/consume/json_text.h"
#include "headrace/data/consume/partition.h"
#include "headrace/data/read/source.h"
#include "headrace/data/testing.h"

namespace headrace {
namespace {

using testing::NumbersTable;
using testing::ReadFile;
using testing::TempDir;
using testing::Text;

// Writes the tables in one task at position "7" and returns the result blocks.
Result<std::vector<Block>> RunWrite(const std::string& format, const std::string& directory,
                                    std::vector<std::shared_ptr<arrow::Table>> tables,
                                    OptionMap options = {}) {
  auto target = std::make_shared<WriteTarget>();
  target->format = format;
  target->directory = directory;
  target->run_id = "run";
  target->temporary = "run-tag";
  target->options = std::move(options);
  TaskProgram program;
  program.name = "Write";
  program.steps = {WriteStep{target}};
  TaskInput input;
  input.position.path = {7};
  for (auto& table : tables) input.blocks.emplace_back(std::move(table));
  ARROW_ASSIGN_OR_RAISE(auto outputs, testing::Drain(program, std::move(input)));
  std::vector<Block> blocks;
  for (auto& output : outputs) blocks.push_back(output.block);
  return blocks;
}

Status Commit(const std::string& directory, const std::vector<Block>& results,
              WriteMode mode = WriteMode::kAppend) {
  arrow::fs::LocalFileSystem file_system;
  return CommitWrite(&file_system, directory, "run-tag", results, mode);
}

std::shared_ptr<arrow::Table> Read(const std::string& format, const std::string& path,
                                   bool hive = false) {
  FileSourceOptions options;
  options.format = format;
  options.paths = {path};
  if (hive) options.partitioning_base = "";
  auto source = MakeFileSource(options).ValueOrDie();
  return testing::ReadAll(ReadStep{source, {}, nullptr, -1}).ValueOrDie();
}

std::vector<std::string> Names(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    names.push_back(std::filesystem::relative(entry.path(), directory).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Write, ParquetCommitsUnderItsName) {
  TempDir dir;
  auto results =
      RunWrite("parquet", dir.path(), {NumbersTable(0, 500), NumbersTable(500, 500)}).ValueOrDie();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_TRUE(results[0].table()->schema()->Equals(*WriteResultSchema()));
  ASSERT_EQ(results[0].num_rows(), 1);
  EXPECT_EQ(testing::Int(*results[0].table(), "num_rows", 0), 1000);
  EXPECT_EQ(Names(dir.path()), (std::vector<std::string>{
                                   ".headrace-run-tag", ".headrace-run-tag/run_000007_0.parquet"}));
  EXPECT_EQ(testing::Int(*results[0].table(), "num_bytes", 0),
            static_cast<std::int64_t>(
                std::filesystem::file_size(dir / ".headrace-run-tag/run_000007_0.parquet")));
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  EXPECT_EQ(Names(dir.path()), (std::vector<std::string>{"run_000007_0.parquet"}));
  auto table = Read("parquet", dir.path());
  ASSERT_EQ(table->num_rows(), 1000);
  EXPECT_EQ(Text(*table, "s", 999), "v999");
  // Again, as after a crash: nothing changes.
  EXPECT_TRUE(Commit(dir.path(), results).ok());
}

TEST(Write, ParquetFilesHaveTheUsersMetadataOnly) {
  TempDir dir;
  const auto metadata = arrow::key_value_metadata({"headrace.pandas", "theirs"}, {"{}", "1"});
  const auto table = NumbersTable(0, 3)->ReplaceSchemaMetadata(metadata);
  auto results = RunWrite("parquet", dir.path(), {table, NumbersTable(3, 3)}).ValueOrDie();
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  const auto kept = Read("parquet", dir.path())->schema()->metadata();
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->Contains("theirs"));
  EXPECT_FALSE(kept->Contains("headrace.pandas"));
}

TEST(Write, NoRowsWriteNoFile) {
  TempDir dir;
  auto results = RunWrite("parquet", dir.path(), {NumbersTable(0, 0)}).ValueOrDie();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].num_rows(), 0);
  EXPECT_TRUE(Names(dir.path()).empty());
}

TEST(Write, MaxRowsPerFileCutsFiles) {
  TempDir dir;
  auto results = RunWrite("csv", dir.path(), {NumbersTable(0, 7), NumbersTable(7, 5)},
                          {{"max_rows_per_file", std::int64_t{5}}})
                     .ValueOrDie();
  ASSERT_EQ(results[0].num_rows(), 3);
  EXPECT_EQ(testing::Int(*results[0].table(), "num_rows", 2), 2);
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  EXPECT_EQ(ReadFile(dir / "run_000007_2.csv"), "\"x\",\"s\"\n10,\"v10\"\n11,\"v11\"\n");
}

TEST(Write, RowsWithoutColumnsAreCutToo) {
  TempDir dir;
  const auto table = arrow::Table::Make(arrow::schema({}), arrow::ChunkedArrayVector{}, 5);
  auto results = RunWrite("json", dir.path(), {table}, {{"max_rows_per_file", std::int64_t{2}}});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->at(0).num_rows(), 3);
  EXPECT_EQ(testing::Int(*results->at(0).table(), "num_rows", 2), 1);
}

TEST(Write, ArrowKeepsEveryTable) {
  TempDir dir;
  const auto bare = arrow::Table::Make(arrow::schema({}), arrow::ChunkedArrayVector{}, 5);
  const auto empty = NumbersTable(0, 0);
  const auto intervals = arrow::Table::Make(
      arrow::schema({arrow::field("i", arrow::month_day_nano_interval())}),
      arrow::ArrayVector{arrow::MakeArrayOfNull(arrow::month_day_nano_interval(), 2).ValueOrDie()});
  const std::vector<std::shared_ptr<arrow::Table>> tables = {bare, empty, intervals, intervals};
  auto results =
      RunWrite("arrow", dir.path(), tables, {{"max_bytes_per_file", std::int64_t{1}}}).ValueOrDie();
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const std::string file = dir / ("run_000007_" + std::to_string(i) + ".arrow");
    EXPECT_TRUE(Read("arrow", file)->schema()->Equals(*tables[i]->schema()));
    const auto bytes = arrow::Buffer::FromString(ReadFile(file));
    const auto back = ReadIpc(std::make_shared<arrow::io::BufferReader>(bytes)).ValueOrDie();
    EXPECT_TRUE(back->Equals(*tables[i]));
    EXPECT_EQ(back->num_rows(), tables[i]->num_rows());
  }
}

TEST(Write, OneSchemaIsMadeOfThoseThatFitAndOthersStartANewFile) {
  TempDir dir;
  const auto table = NumbersTable(0, 2);
  const std::vector<std::string> names = table->schema()->field_names();
  const auto with_names = [&](const std::string& a, const std::string& b) {
    return table->RenameColumns({a, b}).ValueOrDie();
  };
  auto fits = RunWrite("parquet", dir.path(), {table, with_names("y", names[1])}).ValueOrDie();
  EXPECT_EQ(fits[0].num_rows(), 1);
  auto swapped = with_names(names[1], names[0]);  // Of other types.
  auto others = RunWrite("parquet", dir.path(), {table, swapped}).ValueOrDie();
  EXPECT_EQ(others[0].num_rows(), 2);
}

TEST(Write, PartitionColumnsAreDirectories) {
  TempDir dir;
  auto table = NumbersTable(0, 4);
  arrow::StringBuilder keys;
  for (const char* key : {"a b", "c", "a b"}) ASSERT_TRUE(keys.Append(key).ok());
  ASSERT_TRUE(keys.AppendNull().ok());
  table = table
              ->AddColumn(0, arrow::field("k", arrow::utf8()),
                          std::make_shared<arrow::ChunkedArray>(*keys.Finish()))
              .ValueOrDie();
  auto results =
      RunWrite("parquet", dir.path(), {table}, {{"partition_cols", std::vector<std::string>{"k"}}})
          .ValueOrDie();
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  auto names = Names(dir.path());
  EXPECT_EQ(names.size(), 6u);
  EXPECT_TRUE(std::filesystem::exists(dir / "k=a%20b"));
  auto back = Read("parquet", dir.path(), /*hive=*/true);
  ASSERT_EQ(back->num_rows(), 4);
  EXPECT_EQ(back->schema()->ToString(), "x: int64\ns: string\nk: string");
  std::map<std::int64_t, std::string> key_of;
  for (int row = 0; row < 4; ++row) key_of[testing::Int(*back, "x", row)] = Text(*back, "k", row);
  EXPECT_EQ(key_of,
            (std::map<std::int64_t, std::string>{{0, "a b"}, {1, "c"}, {2, "a b"}, {3, "null"}}));
}

TEST(Write, OverwriteRemovesTheOldAfterTheNewStand) {
  TempDir dir;
  dir.Write("old.parquet", "old");
  dir.Write("deep/older.parquet", "older");
  auto results = RunWrite("parquet", dir.path(), {NumbersTable(0, 3)}).ValueOrDie();
  EXPECT_TRUE(std::filesystem::exists(dir / "old.parquet"));
  ASSERT_TRUE(Commit(dir.path(), results, WriteMode::kOverwrite).ok());
  EXPECT_EQ(Names(dir.path()), (std::vector<std::string>{"run_000007_0.parquet"}));
}

TEST(Write, AbortLeavesNothingTemporary) {
  TempDir dir;
  arrow::fs::LocalFileSystem file_system;
  ASSERT_TRUE(RunWrite("csv", dir.path(), {NumbersTable(0, 3)}).ok());
  ASSERT_TRUE(AbortWrite(&file_system, dir.path(), "run-tag").ok());
  EXPECT_TRUE(Names(dir.path()).empty());
  EXPECT_TRUE(AbortWrite(&file_system, dir.path(), "run-tag").ok());
}

TEST(Write, AFullDiskNamesTheFile) {
  auto target = std::make_shared<WriteTarget>();
  TempDir dir;
  dir.Write("file", "not a directory");
  const Status status = RunWrite("csv", dir / "file", {NumbersTable(0, 3)}).status();
  EXPECT_TRUE(status.IsIOError());
  EXPECT_NE(status.message().find("cannot write " + (dir / "file")), std::string::npos)
      << status.ToString();
}

TEST(Write, NumpyRoundTrip) {
  TempDir dir;
  auto results = RunWrite("numpy", dir.path(), {NumbersTable(0, 3), NumbersTable(3, 2)},
                          {{"column", std::string("x")}})
                     .ValueOrDie();
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  auto back = Read("numpy", dir.path());
  ASSERT_EQ(back->num_rows(), 5);
  EXPECT_EQ(testing::Int(*back, "data", 4), 4);
  EXPECT_FALSE(RunWrite("numpy", dir.path(), {NumbersTable(0, 3)}).ok());
  EXPECT_FALSE(
      RunWrite("numpy", dir.path(), {NumbersTable(0, 3)}, {{"column", std::string("s")}}).ok());
}

TEST(Write, NumpyTensors) {
  TempDir dir;
  auto type = arrow::extension::fixed_shape_tensor(arrow::int16(), {2, 3});
  auto storage = arrow::json::ArrayFromJSONString(arrow::fixed_size_list(arrow::int16(), 6),
                                                  "[[1,2,3,4,5,6],[7,8,9,10,11,12]]")
                     .ValueOrDie();
  auto table = arrow::Table::Make(arrow::schema({arrow::field("t", type)}),
                                  {arrow::ExtensionType::WrapArray(type, storage)});
  auto results =
      RunWrite("numpy", dir.path(), {table}, {{"column", std::string("t")}}).ValueOrDie();
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  auto back = Read("numpy", dir.path());
  EXPECT_TRUE(back->schema()->field(0)->type()->Equals(*type));
  EXPECT_TRUE(back->column(0)->Equals(*table->column(0)));
}

// As pandas.DataFrame.to_json(orient="records", lines=True) writes them.
TEST(JsonText, FormOfEveryType) {
  struct Case {
    std::shared_ptr<arrow::DataType> type;
    const char* values;
    const char* text;
  };
  const Case cases[] = {
      {arrow::int64(), "[1, null, -5]", "1 null -5"},
      {arrow::uint64(), "[18446744073709551615]", "18446744073709551615"},
      {arrow::float64(), "[1.5, 3, 0.1, 1e20, null]", "1.5 3.0 0.1 1e+20 null"},
      {arrow::float32(), "[0.1]", "0.1"},
      {arrow::boolean(), "[true, false, null]", "true false null"},
      {arrow::utf8(), R"(["a\"é/\n", "😀", ""])", R"("a\"\u00e9\/\n" "\ud83d\ude00" "")"},
      {arrow::binary(), R"(["ab"])", R"("ab")"},
      {arrow::date32(), "[18263, null]", "1577923200000 null"},
      {arrow::timestamp(arrow::TimeUnit::MICRO), "[1577934245678901, -1]", "1577934245678 -1"},
      {arrow::duration(arrow::TimeUnit::SECOND), "[5]", "5000"},
      {arrow::time32(arrow::TimeUnit::SECOND), "[3723]", R"("01:02:03")"},
      {arrow::time64(arrow::TimeUnit::MICRO), "[3723000004]", R"("01:02:03.000004")"},
      {arrow::decimal128(5, 2), R"(["1.50", null])", R"("1.50" null)"},
      {arrow::list(arrow::int64()), "[[1, null], [], null]", "[1,null] [] null"},
      {arrow::struct_({arrow::field("x", arrow::int64()), arrow::field("y", arrow::utf8())}),
       R"([{"x": 1, "y": null}, null])", R"({"x":1,"y":null} null)"},
      {arrow::map(arrow::utf8(), arrow::int64()), R"([[["k", 1], ["l", 2]]])",
       R"([["k",1],["l",2]])"},
      {arrow::null(), "[null]", "null"},
      {arrow::dictionary(arrow::int8(), arrow::utf8()), R"(["a", "b", "a"])", R"("a" "b" "a")"}};
  for (const Case& c : cases) {
    auto array = arrow::json::ArrayFromJSONString(c.type, c.values).ValueOrDie();
    auto column = JsonColumn::Make(array).ValueOrDie();
    std::string text;
    for (std::int64_t i = 0; i < array->length(); ++i) {
      if (i > 0) text += ' ';
      ASSERT_TRUE(column->Append(i, &text).ok());
    }
    EXPECT_EQ(text, c.text) << c.type->ToString();
  }
}

TEST(JsonText, TensorsAreNestedLists) {
  auto type = arrow::extension::fixed_shape_tensor(arrow::int64(), {2, 2});
  auto storage = arrow::json::ArrayFromJSONString(arrow::fixed_size_list(arrow::int64(), 4),
                                                  "[[0,0,0,0],[1,2,3,4]]")
                     .ValueOrDie();
  auto column =
      JsonColumn::Make(arrow::ExtensionType::WrapArray(type, storage)->Slice(1)).ValueOrDie();
  std::string text;
  ASSERT_TRUE(column->Append(0, &text).ok());
  EXPECT_EQ(text, "[[1,2],[3,4]]");
}

TEST(JsonText, BytesThatAreNoTextFail) {
  std::string out;
  EXPECT_TRUE(AppendJsonString("\xff", &out).IsInvalid());
  EXPECT_TRUE(AppendJsonString("\xed\xa0\x80", &out).IsInvalid());
}

TEST(Write, JsonLines) {
  TempDir dir;
  auto results = RunWrite("json", dir.path(), {NumbersTable(8, 2)}).ValueOrDie();
  ASSERT_TRUE(Commit(dir.path(), results).ok());
  EXPECT_EQ(ReadFile(dir / "run_000007_0.json"),
            "{\"x\":8,\"s\":\"v8\"}\n{\"x\":9,\"s\":\"v9\"}\n");
}

TEST(Partition, EscapesBackAndForth) {
  for (const char* text : {"a b", "k=1/2", "ü%", "", "plain-_.~"}) {
    EXPECT_EQ(UnescapeSegment(EscapeSegment(text)), text);
  }
  EXPECT_EQ(UnescapeSegment("50%"), "50%");
}

}  // namespace
}  // namespace headrace
