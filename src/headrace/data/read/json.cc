#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/json/options.h>
#include <arrow/json/reader.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/json_scanner.h"
#include "headrace/data/read/options.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

// JSON, one unit a file: lines, one array of objects, or objects one after another that span
// lines; which one is judged by the file's start. A piece of block_size bytes at a time is cut
// behind its last whole row and parsed; a row that is longer makes the piece longer. Types are
// inferred piece by piece, starting from those of the piece before, or given by the source's
// schema.
//
// Options: block_size (bytes), unexpected_field_behavior ("infer", "ignore" or "error": for fields
// outside the given schema), compression, see data/read/files.h.

namespace headrace {

namespace json = arrow::json;

namespace {

constexpr std::int64_t kJsonBlockBytes = 8 << 20;
// The first piece shows the layout. Pieces then grow to the size of blocks, so that a small file
// costs little memory.
constexpr std::int64_t kHeadBytes = 64 << 10;

class JsonStream : public BatchStream {
 public:
  JsonStream(std::shared_ptr<arrow::io::InputStream> input, json::ParseOptions options,
             std::int64_t block_bytes)
      : input_(std::move(input)),
        options_(std::move(options)),
        given_schema_(options_.explicit_schema),
        block_bytes_(block_bytes) {}

  Result<std::optional<Batch>> Next() override {
    while (true) {
      if (ended_ && rest_.empty()) return std::nullopt;
      ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> piece, NextPiece());
      if (!piece) return std::nullopt;
      ARROW_ASSIGN_OR_RAISE(auto batch, Parse(std::move(piece)));
      if (!batch) continue;
      ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(batch->schema(), {batch}));
      return Batch{Block(std::move(table), -1), {}, nullptr};
    }
  }

 private:
  // Returns the next whole rows, or null at the end.
  Result<std::shared_ptr<arrow::Buffer>> NextPiece() {
    std::string text = std::exchange(rest_, {});
    std::size_t scanned = text.size();  // The rest was scanned when it was read.
    std::size_t end = 0;
    while (end == 0 && !ended_) {
      const std::size_t size = text.size();
      text.resize(size + static_cast<std::size_t>(piece_bytes_));
      ARROW_ASSIGN_OR_RAISE(const std::int64_t read,
                            input_->Read(piece_bytes_, text.data() + size));
      text.resize(size + static_cast<std::size_t>(read));
      piece_bytes_ = std::min(piece_bytes_ * 4, block_bytes_);
      ended_ = read == 0;
      if (!scanner_) Begin(&text);
      end = RowsEnd(&text, scanned);
      scanned = text.size();
    }
    if (ended_) {
      end = text.size();
      if (layout_ != JsonLayout::kLines && !scanner_->at_rest()) {
        return Status::Invalid("JSON ends inside a value");
      }
    }
    if (ended_ && text.find_first_not_of(" \t\r\n") == std::string::npos) return nullptr;
    rest_ = text.substr(end);
    text.resize(end);
    return arrow::Buffer::FromString(std::move(text));
  }

  void Begin(std::string* text) {
    if (text->starts_with("\xEF\xBB\xBF")) text->erase(0, 3);  // A byte order mark.
    layout_ = GuessJsonLayout(std::string_view(*text).substr(0, kHeadBytes));
    scanner_.emplace(layout_ == JsonLayout::kArray);
  }

  std::size_t RowsEnd(std::string* text, std::size_t from) {
    if (layout_ == JsonLayout::kLines) {
      const void* newline = memrchr(text->data() + from, '\n', text->size() - from);
      return newline
                 ? static_cast<std::size_t>(static_cast<const char*>(newline) - text->data()) + 1
                 : 0;
    }
    const std::size_t end = scanner_->Scan(text->data() + from, text->size() - from);
    return end == 0 ? 0 : from + end;
  }

  // Parses with the types so far; where a value does not fit them, with types inferred anew.
  Result<std::shared_ptr<arrow::RecordBatch>> Parse(std::shared_ptr<arrow::Buffer> piece) {
    if (std::all_of(piece->data(), piece->data() + piece->size(), [](std::uint8_t c) {
          return std::strchr(" \t\r\n", c) != nullptr && c != 0;
        })) {
      return nullptr;
    }
    auto batch = json::ParseOne(options_, piece);
    if (!batch.ok() && !given_schema_ && options_.explicit_schema) {
      json::ParseOptions fresh = options_;
      fresh.explicit_schema = nullptr;
      batch = json::ParseOne(fresh, piece);
    }
    ARROW_RETURN_NOT_OK(batch.status());
    if (!given_schema_) Remember(*(*batch)->schema());
    return batch;
  }

  void Remember(const arrow::Schema& schema) {
    arrow::FieldVector typed;
    for (const auto& field : schema.fields()) {
      if (field->type()->id() != arrow::Type::NA) typed.push_back(field);
    }
    options_.explicit_schema = arrow::schema(std::move(typed));
  }

  const std::shared_ptr<arrow::io::InputStream> input_;
  json::ParseOptions options_;
  const std::shared_ptr<arrow::Schema> given_schema_;
  const std::int64_t block_bytes_;
  std::int64_t piece_bytes_ = kHeadBytes;  // To read next.
  std::string rest_;                       // Read but not yet a whole row.
  JsonLayout layout_ = JsonLayout::kLines;
  std::optional<JsonScanner> scanner_;  // Set with the first bytes.
  bool ended_ = false;
};

class JsonReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    auto options = json::ParseOptions::Defaults();
    options.explicit_schema = step.source->schema;
    options.newlines_in_values = true;  // The pieces are whole rows already.
    const std::string behavior =
        GetString(step.source->options, "unexpected_field_behavior", "infer");
    if (behavior == "ignore") {
      options.unexpected_field_behavior = json::UnexpectedFieldBehavior::Ignore;
    } else if (behavior == "error") {
      options.unexpected_field_behavior = json::UnexpectedFieldBehavior::Error;
    } else if (behavior != "infer") {
      return Status::Invalid("JSON option unexpected_field_behavior is '", behavior,
                             "'; it can be 'infer', 'ignore' or 'error'");
    }
    ARROW_ASSIGN_OR_RAISE(auto input, OpenStream(*step.source, unit.path, context));
    const std::int64_t block =
        std::max<std::int64_t>(1, GetInt(step.source->options, "block_size", kJsonBlockBytes));
    return std::make_unique<JsonStream>(std::move(input), std::move(options), block);
  }
};

}  // namespace

const Reader& JsonReader() {
  static const JsonReaderImpl reader;
  return reader;
}

}  // namespace headrace
