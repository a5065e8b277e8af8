#include <arrow/csv/options.h>
#include <arrow/csv/reader.h>
#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/value_parsing.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/options.h"
#include "headrace/data/read/read_stream.h"
#include "headrace/data/read/readers.h"

// CSV, one unit a file. Types are inferred from the first block of each file, or given by the
// source's schema.
//
// Options, named and meant as those of pyarrow.csv: delimiter, quote_char, escape_char,
// double_quote, newlines_in_values, ignore_empty_lines; column_names, autogenerate_column_names,
// skip_rows, skip_rows_after_names, block_size (bytes); null_values, true_values, false_values,
// strings_can_be_null, quoted_strings_can_be_null, check_utf8, decimal_point, include_columns,
// include_missing_columns, auto_dict_encode, timestamp_parsers (strptime formats or "ISO8601").
// A quote_char, or escape_char, of False or "" turns quoting, or escaping, off. And compression,
// see data/read/files.h.

namespace headrace {

namespace csv = arrow::csv;

namespace {

constexpr std::int64_t kCsvBlockBytes = 4 << 20;

// One-character options: unset keeps the default, False or "" turns the feature off.
Status SetCharacter(const OptionMap& options, const char* name, char* character, bool* enabled) {
  if (!HasOption(options, name)) return Status::OK();
  const std::string value = GetString(options, name, "");
  if (value.size() > 1) {
    return Status::Invalid("CSV option ", name, " must be one character, not '", value, "'");
  }
  *enabled = !value.empty();
  if (*enabled) *character = value.front();
  return Status::OK();
}

Result<csv::ParseOptions> MakeParseOptions(const OptionMap& options) {
  auto parse = csv::ParseOptions::Defaults();
  bool has_delimiter = true;
  ARROW_RETURN_NOT_OK(SetCharacter(options, "delimiter", &parse.delimiter, &has_delimiter));
  if (!has_delimiter) return Status::Invalid("CSV option delimiter must not be empty");
  ARROW_RETURN_NOT_OK(SetCharacter(options, "quote_char", &parse.quote_char, &parse.quoting));
  ARROW_RETURN_NOT_OK(SetCharacter(options, "escape_char", &parse.escape_char, &parse.escaping));
  parse.double_quote = GetBool(options, "double_quote", parse.double_quote);
  parse.newlines_in_values = GetBool(options, "newlines_in_values", parse.newlines_in_values);
  parse.ignore_empty_lines = GetBool(options, "ignore_empty_lines", parse.ignore_empty_lines);
  return parse;
}

csv::ReadOptions MakeReadOptions(const OptionMap& options) {
  auto read = csv::ReadOptions::Defaults();
  read.use_threads = false;
  const std::int64_t block = GetInt(options, "block_size", kCsvBlockBytes);
  read.block_size = static_cast<std::int32_t>(
      std::clamp<std::int64_t>(block, 1, std::numeric_limits<std::int32_t>::max()));
  read.skip_rows = static_cast<std::int32_t>(GetInt(options, "skip_rows", 0));
  read.skip_rows_after_names =
      static_cast<std::int32_t>(GetInt(options, "skip_rows_after_names", 0));
  read.column_names = GetStrings(options, "column_names");
  read.autogenerate_column_names = GetBool(options, "autogenerate_column_names", false);
  return read;
}

csv::ConvertOptions MakeConvertOptions(const ReadStep& step, const ReadUnit& unit) {
  const OptionMap& options = step.source->options;
  auto convert = csv::ConvertOptions::Defaults();
  if (HasOption(options, "null_values")) convert.null_values = GetStrings(options, "null_values");
  if (HasOption(options, "true_values")) convert.true_values = GetStrings(options, "true_values");
  if (HasOption(options, "false_values")) {
    convert.false_values = GetStrings(options, "false_values");
  }
  convert.strings_can_be_null = GetBool(options, "strings_can_be_null", false);
  convert.quoted_strings_can_be_null = GetBool(options, "quoted_strings_can_be_null", true);
  convert.check_utf8 = GetBool(options, "check_utf8", true);
  convert.auto_dict_encode = GetBool(options, "auto_dict_encode", false);
  if (const auto point = GetString(options, "decimal_point", "."); !point.empty()) {
    convert.decimal_point = point.front();
  }
  convert.include_columns = GetStrings(options, "include_columns");
  convert.include_missing_columns = GetBool(options, "include_missing_columns", false);
  for (const std::string& format : GetStrings(options, "timestamp_parsers")) {
    convert.timestamp_parsers.push_back(format == "ISO8601"
                                            ? arrow::TimestampParser::MakeISO8601()
                                            : arrow::TimestampParser::MakeStrptime(format));
  }
  if (step.source->schema) {
    for (const auto& field : step.source->schema->fields()) {
      convert.column_types[field->name()] = field->type();
    }
  }
  // Columns that are not needed are not converted. Those of the path are not in the file.
  if (const auto needed = NeededColumns(step)) {
    std::set<std::string> from_path;
    if (GetBool(options, "include_paths", false)) from_path.insert(kPathColumn);
    for (const auto& [name, value] : unit.partition) from_path.insert(name);
    std::vector<std::string> columns;
    std::copy_if(needed->begin(), needed->end(), std::back_inserter(columns),
                 [&](const std::string& name) { return !from_path.contains(name); });
    if (!columns.empty()) convert.include_columns = std::move(columns);
  }
  return convert;
}

class CsvStream : public BatchStream {
 public:
  explicit CsvStream(std::shared_ptr<csv::StreamingReader> reader) : reader_(std::move(reader)) {}

  Result<std::optional<Batch>> Next() override {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader_->ReadNext(&batch));
    if (!batch) {
      if (yielded_) return std::nullopt;
      ARROW_ASSIGN_OR_RAISE(batch, arrow::RecordBatch::MakeEmpty(reader_->schema()));
    }
    yielded_ = true;
    ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(batch->schema(), {batch}));
    return Batch{Block(std::move(table), -1), {}, nullptr};
  }

 private:
  const std::shared_ptr<csv::StreamingReader> reader_;
  bool yielded_ = false;
};

class CsvReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    ARROW_ASSIGN_OR_RAISE(auto parse, MakeParseOptions(step.source->options));
    ARROW_ASSIGN_OR_RAISE(auto input, OpenStream(*step.source, unit.path, context));
    const arrow::io::IOContext io(context.pool ? context.pool : arrow::default_memory_pool());
    ARROW_ASSIGN_OR_RAISE(
        auto reader,
        csv::StreamingReader::Make(io, std::move(input), MakeReadOptions(step.source->options),
                                   parse, MakeConvertOptions(step, unit)));
    return std::make_unique<CsvStream>(std::move(reader));
  }
};

}  // namespace

const Reader& CsvReader() {
  static const CsvReaderImpl reader;
  return reader;
}

}  // namespace headrace
