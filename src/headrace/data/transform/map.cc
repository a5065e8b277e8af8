#include <arrow/record_batch.h>
#include <arrow/table.h>

#include <utility>

#include "headrace/data/transform/failure.h"
#include "headrace/data/transform/step.h"
#include "headrace/data/transform/stopwatch.h"

namespace headrace {

namespace {

// A C++ function is called where its batch is pulled.
class NativeMapStream : public BatchStream {
 public:
  NativeMapStream(StreamPtr input, FunctionPtr function, const TaskContext& context,
                  TaskStats* stats)
      : input_(std::move(input)),
        function_(std::move(function)),
        pool_(context.pool ? context.pool : arrow::default_memory_pool()),
        function_nanos_(&stats->function_nanos) {}

  Result<std::optional<Batch>> Next() override {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (!batch) return std::nullopt;
    auto output = Call(*batch->block.table());
    if (!output.ok()) return AddOrigin(output.status(), FailureKind::kUserError, batch->origin);
    batch->block = Block(*std::move(output), -1);
    return batch;
  }

 private:
  Result<std::shared_ptr<arrow::Table>> Call(const arrow::Table& table) {
    ARROW_ASSIGN_OR_RAISE(auto input, table.CombineChunksToBatch(pool_));
    WallTimer timer(function_nanos_);
    ARROW_ASSIGN_OR_RAISE(auto output, function_->native->function()(std::move(input)));
    if (!output) return Status::Invalid("function '", function_->name, "' returned no batch");
    if (output->num_columns() == 0) {
      return arrow::Table::Make(output->schema(), arrow::ChunkedArrayVector{}, output->num_rows());
    }
    return arrow::Table::FromRecordBatches(output->schema(), {output});
  }

  StreamPtr input_;
  const FunctionPtr function_;
  arrow::MemoryPool* const pool_;
  std::int64_t* const function_nanos_;
};

// What the last batch that a runner pulled came from, and the time that pulling took.
struct PullRecord {
  Origin origin;
  std::int64_t nanos = 0;
};

class RecordingStream : public BatchStream {
 public:
  RecordingStream(StreamPtr input, std::shared_ptr<PullRecord> record)
      : input_(std::move(input)), record_(std::move(record)) {}

  Result<std::optional<Batch>> Next() override {
    WallTimer timer(&record_->nanos);
    auto batch = input_->Next();
    if (batch.ok() && *batch) record_->origin = (*batch)->origin;
    return batch;
  }

 private:
  StreamPtr input_;
  const std::shared_ptr<PullRecord> record_;
};

// A function of another language: its runner pulls the input as its own output is pulled.
class ForeignMapStream : public BatchStream {
 public:
  ForeignMapStream(StreamPtr input, FunctionPtr function, const TaskContext& context,
                   TaskStats* stats)
      : input_(std::move(input)),
        function_(std::move(function)),
        context_(context),
        stats_(stats),
        record_(std::make_shared<PullRecord>()) {}

  Result<std::optional<Batch>> Next() override {
    const std::int64_t before = record_->nanos;
    std::int64_t all = 0;
    auto batch = [&]() -> Result<std::optional<Batch>> {
      WallTimer timer(&all);
      if (!output_) ARROW_RETURN_NOT_OK(Start());
      return output_->Next();
    }();
    stats_->function_nanos += all - (record_->nanos - before);
    if (!batch.ok()) return AddOrigin(batch.status(), FailureKind::kUserError, record_->origin);
    if (*batch && !(*batch)->origin.files) (*batch)->origin = record_->origin;
    return batch;
  }

 private:
  Status Start() {
    if (!context_.functions) {
      return Status::Invalid("function '", function_->name, "' cannot run here: it is not C++");
    }
    ARROW_ASSIGN_OR_RAISE(runner_, context_.functions->Resolve(function_));
    ARROW_ASSIGN_OR_RAISE(
        output_, runner_->Run(std::make_unique<RecordingStream>(std::move(input_), record_),
                              context_, stats_));
    return Status::OK();
  }

  StreamPtr input_;
  const FunctionPtr function_;
  const TaskContext& context_;
  TaskStats* const stats_;
  const std::shared_ptr<PullRecord> record_;
  std::shared_ptr<FunctionRunner> runner_;
  StreamPtr output_;
};

}  // namespace

StreamPtr MakeMapStream(StreamPtr input, FunctionPtr function, const TaskContext& context,
                        TaskStats* stats) {
  if (function->native) {
    return std::make_unique<NativeMapStream>(std::move(input), std::move(function), context, stats);
  }
  return std::make_unique<ForeignMapStream>(std::move(input), std::move(function), context, stats);
}

}  // namespace headrace
