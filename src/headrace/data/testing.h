#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/data/pipeline/pipeline.h"
#include "headrace/data/transform/arrow_init.h"

// What the tests of data/ share. Header only, so that no test code gets into the library.

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace headrace::testing {

/// For tests that call Arrow's kernels themselves, maybe before anything else in their process.
inline const bool kArrowReady = InitializeArrow().ok();

/// A directory that goes with the object.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "headrace-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  /// Writes a file, making its directories; returns its path.
  std::string Write(const std::string& name, std::string_view content) const {
    const std::filesystem::path file = path_ + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file.string();
  }

 private:
  std::string path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

/// Columns x: int64 from `first`, and s: "v<x>".
inline std::shared_ptr<arrow::Table> NumbersTable(std::int64_t first, std::int64_t rows) {
  arrow::Int64Builder x;
  arrow::StringBuilder s;
  for (std::int64_t i = first; i < first + rows; ++i) {
    EXPECT_TRUE(x.Append(i).ok());
    EXPECT_TRUE(s.Append("v" + std::to_string(i)).ok());
  }
  return arrow::Table::Make(
      arrow::schema({arrow::field("x", arrow::int64()), arrow::field("s", arrow::utf8())}),
      {*x.Finish(), *s.Finish()});
}

inline void WriteParquet(const std::string& path, const std::shared_ptr<arrow::Table>& table,
                         std::int64_t row_group_rows = 1 << 20) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  auto sink = arrow::io::FileOutputStream::Open(path).ValueOrDie();
  ASSERT_TRUE(
      parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink, row_group_rows,
                                 parquet::default_writer_properties(),
                                 parquet::ArrowWriterProperties::Builder().store_schema()->build())
          .ok());
  ASSERT_TRUE(sink->Close().ok());
}

inline ExprPtr Col(const std::string& name) { return MakeExpr(expr::Column{name}); }
inline ExprPtr Lit(int value) {
  return MakeExpr(expr::Literal{arrow::MakeScalar(std::int64_t{value})});
}
inline ExprPtr Lit(const char* value) {
  return MakeExpr(expr::Literal{arrow::MakeScalar(std::string(value))});
}
inline ExprPtr Lit(double value) { return MakeExpr(expr::Literal{arrow::MakeScalar(value)}); }
inline ExprPtr Call(const std::string& function, std::vector<ExprPtr> arguments) {
  return MakeExpr(expr::Call{function, std::move(arguments), "", ""});
}

inline FunctionPtr Native(const std::string& name, std::int64_t batch_rows,
                          NativeFunction::BatchFunction function) {
  auto spec = std::make_shared<FunctionSpec>();
  spec->name = name;
  spec->batch_rows = batch_rows;
  spec->native = std::make_shared<const NativeFunction>(std::move(function));
  return spec;
}

inline Result<std::vector<PipelineOutput>> Drain(const TaskProgram& program, TaskInput input,
                                                 TaskContext context = {}) {
  ARROW_ASSIGN_OR_RAISE(auto pipeline, Pipeline::Make(program, std::move(input), context));
  std::vector<PipelineOutput> outputs;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto output, pipeline->Next());
    if (!output) return outputs;
    outputs.push_back(*std::move(output));
  }
}

/// Runs one task at position "7" over read units.
inline Result<std::vector<PipelineOutput>> RunProgram(const TaskProgram& program,
                                                      std::vector<ReadUnit> units) {
  TaskInput input;
  input.units = std::move(units);
  input.position.path = {7};
  return Drain(program, std::move(input));
}

inline std::shared_ptr<arrow::Table> Concat(const std::vector<PipelineOutput>& outputs) {
  std::vector<std::shared_ptr<arrow::Table>> tables;
  for (const auto& output : outputs) tables.push_back(output.block.table());
  return arrow::ConcatenateTables(tables).ValueOrDie()->CombineChunks().ValueOrDie();
}

/// Reads all of a source in one task, after `step`'s projection and filter.
inline Result<std::shared_ptr<arrow::Table>> ReadAll(ReadStep step) {
  TaskProgram program;
  program.name = "Read";
  auto units = step.source->units;
  program.steps = {std::move(step)};
  ARROW_ASSIGN_OR_RAISE(auto outputs, RunProgram(program, std::move(units)));
  if (outputs.empty()) return Status::Invalid("no output");
  return Concat(outputs);
}

inline std::int64_t Int(const arrow::Table& table, const std::string& column, std::int64_t row) {
  auto scalar = table.GetColumnByName(column)->GetScalar(row).ValueOrDie();
  return std::stoll(scalar->ToString());
}

inline std::string Text(const arrow::Table& table, const std::string& column, std::int64_t row) {
  auto scalar = table.GetColumnByName(column)->GetScalar(row).ValueOrDie();
  return scalar->is_valid ? scalar->ToString() : "null";
}

}  // namespace headrace::testing
