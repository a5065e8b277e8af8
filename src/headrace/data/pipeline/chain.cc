#include "headrace/data/pipeline/chain.h"

#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "headrace/block/unify.h"
#include "headrace/data/consume/writer.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/read/read_stream.h"
#include "headrace/data/transform/codes.h"

namespace headrace {

namespace {

// Functions that take groups are called for each; blocks of this size keep what they return small.
constexpr std::int64_t kBatchOfGroupsBytes = 8 << 20;

// Blocks of the task's input.
class InputStream : public BatchStream {
 public:
  InputStream(std::vector<Block> blocks, std::vector<BlockInfo> infos, const TaskContext& context)
      : blocks_(std::move(blocks)),
        infos_(std::move(infos)),
        cancelled_(context.cancelled),
        pool_(context.pool) {}

  /// Gives all blocks with rows one schema, if there is one that they can have.
  void Unify() {
    std::vector<SchemaPtr> schemas;
    for (const Block& block : blocks_) {
      if (block.num_rows() > 0) schemas.push_back(block.table()->schema());
    }
    if (schemas.size() > 1) schema_ = headrace::UnifySchemas(schemas).ValueOr(nullptr);
  }

  Result<std::optional<Batch>> Next() override {
    if (cancelled_ && cancelled_->load(std::memory_order_relaxed)) {
      return Status::Cancelled("the task was cancelled");
    }
    if (next_ == blocks_.size()) return std::nullopt;
    Batch batch;
    batch.block = std::move(blocks_[next_]);  // Freed as soon as it is used up.
    if (schema_ && batch.block.num_rows() > 0) {
      ARROW_ASSIGN_OR_RAISE(auto table, PromoteTable(batch.block.table(), schema_, pool_));
      if (table != batch.block.table()) batch.block = Block(std::move(table), -1);
    }
    if (next_ < infos_.size()) batch.origin.files = infos_[next_].input_files;
    batch.origin.first_row = row_;
    row_ += batch.block.num_rows();
    batch.origin.end_row = row_;
    ++next_;
    return batch;
  }

 private:
  std::vector<Block> blocks_;
  std::vector<BlockInfo> infos_;
  const std::atomic<bool>* const cancelled_;
  arrow::MemoryPool* const pool_;
  SchemaPtr schema_;  // Null: the blocks have their own.
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

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Returns whether the column goes through the step as it is, and nothing in it reads its values.
bool PassesOn(const Step& step, const std::string& name) {
  std::vector<std::string> read;
  if (const auto* filter = std::get_if<FilterStep>(&step)) {
    CollectColumns(filter->predicate, &read);
    return !Contains(read, name);
  }
  if (const auto* project = std::get_if<ProjectStep>(&step)) {
    bool passed = project->keep_rest && !Contains(project->drop, name);
    for (const auto& [from, to] : project->rename) passed = passed && from != name && to != name;
    for (const NamedExpr& named : project->exprs) {
      const auto* column = named.expr->As<expr::Column>();
      if (named.name == name) {
        passed = column && column->name == name;
      } else {
        CollectColumns(named.expr, &read);
      }
    }
    return passed && !Contains(read, name);
  }
  return std::holds_alternative<LimitStep>(step);
}

// Returns the keys of an aggregation that are text and come from the read step as they are: those
// may come as codes, for nothing but the aggregation sees them.
std::vector<std::string> CodedKeys(const std::vector<Step>& steps, const ReadSource& source) {
  const auto last = std::find_if(steps.begin(), steps.end(), [](const Step& step) {
    return std::holds_alternative<AggregateStep>(step);
  });
  if (last == steps.end() || !source.schema) return {};
  const auto& aggregate = std::get<AggregateStep>(*last);
  std::vector<std::string> keys;
  for (const std::string& key : aggregate.keys) {
    const auto field = source.schema->GetFieldByName(key);
    bool passes =
        field && IsText(*field->type()) &&
        std::all_of(steps.begin() + 1, last, [&](const Step& step) { return PassesOn(step, key); });
    for (const AggregateSpec& spec : aggregate.aggregates) passes = passes && spec.column != key;
    if (passes) keys.push_back(key);
  }
  return keys;
}

class ChainBuilder {
 public:
  ChainBuilder(const TaskProgram& program, TaskInput* input, const TaskContext& context,
               TaskStats* stats)
      : program_(program), context_(context), stats_(stats), input_(*input) {}

  Result<StreamPtr> Build() {
    const auto joins =
        std::count_if(program_.steps.begin(), program_.steps.end(),
                      [](const auto& s) { return std::holds_alternative<JoinStep>(s); });
    if (static_cast<std::size_t>(joins) < input_.sides.size()) {
      return Status::Invalid(joins, " joins with ", input_.sides.size(), " sides");
    }
    joins_before_sides_ = static_cast<std::size_t>(joins) - input_.sides.size();
    if (!TakesInputItself()) stream_ = TakeInput(0, input_.blocks.size());
    for (index_ = 0; index_ < program_.steps.size(); ++index_) {
      ARROW_RETURN_NOT_OK(
          std::visit([this](const auto& step) { return Add(step); }, program_.steps[index_]));
    }
    return std::move(stream_);
  }

