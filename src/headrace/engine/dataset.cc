#include "headrace/engine/dataset.h"

#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <atomic>
#include <utility>

#include "headrace/block/block_builder.h"
#include "headrace/control/plan/explain.h"
#include "headrace/data/consume/batcher.h"
#include "headrace/data/consume/commit.h"
#include "headrace/data/read/source.h"
#include "headrace/data/transform/function.h"
#include "headrace/engine/consume.h"
#include "headrace/engine/execution.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

namespace headrace {
namespace {

logical::Project Projection(std::string label) {
  logical::Project project;
  project.label = std::move(label);
  return project;
}

}  // namespace

// ---- Make -----------------------------------------------------------------------------------

Dataset::Dataset(std::shared_ptr<Session> session, LogicalPtr plan, ExecutionOptions options)
    : session_(std::move(session)), plan_(std::move(plan)), options_(std::move(options)) {}

Result<Dataset> Dataset::Range(std::int64_t n, std::int64_t parallelism) {
  ARROW_ASSIGN_OR_RAISE(auto session, Session::Default());
  logical::Read read;
  read.source = MakeRangeSource(n, {}, parallelism);
  read.parallelism = parallelism;
  return Dataset(std::move(session), LogicalOperator::Make(std::move(read)));
}

Result<Dataset> Dataset::FromTables(std::vector<std::shared_ptr<arrow::Table>> tables) {
  ARROW_ASSIGN_OR_RAISE(auto session, Session::Default());
  std::vector<Block> blocks;
  for (auto& table : tables) blocks.emplace_back(std::move(table));
  ARROW_ASSIGN_OR_RAISE(logical::InputData input, session->Store(blocks));
  return Dataset(std::move(session), LogicalOperator::Make(std::move(input)));
}

Result<Dataset> Dataset::ReadFiles(std::string format, std::vector<std::string> paths,
                                   ReadFilesOptions options) {
  ARROW_ASSIGN_OR_RAISE(auto session, Session::Default());
  FileSourceOptions source;
  source.format = std::move(format);
  source.paths = std::move(paths);
  source.options = std::move(options.format_options);
  source.file_extensions = std::move(options.file_extensions);
  source.ignore_missing_paths = options.ignore_missing_paths;
  source.include_paths = options.include_paths;
  if (options.hive_partitioning) source.partitioning_base = "";
  logical::Read read;
  ARROW_ASSIGN_OR_RAISE(read.source, MakeFileSource(source));
  read.parallelism = options.parallelism;
  Dataset dataset(std::move(session), LogicalOperator::Make(std::move(read)));
  if (options.columns.empty()) return dataset;
  return dataset.SelectColumns(std::move(options.columns));
}

Result<Dataset> Dataset::ReadParquet(std::vector<std::string> paths, ReadFilesOptions options) {
  return ReadFiles("parquet", std::move(paths), std::move(options));
}
Result<Dataset> Dataset::ReadCsv(std::vector<std::string> paths, ReadFilesOptions options) {
  return ReadFiles("csv", std::move(paths), std::move(options));
}
Result<Dataset> Dataset::ReadJson(std::vector<std::string> paths, ReadFilesOptions options) {
  return ReadFiles("json", std::move(paths), std::move(options));
}
Result<Dataset> Dataset::ReadText(std::vector<std::string> paths, ReadFilesOptions options) {
  return ReadFiles("text", std::move(paths), std::move(options));
}
Result<Dataset> Dataset::ReadBinaryFiles(std::vector<std::string> paths, ReadFilesOptions options) {
  return ReadFiles("binary", std::move(paths), std::move(options));
}
Result<Dataset> Dataset::ReadNumpy(std::vector<std::string> paths, ReadFilesOptions options) {
  return ReadFiles("numpy", std::move(paths), std::move(options));
}

// ---- Transform ------------------------------------------------------------------------------

Dataset Dataset::With(LogicalKind kind) const {
  return Dataset(session_, LogicalOperator::Make(std::move(kind), {plan_}), options_);
}

Dataset Dataset::WithOptions(ExecutionOptions options) const {
  return Dataset(session_, plan_, std::move(options));
}

Dataset Dataset::MapBatches(BatchFunction function, MapOptions options) const {
  auto spec = std::make_shared<FunctionSpec>();
  spec->id = NextFunctionId();
  spec->name = std::move(options.name);
  spec->kind = FunctionKind::kMapBatches;
  spec->batch_rows = options.batch_rows;
  spec->native = std::make_shared<const NativeFunction>(std::move(function));
  logical::Map map;
  map.function = std::move(spec);
  map.min_bundle_rows = options.batch_rows;
  map.placement.cost = options.cost;
  map.placement.compute = TaskPool{options.max_tasks};
  return With(std::move(map));
}

Dataset Dataset::Filter(Expression predicate) const {
  logical::Filter filter;
  filter.predicate = predicate.expr();
  return With(std::move(filter));
}

Dataset Dataset::WithColumn(std::string name, Expression value) const {
  logical::Project project = Projection("WithColumn(" + name + ")");
  project.projection.keep_rest = true;
  project.projection.exprs.push_back({std::move(name), value.expr()});
  return With(std::move(project));
}

Dataset Dataset::SelectColumns(std::vector<std::string> names) const {
  logical::Project project = Projection("Project");
  for (std::string& name : names) {
    ExprPtr column = Col(name).expr();
    project.projection.exprs.push_back({std::move(name), std::move(column)});
  }
  return With(std::move(project));
}

Dataset Dataset::DropColumns(std::vector<std::string> names) const {
  logical::Project project = Projection("Project");
  project.projection.keep_rest = true;
  project.projection.drop = std::move(names);
  return With(std::move(project));
}

Dataset Dataset::RenameColumns(std::vector<std::pair<std::string, std::string>> old_and_new) const {
  logical::Project project = Projection("Project");
  project.projection.keep_rest = true;
  project.projection.rename = std::move(old_and_new);
  return With(std::move(project));
}

Dataset Dataset::Limit(std::int64_t rows) const { return With(logical::Limit{rows}); }

Dataset Dataset::Union(std::vector<Dataset> others) const {
  std::vector<LogicalPtr> inputs{plan_};
  for (const Dataset& other : others) inputs.push_back(other.plan_);
  return Dataset(session_, LogicalOperator::Make(logical::Union{}, std::move(inputs)), options_);
}

Dataset Dataset::Mix(std::vector<Dataset> others, std::vector<double> weights,
                     bool stop_on_shortest) const {
  std::vector<LogicalPtr> inputs{plan_};
  for (const Dataset& other : others) inputs.push_back(other.plan_);
  if (weights.empty()) weights.assign(inputs.size(), 1.0);
  logical::Mix mix{std::move(weights), stop_on_shortest};
  return Dataset(session_, LogicalOperator::Make(std::move(mix), std::move(inputs)), options_);
}

// ---- Consume --------------------------------------------------------------------------------

Result<std::unique_ptr<Execution>> Dataset::Execute(const ExecutionOptions& options) const {
  return session_->Execute(plan_, options);
}

Result<std::int64_t> Dataset::Count() const {
  // A task that may fail would take its rows with it.
  if (const auto known = InferRowCount(plan_); known && options_.max_errored_blocks == 0) {
    return *known;
  }
  ARROW_ASSIGN_OR_RAISE(auto execution, With(Projection("Project")).Execute(options_));
  std::int64_t rows = 0;
  ARROW_RETURN_NOT_OK(ForEachHandle(*execution, [&](const BlockHandle& block) {
    rows += block.info.num_rows;
    return Status::OK();
  }));
  return rows;
}

Result<std::shared_ptr<arrow::Table>> Dataset::ToTable() const {
  ExecutionOptions ordered = options_;
  ordered.preserve_order = true;
  ARROW_ASSIGN_OR_RAISE(auto execution, Execute(ordered));
  std::vector<Block> blocks;
  ARROW_RETURN_NOT_OK(ForEachBlock(*execution, [&](const Block& block) {
    blocks.push_back(block);
    return Status::OK();
  }));
  if (blocks.empty()) return arrow::Table::MakeEmpty(arrow::schema(arrow::FieldVector{}));
  ARROW_ASSIGN_OR_RAISE(const Block joined, JoinBlocks(blocks, nullptr));
  return joined.table();
}

Result<std::shared_ptr<arrow::Table>> Dataset::Take(std::int64_t rows) const {
  return Limit(rows).ToTable();
}

Result<std::shared_ptr<arrow::Schema>> Dataset::Schema() const {
  if (auto known = InferSchema(plan_)) return known;
  ARROW_ASSIGN_OR_RAISE(auto execution, Limit(1).Execute(options_));
  ARROW_ASSIGN_OR_RAISE(auto first, execution->Next());
  if (!first) return arrow::schema({});
  execution->backend().Release({&first->object, 1});
  return first->info.schema;
}

Result<Dataset> Dataset::Materialize() const {
  ARROW_ASSIGN_OR_RAISE(auto execution, Execute(options_));
  ARROW_ASSIGN_OR_RAISE(logical::InputData input, session_->Keep(*execution));
  return Dataset(session_, LogicalOperator::Make(std::move(input)), options_);
}

class BatchIterator::Impl {
 public:
  Impl(std::unique_ptr<Execution> execution, std::int64_t batch_rows, std::int64_t prefetch)
      : execution_(std::move(execution)), prefetch_(prefetch) {
    if (batch_rows > 0) batcher_ = Batcher::Make({.batch_rows = batch_rows});
  }

