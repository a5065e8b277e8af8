#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <utility>
#include <vector>

#include "headrace/data/consume/file_writer.h"
#include "headrace/data/consume/json_text.h"

// JSON, an object a line; see json_text.h for the form of values.

namespace headrace {

namespace {

constexpr std::size_t kWriteBytes = 1 << 20;

class JsonWriter : public FileWriter {
 public:
  explicit JsonWriter(std::shared_ptr<arrow::io::OutputStream> sink) : sink_(std::move(sink)) {}

  Status Write(const arrow::Table& table) override {
    arrow::TableBatchReader reader(table);
    std::shared_ptr<arrow::RecordBatch> batch;
    while (true) {
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (!batch) return Status::OK();
      ARROW_RETURN_NOT_OK(WriteBatch(*batch));
    }
  }

  Status Finish() override { return Flush(); }

 private:
  Status WriteBatch(const arrow::RecordBatch& batch) {
    std::vector<std::pair<std::string, std::unique_ptr<JsonColumn>>> columns;
    for (int i = 0; i < batch.num_columns(); ++i) {
      std::string label = i == 0 ? "{" : ",";
      ARROW_RETURN_NOT_OK(AppendJsonString(batch.column_name(i), &label));
      label.push_back(':');
      auto column = JsonColumn::Make(batch.column(i));
      if (!column.ok()) return InColumn(column.status(), batch.column_name(i));
      columns.emplace_back(std::move(label), *std::move(column));
    }
    for (std::int64_t row = 0; row < batch.num_rows(); ++row) {
      if (columns.empty()) text_.push_back('{');
      for (std::size_t i = 0; i < columns.size(); ++i) {
        text_.append(columns[i].first);
        const Status status = columns[i].second->Append(row, &text_);
        if (!status.ok()) return InColumn(status, batch.column_name(static_cast<int>(i)));
      }
      text_.append("}\n");
      if (text_.size() >= kWriteBytes) ARROW_RETURN_NOT_OK(Flush());
    }
    return Status::OK();
  }

  static Status InColumn(const Status& status, const std::string& name) {
    return status.WithMessage("column '", name, "': ", status.message());
  }

  Status Flush() {
    ARROW_RETURN_NOT_OK(sink_->Write(text_.data(), static_cast<std::int64_t>(text_.size())));
    text_.clear();
    return Status::OK();
  }

  const std::shared_ptr<arrow::io::OutputStream> sink_;
  std::string text_;
};

}  // namespace

Result<std::unique_ptr<FileWriter>> MakeJsonWriter(const FileWriterArgs& args) {
  return std::make_unique<JsonWriter>(args.sink);
}

}  // namespace headrace
