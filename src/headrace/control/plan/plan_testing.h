#pragma once

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "headrace/control/plan/logical_plan.h"

// Short words for plans, and golden files, for the tests of control/plan and control/optimize.

namespace headrace::testing {

inline ExprPtr Col(std::string name) { return MakeExpr(expr::Column{std::move(name)}); }

inline ExprPtr Lit(std::int64_t value) { return MakeExpr(expr::Literal{arrow::MakeScalar(value)}); }

inline ExprPtr Fn(std::string name, std::vector<ExprPtr> arguments) {
  return MakeExpr(expr::Call{std::move(name), std::move(arguments), "", ""});
}

inline ExprPtr Gt(ExprPtr a, ExprPtr b) { return Fn("greater", {std::move(a), std::move(b)}); }
inline ExprPtr And(ExprPtr a, ExprPtr b) { return Fn("and_kleene", {std::move(a), std::move(b)}); }
inline ExprPtr Add(ExprPtr a, ExprPtr b) { return Fn("add", {std::move(a), std::move(b)}); }
inline ExprPtr Divide(ExprPtr a, ExprPtr b) { return Fn("divide", {std::move(a), std::move(b)}); }

struct SourceOptions {
  std::string format = "parquet";
  std::string name = "Parquet";
  std::vector<std::string> columns = {"a", "b", "c"};  // All int64. Empty: schema not known.
  int units = 4;
  std::int64_t unit_rows = 100;
  std::int64_t unit_bytes = 8 << 20;
  bool pushes = true;
};

inline std::shared_ptr<ReadSource> MakeSource(const SourceOptions& options = {}) {
  auto source = std::make_shared<ReadSource>();
  source->format = options.format;
  source->name = options.name;
  source->pushes_projection = options.pushes;
  source->pushes_filter = options.pushes;
  if (!options.columns.empty()) {
    arrow::FieldVector fields;
    for (const std::string& name : options.columns) {
      fields.push_back(arrow::field(name, arrow::int64()));
    }
    source->schema = arrow::schema(std::move(fields));
  }
  for (int i = 0; i < options.units; ++i) {
    ReadUnit unit;
    unit.path = "/data/" + std::to_string(i);
    unit.num_rows = options.unit_rows;
    unit.num_bytes = options.unit_bytes;
    source->units.push_back(std::move(unit));
  }
  return source;
}

inline LogicalPtr Read(const SourceOptions& options = {}) {
  logical::Read read;
  read.source = MakeSource(options);
  return LogicalOperator::Make(std::move(read));
}

/// A read that pushes nothing, of unknown schema and sizes.
inline LogicalPtr ReadText() { return Read({"csv", "CSV", {}, 4, -1, -1, false}); }

inline LogicalPtr Input(int blocks = 2) {
  logical::InputData data;
  for (int i = 0; i < blocks; ++i) {
    BlockHandle block;
    block.object = {static_cast<std::uint64_t>(i)};
    block.info.num_rows = 10;
    block.info.num_bytes = 80;
    block.info.schema = arrow::schema({arrow::field("a", arrow::int64())});
    block.info.position = {{static_cast<std::uint32_t>(i)}};
    data.blocks.push_back(std::move(block));
  }
  return LogicalOperator::Make(std::move(data));
}

inline std::shared_ptr<FunctionSpec> Function(FunctionKind kind, std::string name,
                                              std::int64_t batch_rows = 0) {
  static std::uint64_t next_id = 1;
  auto function = std::make_shared<FunctionSpec>();
  function->id = next_id++;
  function->name = std::move(name);
  function->kind = kind;
  function->batch_rows = batch_rows;
  function->payload = std::make_shared<const std::string>("pickled");
  return function;
}

inline LogicalPtr Map(LogicalPtr input, FunctionPtr function, logical::Placement placement = {}) {
  return LogicalOperator::Make(logical::Map{std::move(function), std::move(placement), 0},
                               {std::move(input)});
}

inline LogicalPtr MapRows(LogicalPtr input, std::string name = "f") {
  return Map(std::move(input), Function(FunctionKind::kMapRows, std::move(name)));
}

inline LogicalPtr MapBatches(LogicalPtr input, std::string name = "f", std::int64_t batch_rows = 0,
                             logical::Placement placement = {}) {
  return Map(std::move(input), Function(FunctionKind::kMapBatches, std::move(name), batch_rows),
             std::move(placement));
}

inline LogicalPtr MapClass(LogicalPtr input, std::string name = "C",
                           logical::Placement placement = {}) {
  auto function = Function(FunctionKind::kMapBatches, std::move(name));
  function->is_class = true;
  return Map(std::move(input), std::move(function), std::move(placement));
}

inline LogicalPtr Filter(LogicalPtr input, ExprPtr predicate) {
  return LogicalOperator::Make(logical::Filter{std::move(predicate), {}}, {std::move(input)});
}

inline LogicalPtr Project(LogicalPtr input, ProjectStep step) {
  return LogicalOperator::Make(logical::Project{std::move(step), "Project", {}},
                               {std::move(input)});
}

inline LogicalPtr Select(LogicalPtr input, const std::vector<std::string>& names) {
  ProjectStep step;
  for (const std::string& name : names) step.exprs.push_back({name, Col(name)});
  return Project(std::move(input), std::move(step));
}

inline LogicalPtr With(LogicalPtr input, std::string name, ExprPtr e) {
  return Project(std::move(input), {true, {}, {}, {{std::move(name), std::move(e)}}});
}

inline LogicalPtr Drop(LogicalPtr input, std::vector<std::string> names) {
  return Project(std::move(input), {true, std::move(names), {}, {}});
}

inline LogicalPtr Rename(LogicalPtr input, std::string from, std::string to) {
  return Project(std::move(input), {true, {}, {{std::move(from), std::move(to)}}, {}});
}

inline LogicalPtr Limit(LogicalPtr input, std::int64_t rows) {
  return LogicalOperator::Make(logical::Limit{rows}, {std::move(input)});
}

inline LogicalPtr Union(std::vector<LogicalPtr> inputs) {
  return LogicalOperator::Make(logical::Union{}, std::move(inputs));
}

inline LogicalPtr Mix(std::vector<LogicalPtr> inputs, std::vector<double> weights,
                      bool stop_on_shortest = false) {
  logical::Mix mix{std::move(weights), stop_on_shortest};
  return LogicalOperator::Make(std::move(mix), std::move(inputs));
}

inline LogicalPtr Sort(LogicalPtr input, std::vector<SortKey> keys) {
  return LogicalOperator::Make(logical::Sort{std::move(keys), {}, -1}, {std::move(input)});
}

inline LogicalPtr Shuffle(LogicalPtr input, std::int64_t blocks = -1) {
  return LogicalOperator::Make(logical::RandomShuffle{7, blocks, {}}, {std::move(input)});
}

inline LogicalPtr RandomizeBlocks(LogicalPtr input) {
  return LogicalOperator::Make(logical::RandomizeBlocks{7}, {std::move(input)});
}

inline LogicalPtr Repartition(LogicalPtr input, std::int64_t blocks, bool shuffle = false) {
  return LogicalOperator::Make(logical::Repartition{blocks, -1, {}, shuffle, 7},
                               {std::move(input)});
}

inline LogicalPtr RepartitionBy(LogicalPtr input, std::vector<std::string> keys) {
  return LogicalOperator::Make(logical::Repartition{-1, -1, std::move(keys), false, 0},
                               {std::move(input)});
}

inline AggregateSpec Sum(std::string column) {
  std::string name = "sum(" + column + ")";
  return {AggregateKind::kSum, std::move(column), std::move(name), true, 0};
}

inline LogicalPtr Aggregate(LogicalPtr input, std::vector<std::string> keys,
                            std::vector<AggregateSpec> aggregates) {
  return LogicalOperator::Make(logical::Aggregate{std::move(keys), std::move(aggregates), -1},
                               {std::move(input)});
}

inline LogicalPtr Group(LogicalPtr input, std::vector<std::string> keys) {
  return LogicalOperator::Make(logical::Group{std::move(keys), -1}, {std::move(input)});
}

inline LogicalPtr Join(LogicalPtr left, LogicalPtr right, std::string key,
                       JoinKind kind = JoinKind::kInner) {
  return LogicalOperator::Make(logical::Join{{kind, {key}, {key}, "_l", "_r"}, -1},
                               {std::move(left), std::move(right)});
}

inline LogicalPtr Zip(std::vector<LogicalPtr> inputs) {
  return LogicalOperator::Make(logical::Zip{}, std::move(inputs));
}

inline LogicalPtr Write(LogicalPtr input, std::int64_t min_rows_per_file = 0) {
  auto target = std::make_shared<WriteTarget>();
  target->format = "parquet";
  target->name = "Parquet";
  return LogicalOperator::Make(logical::Write{std::move(target), {}, min_rows_per_file},
                               {std::move(input)});
}

/// Collects named drawings and compares them with tests/golden/plan/{file}. With the variable
/// HEADRACE_REWRITE_GOLDEN=1 it writes the file instead; the diff is then to be reviewed.
class Golden {
 public:
  explicit Golden(const std::string& file)
      : path_(std::string(HEADRACE_SOURCE_DIR) + "/tests/golden/plan/" + file) {}

  /// Adds a case: parts are (title, drawing).
  void Case(const std::string& name,
            const std::vector<std::pair<std::string, std::string>>& parts) {
    text_ += "=== " + name + "\n";
    for (const auto& [title, drawing] : parts) text_ += "--- " + title + "\n" + drawing;
    text_ += "\n";
  }

  void Check() const {
    const char* rewrite = std::getenv("HEADRACE_REWRITE_GOLDEN");
    if (rewrite != nullptr && std::string(rewrite) == "1") {
      std::ofstream(path_) << text_;
      return;
    }
    std::ifstream file(path_);
    std::stringstream expected;
    expected << file.rdbuf();
    EXPECT_EQ(text_, expected.str()) << "in " << path_;
  }

 private:
  std::string path_;
  std::string text_;
};

}  // namespace headrace::testing
