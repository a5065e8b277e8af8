#include <arrow/array.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/table.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "headrace/data/consume/commit.h"
#include "headrace/data/consume/owner.h"
#include "headrace/engine/consume.h"
#include "headrace/engine/dataset.h"
#include "headrace/engine/execution.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

// The driver's half of writing: run the plan, collect what the tasks wrote, make it visible.

namespace headrace {
namespace {

// Names the files of one write. Two writes into one directory must not meet, also from two
// processes, so the name has the process, the time and a count.
std::string NewRunId(Instant now) {
  static std::atomic<std::uint64_t> count{0};
  return std::to_string(::getpid()) + "_" + std::to_string(now.nanos) + "_" +
         std::to_string(count.fetch_add(1));
}

Result<WriteReport> Report(const std::vector<Block>& results) {
  WriteReport report;
  for (const Block& block : results) {
    ARROW_ASSIGN_OR_RAISE(auto batch, block.table()->CombineChunksToBatch());
    const auto& paths = static_cast<const arrow::StringArray&>(*batch->GetColumnByName("path"));
    const auto& rows = static_cast<const arrow::Int64Array&>(*batch->GetColumnByName("num_rows"));
    const auto& bytes = static_cast<const arrow::Int64Array&>(*batch->GetColumnByName("num_bytes"));
    for (std::int64_t i = 0; i < batch->num_rows(); ++i) {
      report.paths.push_back(paths.GetString(i));
      report.num_rows += rows.Value(i);
      report.num_bytes += bytes.Value(i);
    }
  }
  return report;
}

}  // namespace

Result<WriteReport> Dataset::Write(const std::string& format, const std::string& name,
                                   const std::string& directory, OptionMap options) const {
  auto target = std::make_shared<WriteTarget>();
  target->format = format;
  target->name = name;
  target->options = std::move(options);
  target->run_id = NewRunId(session_->storage()->Now());
  target->temporary = target->run_id + "-" + OwnerTag();
  ARROW_ASSIGN_OR_RAISE(auto file_system,
                        arrow::fs::FileSystemFromUriOrPath(directory, &target->directory));
  target->file_system.live = file_system;
  ARROW_RETURN_NOT_OK(RecoverWrites(file_system.get(), target->directory).status());

  std::vector<Block> results;
  auto run = [&]() -> Status {
    logical::Write write;
    write.target = target;
    ARROW_ASSIGN_OR_RAISE(auto execution, With(std::move(write)).Execute(options_));
    ARROW_RETURN_NOT_OK(ForEachBlock(*execution, [&](const Block& block) {
      results.push_back(block);
      return Status::OK();
    }));
    return CommitWrite(file_system.get(), target->directory, target->temporary, results,
                       WriteMode::kAppend);
  };
  const Status status = run();
  if (!status.ok()) {
    // The run's own error says more than what cleaning up after it may add.
    (void)AbortWrite(file_system.get(), target->directory, target->temporary);
    return status;
  }
  return Report(results);
}

}  // namespace headrace
