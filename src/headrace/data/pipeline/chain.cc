#include "headrace/data/pipeline/chain.h"

#include <utility>

#include "headrace/data/consume/writer.h"
#include "headrace/data/read/read_stream.h"

namespace headrace {

namespace {

// The blocks of the task's input.
class InputStream : public BatchStream {
 public:
  InputStream(TaskInput input, const TaskContext& context)
      : input_(std::move(input)), cancelled_(context.cancelled) {}

  Result<std::optional<Batch>> Next() override {
    if (cancelled_ && cancelled_->load(std::memory_order_relaxed)) {
      return Status::Cancelled("the task was cancelled");
    }
    if (next_ == input_.blocks.size()) return std::nullopt;
    Batch batch;
    batch.block = std::move(input_.blocks[next_]);  // Freed as soon as it is used up.
    if (next_ < input_.infos.size()) batch.origin.files = input_.infos[next_].input_files;
    batch.origin.first_row = row_;
    row_ += batch.block.num_rows();
    batch.origin.end_row = row_;
    ++next_;
    return batch;
  }

 private:
  TaskInput input_;
  const std::atomic<bool>* const cancelled_;
  std::size_t next_ = 0;
  std::int64_t row_ = 0;
};

class CountStream : public BatchStream {
 public:
  CountStream(StreamPtr input, std::int64_t* rows) : input_(std::move(input)), rows_(rows) {}

  Result<std::optional<Batch>> Next() override {
    ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
    if (batch) *rows_ += batch->block.num_rows();
    return batch;
  }

 private:
  StreamPtr input_;
  std::int64_t* const rows_;
};

class ChainBuilder {
 public:
  ChainBuilder(const TaskProgram& program, const TaskContext& context, TaskStats* stats)
      : program_(program), context_(context), stats_(stats) {}

  Result<StreamPtr> Build(TaskInput input) {
    if (FindReadStep(program_)) {
      units_ = std::move(input.units);
    } else {
      stream_ = std::make_unique<InputStream>(std::move(input), context_);
      stream_ = std::make_unique<CountStream>(std::move(stream_), &stats_->rows_in);
    }
    for (index_ = 0; index_ < program_.steps.size(); ++index_) {
      ARROW_RETURN_NOT_OK(
          std::visit([this](const auto& step) { return Add(step); }, program_.steps[index_]));
    }
    return std::move(stream_);
  }

 private:
  Status Add(const ReadStep& step) {
    if (index_ != 0) return Status::Invalid("a program reads in its first step only");
    stream_ = MakeReadStream(step, std::move(units_), context_);
    stream_ = std::make_unique<CountStream>(std::move(stream_), &stats_->rows_in);
    return Status::OK();
  }

  // Whole blocks are given to a function as they come into the task; what a step before it made
  // in smaller pieces is joined first, as shaping would between two tasks.
  Status Add(const MapStep& step) {
    if (step.function->batch_rows > 0) {
      stream_ = MakeRebatchStream(std::move(stream_), step.function->batch_rows, context_);
    } else {
      const std::int64_t target = index_ == 0 ? 0 : program_.shape.target_min_bytes;
      stream_ = MakeJoinStream(std::move(stream_), target, context_);
    }
    stream_ = MakeMapStream(std::move(stream_), step.function, context_, &stats_->function_nanos);
    return Status::OK();
  }

  // A projection that follows and makes all its columns says which ones the filter must pass on.
  Status Add(const FilterStep& step) {
    std::optional<std::vector<std::string>> keep;
    if (index_ + 1 < program_.steps.size()) {
      const auto* project = std::get_if<ProjectStep>(&program_.steps[index_ + 1]);
      if (project && !project->keep_rest) {
        keep.emplace();
        for (const NamedExpr& named : project->exprs) CollectColumns(named.expr, &*keep);
      }
    }
    stream_ = MakeFilterStream(std::move(stream_), step.predicate, std::move(keep), context_);
    return Status::OK();
  }

  Status Add(const ProjectStep& step) {
    stream_ = MakeProjectStream(std::move(stream_), step, context_);
    return Status::OK();
  }

  Status Add(const LimitStep& step) {
    stream_ = MakeLimitStream(std::move(stream_), step.rows);
    return Status::OK();
  }

  Status Add(const WriteStep& step) {
    stream_ = MakeWriteStream(std::move(stream_), step.target, context_, &stats_->function_nanos);
    return Status::OK();
  }

  const TaskProgram& program_;
  const TaskContext& context_;
  TaskStats* const stats_;
  std::vector<ReadUnit> units_;
  std::size_t index_ = 0;
  StreamPtr stream_;
};

}  // namespace

Result<StreamPtr> MakeChain(const TaskProgram& program, TaskInput input, const TaskContext& context,
                            TaskStats* stats) {
  return ChainBuilder(program, context, stats).Build(std::move(input));
}

}  // namespace headrace
