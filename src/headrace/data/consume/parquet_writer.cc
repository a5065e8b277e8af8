#include <arrow/array.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/io/interfaces.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/compression.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "headrace/block/block.h"
#include "headrace/data/consume/file_writer.h"
#include "headrace/data/read/options.h"

// Parquet, streamed row group by row group.
//
// Options, named and meant as those of pyarrow.parquet.write_table: compression (default "snappy"),
// compression_level, row_group_size (rows; default 1 Mi, and no group over kGroupBytes),
// use_dictionary (bool or columns; default: by a sample of each column), write_statistics (bool or
// columns), data_page_size (bytes), version ("1.0", "2.4", "2.6"), coerce_timestamps ("ms", "us"),
// allow_truncated_timestamps, use_deprecated_int96_timestamps, store_schema.

namespace headrace {

namespace {

constexpr std::int64_t kRowGroupRows = 1 << 20;
constexpr std::int64_t kGroupBytes = 128 << 20;  // Of rows in memory, before encoding.
constexpr std::int64_t kGatherBytes = 64 << 20;
constexpr std::int64_t kGatherMinBytes = 64 << 10;
constexpr std::int64_t kSampleRows = 4096;

// Dictionary encoding of a column with mostly different values doubles the time to write it and
// saves nothing.
bool RepeatsInSample(const arrow::ChunkedArray& column) {
  const auto sample = column.Slice(0, std::min<std::int64_t>(column.length(), kSampleRows));
  const std::int64_t values = sample->length() - sample->null_count();
  if (values < 64) return true;
  auto distinct = arrow::compute::CallFunction("count_distinct", {arrow::Datum(sample)});
  if (!distinct.ok()) return true;
  return distinct->scalar_as<arrow::Int64Scalar>().value * 2 < values;
}

std::int64_t GroupRows(const OptionMap& options) {
  return std::max<std::int64_t>(1, GetInt(options, "row_group_size", kRowGroupRows));
}

// Sets a property for all columns (true, false) or for the named ones.
template <class On, class Off>
void SetForColumns(const OptionMap& options, const char* name, const arrow::Schema& schema, On on,
                   Off off) {
  const auto columns = GetStrings(options, name);
  const bool all = columns.empty() && GetBool(options, name, true);
  for (const auto& field : schema.fields()) {
    const bool named = std::find(columns.begin(), columns.end(), field->name()) != columns.end();
    all || named ? on(field->name()) : off(field->name());
  }
}

Result<std::shared_ptr<parquet::WriterProperties>> MakeProperties(const FileWriterArgs& args) {
  const OptionMap& options = args.target.options;
  const arrow::Schema& schema = *args.first.schema();
  parquet::WriterProperties::Builder builder;
  builder.memory_pool(args.pool);
  std::string codec = GetString(options, "compression", "snappy");
  std::transform(codec.begin(), codec.end(), codec.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (codec == "none" || codec == "uncompressed") {
    builder.compression(arrow::Compression::UNCOMPRESSED);
  } else {
    ARROW_ASSIGN_OR_RAISE(auto type, arrow::util::Codec::GetCompressionType(codec));
    builder.compression(type);
  }
  if (HasOption(options, "compression_level")) {
    builder.compression_level(static_cast<int>(GetInt(options, "compression_level", 0)));
  }
  builder.max_row_group_length(GroupRows(options));
  if (HasOption(options, "data_page_size")) {
    builder.data_pagesize(GetInt(options, "data_page_size", 1 << 20));
  }
  const std::string version = GetString(options, "version", "2.6");
  builder.version(version == "1.0"   ? parquet::ParquetVersion::PARQUET_1_0
                  : version == "2.4" ? parquet::ParquetVersion::PARQUET_2_4
                                     : parquet::ParquetVersion::PARQUET_2_6);
  if (HasOption(options, "use_dictionary")) {
    builder.disable_dictionary();
    SetForColumns(
        options, "use_dictionary", schema,
        [&](const std::string& name) { builder.enable_dictionary(name); },
        [&](const std::string& name) { builder.disable_dictionary(name); });
    if (GetBool(options, "use_dictionary", false)) builder.enable_dictionary();
  } else {
    for (int i = 0; i < schema.num_fields(); ++i) {
      if (!RepeatsInSample(*args.first.column(i))) {
        builder.disable_dictionary(schema.field(i)->name());
      }
    }
  }
  if (HasOption(options, "write_statistics")) {
    SetForColumns(
        options, "write_statistics", schema,
        [&](const std::string& name) { builder.enable_statistics(name); },
        [&](const std::string& name) { builder.disable_statistics(name); });
  }
  return builder.build();
}

Result<std::shared_ptr<parquet::ArrowWriterProperties>> MakeArrowProperties(
    const OptionMap& options) {
  parquet::ArrowWriterProperties::Builder builder;
  builder.set_use_threads(false);
  if (GetBool(options, "store_schema", true)) builder.store_schema();
  const std::string unit = GetString(options, "coerce_timestamps", "");
  if (unit == "ms") {
    builder.coerce_timestamps(arrow::TimeUnit::MILLI);
  } else if (unit == "us") {
    builder.coerce_timestamps(arrow::TimeUnit::MICRO);
  } else if (!unit.empty()) {
    return Status::Invalid("coerce_timestamps is '", unit, "'; it can be 'ms' or 'us'");
  }
  if (GetBool(options, "allow_truncated_timestamps", false)) builder.allow_truncated_timestamps();
  if (GetBool(options, "use_deprecated_int96_timestamps", false)) {
    builder.enable_deprecated_int96_timestamps();
  }
  return builder.build();
}

// What the package notes of a table in memory ("headrace.pandas") is nobody's business in a file.
std::shared_ptr<arrow::Schema> WithoutOwnMetadata(const arrow::Schema& schema) {
  std::vector<std::string> keys, values;
  if (schema.metadata()) {
    for (std::int64_t i = 0; i < schema.metadata()->size(); ++i) {
      if (schema.metadata()->key(i).starts_with("headrace.")) continue;
      keys.push_back(schema.metadata()->key(i));
      values.push_back(schema.metadata()->value(i));
    }
  }
  return arrow::schema(schema.fields(),
                       keys.empty() ? nullptr : arrow::key_value_metadata(keys, values));
}

// Gathers the rows of a group and writes it column by column, so that pages go out as they are
// made: a fifth less work than to take batches, which keeps the pages of all columns in buffers
// that grow. Where that would hold too much or too many pieces, the rest of the file is taken by
// batches.
class ParquetWriter : public FileWriter {
 public:
  ParquetWriter(std::unique_ptr<parquet::arrow::FileWriter> writer, std::int64_t group_rows,
                bool gathers)
      : writer_(std::move(writer)), group_rows_(group_rows), gathers_(gathers) {}

  Status Write(const arrow::Table& table) override {
    const std::int64_t bytes = MeasureBytes(table);
    if (gathers_ && !MayGather(table, bytes)) ARROW_RETURN_NOT_OK(StopGathering());
    if (!gathers_) return WriteBatches(table, bytes);
    gathered_.push_back(table.Slice(0));
    rows_ += table.num_rows();
    bytes_ += bytes;
    if (rows_ >= group_rows_) return WriteGathered(rows_ / group_rows_ * group_rows_);
    return bytes_ >= kGatherBytes ? StopGathering() : Status::OK();
  }

  Status Finish() override {
    if (rows_ > 0) ARROW_RETURN_NOT_OK(WriteGathered(rows_));
    return writer_->Close();
  }

 private:
  // Tiny pieces would be many, and slices hold the whole that they are of.
  static bool MayGather(const arrow::Table& table, std::int64_t bytes) {
    return table.num_columns() > 0 && bytes >= kGatherMinBytes &&
           arrow::util::TotalBufferSize(table) <= 4 * bytes;
  }

  // Writes the first `rows` rows in groups.
  Status WriteGathered(std::int64_t rows) {
    ARROW_ASSIGN_OR_RAISE(const auto table, arrow::ConcatenateTables(std::exchange(gathered_, {})));
    ARROW_RETURN_NOT_OK(writer_->WriteTable(*table->Slice(0, rows), group_rows_));
    rows_ -= rows;
    if (rows_ > 0) gathered_.push_back(table->Slice(rows));
    bytes_ = rows_ > 0 ? MeasureBytes(*gathered_.front()) : 0;
    return Status::OK();
  }

  Status StopGathering() {
    gathers_ = false;
    rows_ = 0;
    for (const auto& table : std::exchange(gathered_, {})) {
      ARROW_RETURN_NOT_OK(WriteBatches(*table, MeasureBytes(*table)));
    }
    return Status::OK();
  }

  Status WriteBatches(const arrow::Table& table, std::int64_t bytes) {
    if (group_bytes_ >= kGroupBytes) {
      ARROW_RETURN_NOT_OK(writer_->NewBufferedRowGroup());
      group_bytes_ = 0;
    }
    group_bytes_ += bytes;
    arrow::TableBatchReader reader(table);
    std::shared_ptr<arrow::RecordBatch> batch;
    while (true) {
      ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
      if (!batch) return Status::OK();
      ARROW_RETURN_NOT_OK(writer_->WriteRecordBatch(*batch));
    }
  }

  const std::unique_ptr<parquet::arrow::FileWriter> writer_;
  const std::int64_t group_rows_;
  bool gathers_;
  std::vector<std::shared_ptr<arrow::Table>> gathered_;  // Not written yet:
  std::int64_t rows_ = 0;                                // so many rows,
  std::int64_t bytes_ = 0;                               // and bytes.
  std::int64_t group_bytes_ = 0;                         // In the open row group of batches.
};

}  // namespace

Result<std::unique_ptr<FileWriter>> MakeParquetWriter(const FileWriterArgs& args) {
  ARROW_ASSIGN_OR_RAISE(auto properties, MakeProperties(args));
  ARROW_ASSIGN_OR_RAISE(auto arrow_properties, MakeArrowProperties(args.target.options));
  const auto schema = WithoutOwnMetadata(*args.first.schema());
  ARROW_ASSIGN_OR_RAISE(auto writer, parquet::arrow::FileWriter::Open(*schema, args.pool, args.sink,
                                                                      std::move(properties),
                                                                      std::move(arrow_properties)));
  // Many files are open at once in a write by partitions; and a value that does not fit is to be
  // found in its own batch.
  const bool gathers = GetStrings(args.target.options, "partition_cols").empty() &&
                       !HasOption(args.target.options, "coerce_timestamps");
  return std::make_unique<ParquetWriter>(std::move(writer), GroupRows(args.target.options),
                                         gathers);
}

}  // namespace headrace
