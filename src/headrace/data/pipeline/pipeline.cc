#include "headrace/data/pipeline/pipeline.h"

#include <arrow/table.h>

#include <utility>
#include <vector>

#include "headrace/block/block_builder.h"
#include "headrace/data/pipeline/chain.h"
#include "headrace/data/transform/arrow_init.h"
#include "headrace/data/transform/failure.h"
#include "headrace/data/transform/stopwatch.h"

namespace headrace {

namespace {

class ChainPipeline : public Pipeline {
 public:
  ChainPipeline(const TaskProgram& program, TaskContext context)
      : program_(program),
        context_(std::move(context)),
        builder_(program_.shape.target_min_bytes, program_.shape.target_max_bytes,
                 program_.shape.shape, context_.pool) {}

  Status Build(TaskInput&& input) {
    ARROW_ASSIGN_OR_RAISE(chain_, MakeChain(program_, std::move(input), context_, &stats_));
    return Status::OK();
  }

  Result<std::optional<PipelineOutput>> Next() override {
    if (!chain_ && !builder_.has_next()) return std::nullopt;
    const TaskTimer timer(&stats_.wall_nanos, &stats_.cpu_nanos);
    if (Status status = Fill(); !status.ok()) {
      chain_.reset();
      return AddOperator(status, program_.name);
    }
    if (!builder_.has_next()) return std::nullopt;
    return Label(builder_.Next());
  }

  bool ended() const override { return !chain_ && !builder_.has_next(); }

  TaskStats stats() const override { return stats_; }

 private:
  // Pulls until a block is ready or the chain ends; at its end all its memory goes.
  Status Fill() {
    while (chain_ && !builder_.has_next()) {
      if (context_.cancelled && context_.cancelled->load(std::memory_order_relaxed)) {
        return Status::Cancelled("the task was cancelled");
      }
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, chain_->Next());
      if (batch) {
        // Labelled pieces pass the builder one by one: see TaskProgram::shape.
        if (batch->index != nullptr) {
          if (program_.shape.shape) return Status::Invalid("a labelled block would be reshaped");
          if (batch->block.num_rows() > 0) indexes_.push_back(std::move(batch->index));
        }
        ARROW_RETURN_NOT_OK(builder_.Add(std::move(batch->block), std::move(batch->origin.files)));
      } else {
        chain_.reset();
        ARROW_RETURN_NOT_OK(builder_.Finish());
      }
    }
    return Status::OK();
  }

  PipelineOutput Label(ShapedBlock shaped) {
    PipelineOutput output;
    output.info.num_rows = shaped.block.num_rows();
    output.info.num_bytes = shaped.block.num_bytes();
    output.info.schema = shaped.block.table()->schema();
    output.info.position = context_.position.Child(outputs_++);
    output.info.input_files = std::move(shaped.files);
    if (!indexes_.empty()) {
      output.info.index = std::move(indexes_[next_index_++]);
      if (next_index_ == indexes_.size()) {
        indexes_.clear();
        next_index_ = 0;
      }
    }
    output.block = std::move(shaped.block);
    return output;
  }

  const TaskProgram& program_;
  const TaskContext context_;
  TaskStats stats_;
  BlockBuilder builder_;
  StreamPtr chain_;                                         // Null after the end.
  std::vector<std::shared_ptr<const BlockIndex>> indexes_;  // Of the blocks in the builder.
  std::size_t next_index_ = 0;                              // Those before it are used.
  std::uint32_t outputs_ = 0;
};

}  // namespace

Result<std::unique_ptr<Pipeline>> Pipeline::Make(const TaskProgram& program, TaskInput&& input,
                                                 TaskContext context) {
  ARROW_RETURN_NOT_OK(InitializeArrow());
  context.position = input.position;
  context.task_number = input.task_number;
  context.seed = program.seed;
  context.run_name = program.run_name;
  auto pipeline = std::make_unique<ChainPipeline>(program, std::move(context));
  ARROW_RETURN_NOT_OK(pipeline->Build(std::move(input)));
  return pipeline;
}

}  // namespace headrace
