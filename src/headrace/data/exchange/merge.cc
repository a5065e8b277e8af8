#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <map>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/block/block_builder.h"
#include "headrace/block/unify.h"
#include "headrace/data/exchange/collect.h"
#include "headrace/data/exchange/exchange.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/sort_rows.h"
#include "headrace/data/exchange/sorted_run.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace {

// Rows and bytes that are merged at once: these and their keys stay in the cache.
constexpr std::int64_t kMergeRows = 64 << 10;
constexpr std::int64_t kWindowBytes = 4 << 20;
// A window takes time in the number of runs: more of them are first sorted together by the group.
constexpr std::size_t kRunsMax = 512;
// Windows are joined, without a copy, to batches of about so many bytes.
constexpr std::int64_t kMergedBatchBytes = 8 << 20;

// Merges by windows: all rows up to some row of some run are cut off from all runs, and sorted as
// they follow each other, by run. That is faster than comparing row by row, for short keys by far.
class MergeStream : public BatchStream {
 public:
  MergeStream(std::vector<Block> inputs, std::vector<FileList> files, std::optional<KeyRange> keys,
              MergeStep step, const TaskContext& context)
      : inputs_(std::move(inputs)),
        files_(std::move(files)),
        range_(std::move(keys)),
        step_(std::move(step)),
        context_(context),
        rows_left_(step_.limit < 0 ? INT64_MAX : step_.limit) {}

  Result<std::optional<Batch>> Next() override {
    if (!started_) {
      started_ = true;
      ARROW_RETURN_NOT_OK(Start());
    }
    std::vector<Block> windows;
    std::int64_t bytes = 0;
    while (rows_left_ > 0 && bytes < kMergedBatchBytes) {
      ARROW_RETURN_NOT_OK(CheckCancelled(context_));
      ARROW_ASSIGN_OR_RAISE(auto window, NextWindow());
      if (!window) break;
      if (window->num_rows() > rows_left_) window = window->Slice(0, rows_left_);
      rows_left_ -= window->num_rows();
      bytes += std::max<std::int64_t>(1, window->num_rows() * bytes_per_row_);
      windows.emplace_back(std::move(window), -1);
    }
    if (windows.empty()) {
      runs_.clear();
      if (!empty_) return std::nullopt;
      windows.emplace_back(std::move(empty_), 0);
    }
    empty_.reset();
    Batch batch;
    ARROW_ASSIGN_OR_RAISE(batch.block, JoinBlocks(windows, context_.pool));
    return batch;
  }

 private:
  Status Start() {
    if (inputs_.empty()) return Status::OK();
    HEADRACE_CHECK(!range_ || range_->runs.empty() || range_->runs.size() == inputs_.size());
    ARROW_RETURN_NOT_OK(Unify());
    empty_ = inputs_.front().table()->Slice(0, 0);
    std::map<std::uint32_t, SortedRun> runs;
    std::int64_t bytes = 0;
    std::int64_t rows = 0;
    for (std::uint32_t i = 0; i < inputs_.size(); ++i) {
      const Block block = std::move(inputs_[i]);
      bytes += block.num_bytes() >= 0 ? block.num_bytes() : MeasureBytes(*block.table());
      rows += block.num_rows();
      const std::uint32_t number = range_ && !range_->runs.empty() ? range_->runs[i] : i;
      SortedRun& run = runs.try_emplace(number, number).first->second;
      ARROW_RETURN_NOT_OK(run.Add(block.table(), step_.keys, context_.pool));
    }
    inputs_.clear();
    bytes_per_row_ = rows == 0 ? 0 : bytes / rows;
    for (auto& [number, run] : runs) {
      if (range_) run.Cut(*range_);
      if (run.left() > 0) runs_.push_back(std::move(run));
    }
    return runs_.size() > kRunsMax ? GroupRuns() : Status::OK();
  }

  // Makes one run of several that follow each other.
  Status GroupRuns() {
    const std::size_t size = (runs_.size() + kRunsMax - 1) / kRunsMax;
    std::vector<SortedRun> groups;
    for (std::size_t begin = 0; begin < runs_.size(); begin += size) {
      ARROW_RETURN_NOT_OK(CheckCancelled(context_));
      std::vector<std::shared_ptr<arrow::Table>> slices;
      for (std::size_t i = begin; i < std::min(begin + size, runs_.size()); ++i) {
        runs_[i].Take(runs_[i].end(), &slices);
      }
      ARROW_ASSIGN_OR_RAISE(auto rows, arrow::ConcatenateTables(slices));
      ARROW_ASSIGN_OR_RAISE(rows, Sorted(std::move(rows)));
      SortedRun& group = groups.emplace_back(runs_[begin].number());
      ARROW_RETURN_NOT_OK(group.Add(std::move(rows), step_.keys, context_.pool));
    }
    runs_ = std::move(groups);
    return Status::OK();
  }

