// Uses the installed library as a stranger would: a pipeline with a lambda, files, and an error.

#include <arrow/api.h>

#include <cstdio>
#include <string>

#include "headrace/engine/dataset.h"

namespace {

using headrace::Col;
using headrace::Dataset;

/// Doubles column "id" into "twice".
arrow::Result<std::shared_ptr<arrow::RecordBatch>> Double(
    std::shared_ptr<arrow::RecordBatch> batch) {
  const auto& ids = static_cast<const arrow::Int64Array&>(*batch->GetColumnByName("id"));
  arrow::Int64Builder builder;
  for (std::int64_t row = 0; row < ids.length(); ++row) {
    ARROW_RETURN_NOT_OK(builder.Append(2 * ids.Value(row)));
  }
  ARROW_ASSIGN_OR_RAISE(auto doubled, builder.Finish());
  return batch->AddColumn(batch->num_columns(), "twice", doubled);
}

arrow::Status Run(const std::string& directory) {
  ARROW_ASSIGN_OR_RAISE(Dataset numbers, Dataset::Range(10'000));
  const Dataset large =
      numbers.MapBatches(Double, {.name = "Double"}).Filter(Col("twice") >= 10'000);
  ARROW_ASSIGN_OR_RAISE(const std::int64_t count, large.Count());
  ARROW_ASSIGN_OR_RAISE(auto report, large.WriteParquet(directory));
  ARROW_ASSIGN_OR_RAISE(Dataset written, Dataset::ReadParquet({directory}));
  ARROW_ASSIGN_OR_RAISE(auto first, written.Limit(3).ToTable());
  std::printf("count=%lld written=%lld first=%lld columns=%d\n", static_cast<long long>(count),
              static_cast<long long>(report.num_rows), static_cast<long long>(first->num_rows()),
              first->num_columns());

  const arrow::Status missing = Dataset::ReadParquet({directory + "/none"}).status();
  std::printf("missing: %s\n", missing.ok() ? "no error" : "error");
  return arrow::Status::OK();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: consumer DIRECTORY\n");
    return 2;
  }
  const arrow::Status status = Run(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
