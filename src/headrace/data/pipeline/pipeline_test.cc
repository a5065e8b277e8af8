#include "headrace/data/pipeline/pipeline.h"

#include <arrow/api.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>

#include <atomic>
#include <filesystem>

#include "headrace/data/read/source.h"
#include "headrace/data/testing.h"

namespace headrace {
namespace {

using testing::Call;
using testing::Col;
using testing::Drain;
using testing::Lit;
using testing::Native;
using testing::NumbersTable;
using testing::ReadAll;
using testing::RunProgram;
using testing::TempDir;
using testing::WriteParquet;

TEST(Pipeline, RangeFilterProject) {
  auto source = MakeRangeSource(100'000, {}, 10);
  ASSERT_EQ(source->units.size(), 10u);
  TaskProgram program;
  program.name = "ReadRange->Filter->Project";
  program.steps = {ReadStep{source, {}, nullptr, -1},
                   FilterStep{Call("equal", {Call("bit_wise_and", {Col("id"), Lit(1)}), Lit(0)})},
                   ProjectStep{false, {}, {}, {{"x", Call("multiply", {Col("id"), Lit(3)})}}}};
  auto outputs = RunProgram(program, source->units);
  ASSERT_TRUE(outputs.ok()) << outputs.status().ToString();
  auto table = testing::Concat(*outputs);
  ASSERT_EQ(table->num_rows(), 50'000);
  EXPECT_EQ(table->schema()->ToString(), "x: int64");
  EXPECT_EQ(testing::Int(*table, "x", 49'999), 99'998 * 3);
  // The outputs of one task are its position's children, in order, with what they hold.
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    EXPECT_EQ((*outputs)[i].info.position.ToString(), "7." + std::to_string(i));
    EXPECT_EQ((*outputs)[i].info.num_rows, (*outputs)[i].block.num_rows());
    EXPECT_TRUE((*outputs)[i].info.schema->Equals(*(*outputs)[i].block.table()->schema()));
  }
}

TEST(Pipeline, ParquetNativeFunctionInExactBatches) {
  TempDir dir;
  WriteParquet(dir / "a.parquet", NumbersTable(0, 1000), 300);
  WriteParquet(dir / "b.parquet", NumbersTable(1000, 250), 100);
  FileSourceOptions options;
  options.format = "parquet";
  options.paths = {dir.path()};
  auto source = MakeFileSource(options);
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  std::vector<std::int64_t> sizes;
  TaskProgram program;
  program.name = "ReadParquet->MapBatches(f)";
  program.steps = {ReadStep{*source, {}, nullptr, -1},
                   MapStep{Native("f", 400, [&](std::shared_ptr<arrow::RecordBatch> batch) {
                     sizes.push_back(batch->num_rows());
                     return Result<std::shared_ptr<arrow::RecordBatch>>(std::move(batch));
                   })}};
  auto outputs = RunProgram(program, (*source)->units);
  ASSERT_TRUE(outputs.ok()) << outputs.status().ToString();
  EXPECT_EQ(sizes, (std::vector<std::int64_t>{400, 400, 400, 50}));
  auto table = testing::Concat(*outputs);
  ASSERT_EQ(table->num_rows(), 1250);
  for (std::int64_t row = 0; row < 1250; ++row) ASSERT_EQ(testing::Int(*table, "x", row), row);
  // One small block, of both files.
  ASSERT_EQ(outputs->size(), 1u);
  ASSERT_EQ(outputs->front().info.input_files->size(), 2u);
  EXPECT_EQ(outputs->front().info.input_files->front(), (dir / "a.parquet"));
}

TEST(Pipeline, FailingFunctionNamesOperatorFileAndRows) {
  TempDir dir;
  WriteParquet(dir / "a.parquet", NumbersTable(0, 1000), 1000);
  FileSourceOptions options;
  options.format = "parquet";
  options.paths = {dir / "a.parquet"};
  auto source = MakeFileSource(options).ValueOrDie();
  TaskProgram program;
  program.name = "ReadParquet->MapBatches(bad)";
  program.steps = {ReadStep{source, {}, nullptr, -1},
                   MapStep{Native("bad", 100,
                                  [](std::shared_ptr<arrow::RecordBatch> batch)
                                      -> Result<std::shared_ptr<arrow::RecordBatch>> {
                                    const auto& x =
                                        static_cast<const arrow::Int64Array&>(*batch->column(0));
                                    if (x.Value(0) == 300) return Status::Invalid("no such thing");
                                    return batch;
                                  })}};
  auto outputs = RunProgram(program, source->units);
  ASSERT_FALSE(outputs.ok());
  const Failure failure = FailureOf(outputs.status());
  EXPECT_EQ(failure.kind, FailureKind::kUserError);
  EXPECT_EQ(failure.code, arrow::StatusCode::Invalid);
  EXPECT_EQ(failure.message, "no such thing");
  EXPECT_EQ(failure.context, "operator ReadParquet->MapBatches(bad), file " + (dir / "a.parquet") +
                                 ", rows 300–399");
}

TEST(Pipeline, StopsWhenCancelled) {
  auto source = MakeRangeSource(1'000'000, {}, 100);
  TaskProgram program;
  program.steps = {ReadStep{source, {}, nullptr, -1}};
  std::atomic<bool> cancelled = false;
  TaskContext context;
  context.cancelled = &cancelled;
  TaskInput input;
  input.units = source->units;
  auto pipeline = Pipeline::Make(program, std::move(input), context).ValueOrDie();
  ASSERT_TRUE(pipeline->Next().ValueOrDie().has_value());
  cancelled = true;
  EXPECT_TRUE(pipeline->Next().status().IsCancelled());
}

TEST(Pipeline, EmptyTaskKeepsTheSchema) {
  auto source = MakeRangeSource(10, {}, 1);
  TaskProgram program;
  program.steps = {ReadStep{source, {}, nullptr, -1}, FilterStep{Call("less", {Col("id"), Lit(0)})},
                   ProjectStep{true, {}, {{"id", "n"}}, {}}, LimitStep{5}};
  auto outputs = RunProgram(program, source->units).ValueOrDie();
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].block.num_rows(), 0);
  EXPECT_EQ(outputs[0].info.schema->field(0)->name(), "n");
}

TEST(Pipeline, FunctionsSeeNoEmptyBatches) {
  auto source = MakeRangeSource(10, {}, 1);
  int calls = 0;
  TaskProgram program;
  program.steps = {ReadStep{source, {}, nullptr, -1}, FilterStep{Call("less", {Col("id"), Lit(0)})},
                   MapStep{Native("f", 0, [&](std::shared_ptr<arrow::RecordBatch> batch) {
                     ++calls;
                     return Result<std::shared_ptr<arrow::RecordBatch>>(std::move(batch));
                   })}};
  auto outputs = RunProgram(program, source->units).ValueOrDie();
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(outputs.size(), 0u);
}

TEST(Pipeline, BlocksAreTheInputOfLaterStages) {
  TaskProgram program;
  program.name = "Filter";
  program.steps = {FilterStep{Call("greater_equal", {Col("x"), Lit(5)})}, LimitStep{7}};
  TaskInput input;
  input.blocks = {Block(NumbersTable(0, 10)), Block(NumbersTable(10, 10))};
  input.infos.resize(2);
  auto outputs = Drain(program, std::move(input)).ValueOrDie();
  auto table = testing::Concat(outputs);
  ASSERT_EQ(table->num_rows(), 7);
  EXPECT_EQ(testing::Int(*table, "x", 0), 5);
  EXPECT_EQ(testing::Int(*table, "x", 6), 11);
}

TEST(Pipeline, MisspeltColumnListsThoseThereAre) {
  TaskProgram program;
  program.name = "Filter";
  program.steps = {FilterStep{Call("greater", {Col("y"), Lit(5)})}};
  TaskInput input;
  input.blocks = {Block(NumbersTable(0, 10))};
  auto outputs = Drain(program, std::move(input));
  ASSERT_FALSE(outputs.ok());
  EXPECT_EQ(outputs.status().code(), arrow::StatusCode::KeyError);
  EXPECT_NE(outputs.status().message().find("no column named 'y'; there are 'x', 's'"),
            std::string::npos)
      << outputs.status().ToString();
  EXPECT_EQ(FailureOf(outputs.status()).context, "operator Filter, rows 0–9");
}

TEST(Pipeline, CountsRowsAndTime) {
  auto source = MakeRangeSource(1000, {}, 4);
  TaskProgram program;
  program.steps = {ReadStep{source, {}, nullptr, -1}, LimitStep{10}};
  TaskInput input;
  input.units = {source->units[0], source->units[2]};  // Neighbours would be read as one.
  auto pipeline = Pipeline::Make(program, std::move(input), {}).ValueOrDie();
  while (pipeline->Next().ValueOrDie()) {
  }
  EXPECT_EQ(pipeline->stats().rows_in, 250);
  EXPECT_GT(pipeline->stats().wall_nanos, 0);
}

}  // namespace
}  // namespace headrace
