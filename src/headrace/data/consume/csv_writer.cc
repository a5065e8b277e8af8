#include <arrow/csv/options.h>
#include <arrow/csv/writer.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/writer.h>
#include <arrow/table.h>

#include <utility>

#include "headrace/data/consume/file_writer.h"
#include "headrace/data/read/options.h"

// CSV. Options, named and meant as those of pyarrow.csv.WriteOptions: include_header (default
// true), delimiter (","), batch_size (rows a write), quoting_style ("needed", "all_valid", "none").

namespace headrace {

namespace {

class CsvWriter : public FileWriter {
 public:
  explicit CsvWriter(std::shared_ptr<arrow::ipc::RecordBatchWriter> writer)
      : writer_(std::move(writer)) {}

  Status Write(const arrow::Table& table) override { return writer_->WriteTable(table); }
  Status Finish() override { return writer_->Close(); }

 private:
  const std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

}  // namespace

Result<std::unique_ptr<FileWriter>> MakeCsvWriter(const FileWriterArgs& args) {
  const OptionMap& options = args.target.options;
  auto write = arrow::csv::WriteOptions::Defaults();
  write.include_header = GetBool(options, "include_header", true);
  const std::string delimiter = GetString(options, "delimiter", ",");
  if (delimiter.size() != 1) {
    return Status::Invalid("CSV option delimiter must be one character, not '", delimiter, "'");
  }
  write.delimiter = delimiter.front();
  write.batch_size = static_cast<std::int32_t>(GetInt(options, "batch_size", write.batch_size));
  const std::string style = GetString(options, "quoting_style", "needed");
  if (style == "all_valid") {
    write.quoting_style = arrow::csv::QuotingStyle::AllValid;
  } else if (style == "none") {
    write.quoting_style = arrow::csv::QuotingStyle::None;
  } else if (style != "needed") {
    return Status::Invalid("CSV option quoting_style is '", style,
                           "'; it can be 'needed', 'all_valid' or 'none'");
  }
  write.io_context = arrow::io::IOContext(args.pool);
  ARROW_ASSIGN_OR_RAISE(auto writer,
                        arrow::csv::MakeCSVWriter(args.sink, args.first.schema(), write));
  return std::make_unique<CsvWriter>(std::move(writer));
}

}  // namespace headrace
