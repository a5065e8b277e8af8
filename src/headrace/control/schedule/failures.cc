#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "headrace/control/schedule/scheduler_impl.h"

// How a run fails, and what its failure says.
//
// A worker that died could not say what it worked on, so that is told from its order: the operator,
// the files, and the rows where the driver knows them.

namespace headrace {
namespace {

std::string RangeText(const char* noun, std::int64_t begin, std::int64_t end) {
  std::string text = noun;
  if (end == begin + 1) return text + ' ' + std::to_string(begin);
  return text + "s " + std::to_string(begin) + "–" + std::to_string(end - 1);
}

/// Of which rows of its file, or of a range, a unit is; "" if the driver does not know.
std::string RowsOf(const ReadSource& source, const ReadUnit& unit) {
  if (source.format == "parquet" && unit.begin > 0 && unit.end > unit.begin) {
    return RangeText("row group", unit.begin, unit.end);
  }
  if (source.format != "range") {
    // Of a user's source the rows are a guess.
    const bool from_start = unit.begin == 0 && unit.num_rows > 0 && source.format != "binary" &&
                            source.format != "python";
    return from_start ? RangeText("row", 0, unit.num_rows) : "";
  }
  return unit.end > unit.begin ? RangeText("row", unit.begin, unit.end) : "";
}

std::string DescribeUnits(const ReadSource& source, const UnitGroup& numbers) {
  const ReadUnit& first = source.units[numbers.front()];
  const ReadUnit& last = source.units[numbers.back()];
  std::string text;
  if (!first.path.empty()) {
    text = ", file " + first.path + (first.path == last.path ? "" : " to " + last.path);
  }
  std::string rows;
  if (numbers.size() == 1) {
    rows = RowsOf(source, first);
  } else if (source.format == "range" && last.end > first.begin) {
    rows = RangeText("row", first.begin, last.end);
  }
  return rows.empty() ? text : text + ", " + rows;
}

/// Says how many rows of its input a task had, and of which files they are, where that is known.
std::string DescribeInputs(const ProposedTask& work) {
  std::int64_t rows = 0;
  std::set<std::string> files;
  for (const RefBundle::Item& item : work.held.items) {
    rows += item.info.num_rows;
    if (item.info.input_files)
      files.insert(item.info.input_files->begin(), item.info.input_files->end());
  }
  if (!work.ranges.empty()) {
    rows = 0;
    for (const RowRange& range : work.ranges) {
      if (range.end < 0) return "";
      rows += range.end - range.begin;
    }
  }
  if (rows == 0) return "";
  std::string text = ", " + RangeText("row", 0, rows) + " of the task's input";
  if (files.empty()) return text;
  text += ", from " + *files.begin();
  const std::size_t more = files.size() - 1;
  if (more > 0) text += " and " + std::to_string(more) + (more > 1 ? " more files" : " more file");
  return text;
}

std::string DescribeWork(const OperatorRun& run, const TaskRecord* task) {
  std::string text = "operator " + run.spec->name;
  if (task == nullptr) return text;
  const ProposedTask& work = task->work;
  const ReadStep* read = work.program ? FindReadStep(*work.program) : nullptr;
  if (read != nullptr && work.units != nullptr && !work.units->empty()) {
    text += DescribeUnits(*read->source, *work.units);
  } else {
    text += DescribeInputs(work);
  }
  if (task->id.attempt > 0) {
    text += ", after " + std::to_string(task->id.attempt + 1) + " attempts";
  }
  return text;
}

std::string FunctionsOf(const OperatorRun& run) {
  std::string names;
  const TaskProgram* program = run.program();
  if (program == nullptr) return names;
  for (const Step& step : program->steps) {
    const auto* map = std::get_if<MapStep>(&step);
    if (map == nullptr || map->function == nullptr) continue;
    names += (names.empty() ? "\nfunction " : ", function ") + map->function->name;
  }
  return names;
}

}  // namespace

void SchedulerImpl::FailRun(const OperatorRun& run, Failure failure, const TaskRecord* task) {
  if (!failure_) {
    if (failure.context.empty()) failure.context = DescribeWork(run, task);
    if (failure.kind == FailureKind::kWorkerLost) {
      failure.message = run.spec->name + ": " + failure.message;
    }
    failure_ = std::move(failure);
  }
  if (stopping_) return;
  stopping_ = true;
  CloseAll();
}

Failure SchedulerImpl::OverLimit(const OperatorRun& run, std::int64_t peak_bytes, const char* noun,
                                 const TaskRecord* task) const {
  Failure failure;
  failure.kind = FailureKind::kOverMemory;
  failure.code = arrow::StatusCode::OutOfMemory;
  failure.message = run.spec->name + " needs more memory than there is: " + noun + " held " +
                    Megabytes(peak_bytes) + " when it was stopped, alone; memory_limit is " +
                    Megabytes(options_.memory_limit_bytes) +
                    ", of which the engine, other runs and their limits leave this one " +
                    Megabytes(std::max<std::int64_t>(0, memory_.available())) +
                    ", and its blocks hold " + Megabytes(ledger_.charged());
  failure.context = DescribeWork(run, task) + FunctionsOf(run) +
                    "\nA smaller batch_size (or smaller blocks) makes a task need less; "
                    "ExecutionOptions.memory_limit allows more. Where only some need much, memory= "
                    "says so before they start.";
  return failure;
}

}  // namespace headrace
