// A pipeline in C++ alone: make rows, compute on threads, write Parquet, read it back.
//
//   example_pipeline DIRECTORY [ROWS]

#include <arrow/api.h>

#include <cstdlib>
#include <iostream>

#include "headrace/engine/dataset.h"

namespace {

using headrace::Col;
using headrace::Dataset;

// A transform of the user's own: record batch in, record batch out; an error is a Status.
arrow::Result<std::shared_ptr<arrow::RecordBatch>> AddDigits(
    std::shared_ptr<arrow::RecordBatch> batch) {
  const auto ids = std::static_pointer_cast<arrow::Int64Array>(batch->GetColumnByName("id"));
  if (ids == nullptr) return arrow::Status::KeyError("no column id");
  arrow::Int64Builder digits;
  ARROW_RETURN_NOT_OK(digits.Reserve(ids->length()));
  for (std::int64_t i = 0; i < ids->length(); ++i) {
    digits.UnsafeAppend(static_cast<std::int64_t>(std::to_string(ids->Value(i)).size()));
  }
  ARROW_ASSIGN_OR_RAISE(auto column, digits.Finish());
  return batch->AddColumn(batch->num_columns(), "digits", column);
}

arrow::Status Run(const std::string& directory, std::int64_t rows) {
  ARROW_ASSIGN_OR_RAISE(Dataset numbers, Dataset::Range(rows));
  Dataset odd = numbers.Filter(headrace::CallFunction("bit_wise_and", {Col("id"), 1}) == 1)
                    .WithColumn("half", Col("id") / 2)
                    .MapBatches(AddDigits, {.name = "AddDigits"});
  ARROW_ASSIGN_OR_RAISE(std::string plan, odd.Explain());
  std::cout << plan << "\n";

  ARROW_ASSIGN_OR_RAISE(headrace::WriteReport report, odd.WriteParquet(directory));
  std::cout << "wrote " << report.num_rows << " rows in " << report.paths.size() << " files\n";

  ARROW_ASSIGN_OR_RAISE(Dataset written, Dataset::ReadParquet({directory}));
  ARROW_ASSIGN_OR_RAISE(std::int64_t long_ones, written.Filter(Col("digits") >= 4).Count());
  std::cout << long_ones << " of them have four digits or more\n";
  ARROW_ASSIGN_OR_RAISE(auto first, written.Take(3));
  std::cout << first->ToString() << "\n";
  return arrow::Status::OK();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " DIRECTORY [ROWS]\n";
    return 2;
  }
  const arrow::Status status = Run(argv[1], argc > 2 ? std::atoll(argv[2]) : 100'000);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}