  // Runs may differ in type: keys are bounded by bytes that are equal for equal values of all types
  // that can be unified, and compared in the unified one.
  Status Unify() {
    std::vector<std::shared_ptr<arrow::Table>> tables;
    std::vector<SchemaPtr> schemas;
    for (const Block& block : inputs_) {
      tables.push_back(block.table());
      if (block.num_rows() > 0) schemas.push_back(block.table()->schema());
    }
    ARROW_RETURN_NOT_OK(CheckComparable(NamesOf(step_.keys), schemas));
    ARROW_RETURN_NOT_OK(UnifyTables(&tables, files_, context_.pool));
    ARROW_RETURN_NOT_OK(CheckSortKeys(step_.keys, *tables.front()->schema()));
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (tables[i] != inputs_[i].table()) inputs_[i] = Block(std::move(tables[i]), -1);
    }
    return Status::OK();
  }

  // Returns the next rows in order, or null at the end.
  Result<std::shared_ptr<arrow::Table>> NextWindow() {
    std::erase_if(runs_, [](const SortedRun& run) { return run.left() == 0; });
    if (runs_.empty()) return nullptr;
    const std::int64_t fitting = kWindowBytes / std::max<std::int64_t>(1, bytes_per_row_);
    const std::int64_t most = std::clamp<std::int64_t>(fitting, 1, kMergeRows);
    const auto runs = static_cast<std::int64_t>(runs_.size());
    const std::int64_t step = std::max<std::int64_t>(1, most / runs);
    std::vector<std::int64_t> ends = WindowEnds(step);
    const std::size_t only = OnlyRun(ends);
    if (only < runs_.size()) ends[only] = FindAhead(only, ends[only], most);
    std::vector<std::shared_ptr<arrow::Table>> slices;
    for (std::size_t i = 0; i < runs_.size(); ++i) runs_[i].Take(ends[i], &slices);
    ARROW_ASSIGN_OR_RAISE(auto rows, arrow::ConcatenateTables(slices));
    if (only < runs_.size()) return rows;
    return Sorted(std::move(rows));
  }

  // Returns where the runs end that are cut off at the least of the rows `step` rows ahead: so no
  // run gives more than `step` rows, and at least one gives so many.
  std::vector<std::int64_t> WindowEnds(std::int64_t step) const {
    std::optional<RunBound> last;  // The last row of the window.
    for (const SortedRun& run : runs_) {
      if (run.left() < step) continue;
      RunBound bound = run.BoundOf(run.next() + step - 1);
      if (!last || bound < *last) last = std::move(bound);
    }
    std::vector<std::int64_t> ends;
    for (const SortedRun& run : runs_) {
      if (!last) {
        ends.push_back(run.end());
      } else if (run.number() == last->run) {
        ends.push_back(run.next() + step);
      } else {
        ends.push_back(run.Find(*last, run.next(), std::min(run.end(), run.next() + step)));
      }
    }
    return ends;
  }

  // Returns the one run that gives rows, or the number of runs.
  std::size_t OnlyRun(const std::vector<std::int64_t>& ends) const {
    std::size_t only = runs_.size();
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (ends[i] == runs_[i].next()) continue;
      if (only < runs_.size()) return runs_.size();
      only = i;
    }
    return only;
  }

  // Returns up to where run `only` has rows before those of all others, at most `most` from `end`.
  std::int64_t FindAhead(std::size_t only, std::int64_t end, std::int64_t most) const {
    const SortedRun& run = runs_[only];
    const std::int64_t limit = std::min(run.end(), end + most);
    std::optional<RunBound> first;
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (i == only) continue;
      RunBound bound = runs_[i].BoundOf(runs_[i].next());
      if (!first || bound < *first) first = std::move(bound);
    }
    return first ? run.Find(*first, end, limit) : limit;
  }

  Result<std::shared_ptr<arrow::Table>> Sorted(std::shared_ptr<arrow::Table> table) const {
    ARROW_ASSIGN_OR_RAISE(auto gatherer, RowGatherer::Make(std::move(table), context_.pool));
    ARROW_ASSIGN_OR_RAISE(auto rows, SortRows(*gatherer.table(), step_.keys, context_.pool));
    return gatherer.Gather(rows);
  }

  std::vector<Block> inputs_;  // Until it has started.
  const std::vector<FileList> files_;
  const std::optional<KeyRange> range_;
  const MergeStep step_;
  const TaskContext context_;
  bool started_ = false;
  std::vector<SortedRun> runs_;          // In order of their numbers.
  std::shared_ptr<arrow::Table> empty_;  // Until a batch was yielded.
  std::int64_t bytes_per_row_ = 0;
  std::int64_t rows_left_;
};

}  // namespace

StreamPtr MakeMergeStream(std::vector<Block> inputs, std::optional<KeyRange> keys, MergeStep step,
                          const TaskContext& context, std::vector<FileList> files) {
  return std::make_unique<MergeStream>(std::move(inputs), std::move(files), std::move(keys),
                                       std::move(step), context);
}

}  // namespace headrace