  Result<std::shared_ptr<arrow::Table>> Next() {
    while (true) {
      if (batcher_ != nullptr) {
        ARROW_ASSIGN_OR_RAISE(std::optional<Block> batch, batcher_->Next());
        if (batch) return batch->table();
      }
      if (ended_) return nullptr;
      ARROW_ASSIGN_OR_RAISE(std::optional<Block> block, NextBlock(*execution_, prefetch_));
      ended_ = !block;
      if (batcher_ == nullptr) return block ? block->table() : nullptr;
      if (block) {
        batcher_->Add(*std::move(block));
      } else {
        batcher_->Finish();
      }
    }
  }

 private:
  const std::unique_ptr<Execution> execution_;
  const std::int64_t prefetch_;
  std::unique_ptr<Batcher> batcher_;  // Null: blocks as they come.
  bool ended_ = false;
};

BatchIterator::BatchIterator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BatchIterator::BatchIterator(BatchIterator&&) noexcept = default;
BatchIterator& BatchIterator::operator=(BatchIterator&&) noexcept = default;
BatchIterator::~BatchIterator() = default;
Result<std::shared_ptr<arrow::Table>> BatchIterator::Next() { return impl_->Next(); }

Result<BatchIterator> Dataset::IterBatches(std::int64_t batch_rows, std::int64_t prefetch) const {
  ARROW_ASSIGN_OR_RAISE(auto execution, Execute(options_));
  return BatchIterator(
      std::make_unique<BatchIterator::Impl>(std::move(execution), batch_rows, prefetch));
}

Result<WriteReport> Dataset::WriteParquet(const std::string& directory, OptionMap options) const {
  return Write("parquet", "Parquet", directory, std::move(options));
}
Result<WriteReport> Dataset::WriteCsv(const std::string& directory, OptionMap options) const {
  return Write("csv", "CSV", directory, std::move(options));
}
Result<WriteReport> Dataset::WriteJson(const std::string& directory, OptionMap options) const {
  return Write("json", "JSON", directory, std::move(options));
}

Result<std::string> Dataset::Explain() const {
  ARROW_ASSIGN_OR_RAISE(PlanStages stages, session_->Plan(plan_, options_));
  return "Logical Plan\n" + headrace::Explain(stages.logical) + "\nLogical Plan (Optimized)\n" +
         headrace::Explain(stages.optimized_logical) + "\nPhysical Plan\n" +
         headrace::Explain(stages.physical) + "\nPhysical Plan (Optimized)\n" +
         headrace::Explain(stages.optimized_physical);
}

}  // namespace headrace