 private:
  // Returns true if the first step is one that starts from something else than one stream.
  bool TakesInputItself() const {
    if (program_.steps.empty()) return false;
    const Step& first = program_.steps.front();
    return std::holds_alternative<ReadStep>(first) || std::holds_alternative<MergeStep>(first) ||
           std::holds_alternative<ZipStep>(first) ||
           (std::holds_alternative<JoinStep>(first) && joins_before_sides_ > 0);
  }

  // Returns blocks [begin, end) of the input as a stream, their rows counted.
  StreamPtr TakeInput(std::size_t begin, std::size_t end) {
    const auto move = [&](auto& items) {
      const auto first = items.begin() + static_cast<std::ptrdiff_t>(std::min(begin, items.size()));
      const auto last = items.begin() + static_cast<std::ptrdiff_t>(std::min(end, items.size()));
      return std::decay_t<decltype(items)>(std::move_iterator(first), std::move_iterator(last));
    };
    auto stream = std::make_unique<InputStream>(move(input_.blocks), move(input_.infos), context_);
    // What a task writes is one file where it can be.
    const auto& steps = program_.steps;
    if (index_ < steps.size() && std::holds_alternative<WriteStep>(steps[index_])) stream->Unify();
    return std::make_unique<CountStream>(std::move(stream), &stats_->rows_in);
  }

  Status RequireFirst() const {
    if (index_ == 0) return Status::OK();
    return Status::Invalid("a program reads, merges, joins or zips in its first step only");
  }

  // `step` keeps the two sides of a shuffle apart, whose tasks may have equal positions.
  Rng MakeRng(std::uint64_t seed, std::uint64_t step) const {
    return Rng(context_.position.Seed(2 * seed + step));
  }

  Status Add(const ReadStep& step) {
    ARROW_RETURN_NOT_OK(RequireFirst());
    coded_ = CodedKeys(program_.steps, *step.source);
    stream_ = MakeReadStream(step, std::move(input_.units), context_, coded_);
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
    stream_ = MakeMapStream(std::move(stream_), step.function, context_, stats_);
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
    stream_ = MakeWriteStream(std::move(stream_), step.target, context_, stats_);
    return Status::OK();
  }

  Status Add(const ScatterStep& step) {
    stream_ = MakeScatterStream(std::move(stream_), step, MakeRng(step.seed, 0), context_);
    return Status::OK();
  }

  Status Add(const SortStep& step) {
    stream_ = MakeSortStream(std::move(stream_), step, context_);
    return Status::OK();
  }

  Status Add(const MergeStep& step) {
    ARROW_RETURN_NOT_OK(RequireFirst());
    for (const Block& block : input_.blocks) stats_->rows_in += block.num_rows();
    std::vector<FileList> files;
    for (const BlockInfo& info : input_.infos) files.push_back(info.input_files);
    stream_ = MakeMergeStream(std::move(input_.blocks), std::move(input_.keys), step, context_,
                              std::move(files));
    return Status::OK();
  }

  Status Add(const ShuffleStep& step) {
    stream_ = MakeShuffleStream(std::move(stream_), MakeRng(step.seed, 1), context_);
    return Status::OK();
  }

  Status Add(const GroupStep& step) {
    stream_ = MakeGroupStream(std::move(stream_), step, kBatchOfGroupsBytes, context_);
    return Status::OK();
  }

  Status Add(const AggregateStep& step) {
    stream_ = MakeAggregateStream(std::move(stream_), step, context_, std::exchange(coded_, {}));
    return Status::OK();
  }

  Status Add(const JoinStep& step) {
    if (joins_++ >= joins_before_sides_) {
      SideInput& side = input_.sides[joins_ - 1 - joins_before_sides_];
      StreamPtr right =
          std::make_unique<InputStream>(std::move(side.blocks), std::move(side.infos), context_);
      stream_ = MakeJoinTablesStream(std::move(stream_), std::move(right), step, context_,
                                     std::move(side.objects));
      return Status::OK();
    }
    ARROW_RETURN_NOT_OK(RequireFirst());
    StreamPtr left = TakeInput(0, input_.left_blocks);
    StreamPtr right = TakeInput(input_.left_blocks, input_.blocks.size());
    stream_ = MakeJoinTablesStream(std::move(left), std::move(right), step, context_);
    return Status::OK();
  }

  Status Add(const ZipStep&) {
    ARROW_RETURN_NOT_OK(RequireFirst());
    StreamPtr left = TakeInput(0, input_.left_blocks);
    StreamPtr right = TakeInput(input_.left_blocks, input_.blocks.size());
    stream_ = MakeZipStream(std::move(left), std::move(right), context_);
    return Status::OK();
  }

  const TaskProgram& program_;
  const TaskContext& context_;
  TaskStats* const stats_;
  TaskInput& input_;  // What no step has taken yet.
  std::size_t index_ = 0;
  std::size_t joins_ = 0;               // Of the steps that were added.
  std::size_t joins_before_sides_ = 0;  // Joins whose right side is among the task's blocks.
  std::vector<std::string> coded_;      // Keys of the aggregation, see CodedKeys().
  StreamPtr stream_;
};

}  // namespace

Result<StreamPtr> MakeChain(const TaskProgram& program, TaskInput&& input,
                            const TaskContext& context, TaskStats* stats) {
  return ChainBuilder(program, &input, context, stats).Build();
}

}  // namespace headrace
