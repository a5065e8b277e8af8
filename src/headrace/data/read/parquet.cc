#include <arrow/io/interfaces.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <algorithm>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/footer_cache.h"
#include "headrace/data/read/options.h"
#include "headrace/data/read/read_stream.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/read/row_groups.h"
#include "headrace/data/transform/codes.h"

// Parquet. A unit is a range of row groups of one file.
//
// Options: batch_size (rows a batch; default: about kParquetBatchBytes), pre_buffer (read whole
// column ranges ahead on the I/O pool; default: for remote file systems).

namespace headrace {

namespace {

constexpr std::int64_t kParquetBatchBytes = 2 << 20;

void CollectLeaves(const parquet::arrow::SchemaField& field, std::vector<int>* leaves) {
  if (field.is_leaf()) leaves->push_back(field.column_index);
  for (const auto& child : field.children) CollectLeaves(child, leaves);
}

// Decodes one row group after another; a group's memory goes when the next one starts.
class ParquetStream : public BatchStream {
 public:
  ParquetStream(std::unique_ptr<parquet::arrow::FileReader> reader, std::vector<int> groups,
                std::optional<std::vector<int>> leaves)
      : reader_(std::move(reader)), groups_(std::move(groups)), leaves_(std::move(leaves)) {}

  Result<std::optional<Batch>> Next() override {
    while (true) {
      if (next_group_ == groups_.size() && !batches_) return std::nullopt;
      if (!batches_) {
        const int group = groups_[next_group_++];
        row_ = FirstRow(group);
        if (leaves_ && leaves_->empty()) return CountRows(group);
        ARROW_ASSIGN_OR_RAISE(batches_, leaves_ ? reader_->GetRecordBatchReader({group}, *leaves_)
                                                : reader_->GetRecordBatchReader({group}));
      }
      std::shared_ptr<arrow::RecordBatch> batch;
      ARROW_RETURN_NOT_OK(batches_->ReadNext(&batch));
      if (!batch) {
        batches_.reset();
        continue;
      }
      ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches(batch->schema(), {batch}));
      return Label(std::move(table));
    }
  }

 private:
  std::int64_t FirstRow(int group) const {
    std::int64_t row = 0;
    const auto& metadata = *reader_->parquet_reader()->metadata();
    for (int i = 0; i < group; ++i) row += metadata.RowGroup(i)->num_rows();
    return row;
  }

  Batch CountRows(int group) {
    return Label(
        arrow::Table::Make(arrow::schema(arrow::FieldVector{}), arrow::ChunkedArrayVector{},
                           reader_->parquet_reader()->metadata()->RowGroup(group)->num_rows()));
  }

  Batch Label(std::shared_ptr<arrow::Table> table) {
    Batch batch;
    batch.origin.first_row = row_;
    row_ += table->num_rows();
    batch.origin.end_row = row_;
    batch.block = Block(std::move(table), -1);
    return batch;
  }

  const std::unique_ptr<parquet::arrow::FileReader> reader_;
  const std::vector<int> groups_;
  const std::optional<std::vector<int>> leaves_;  // Unset: all. Empty: row counts only.
  std::size_t next_group_ = 0;
  std::shared_ptr<arrow::RecordBatchReader> batches_;
  std::int64_t row_ = 0;
};

std::int64_t BatchRows(const ReadStep& step, const parquet::FileMetaData& metadata, int begin,
                       int end) {
  std::int64_t rows = GetInt(step.source->options, "batch_size", 0);
  if (rows <= 0) {
    std::int64_t bytes = 0;
    std::int64_t total = 0;
    for (int i = begin; i < end; ++i) {
      bytes += metadata.RowGroup(i)->total_byte_size();
      total += metadata.RowGroup(i)->num_rows();
    }
    const std::int64_t row_bytes =
        std::max<std::int64_t>(8, bytes / std::max<std::int64_t>(1, total));
    rows = std::clamp<std::int64_t>(kParquetBatchBytes / row_bytes, 16, 256 << 10);
  }
  if (step.row_limit > 0 && !step.filter) rows = std::min(rows, step.row_limit);
  return rows;
}

class ParquetReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    const bool remote = !IsLocal(step.source->file_system);
    ARROW_ASSIGN_OR_RAISE(auto file, OpenFile(step.source->file_system, unit.path, context));
    arrow::MemoryPool* pool = context.pool ? context.pool : arrow::default_memory_pool();
    parquet::ArrowReaderProperties properties(/*use_threads=*/false);
    properties.set_pre_buffer(GetBool(step.source->options, "pre_buffer", remote));
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(OpenParquet(std::move(file), parquet::ReaderProperties(pool), &builder));
    const auto metadata = builder.raw_reader()->metadata();
    const int all = metadata->num_row_groups();
    const int begin = static_cast<int>(std::clamp<std::int64_t>(unit.begin, 0, all));
    const int end =
        unit.end < 0 ? all : static_cast<int>(std::clamp<std::int64_t>(unit.end, begin, all));
    ARROW_ASSIGN_OR_RAISE(const auto plain, PlainSchema(*metadata, properties));
    ARROW_ASSIGN_OR_RAISE(const auto coded,
                          FindCodedLeaves(*metadata, begin, end, *step.source, *plain));
    for (const int leaf : coded) properties.set_read_dictionary(leaf, true);
    builder.memory_pool(pool)->properties(properties);
    ARROW_ASSIGN_OR_RAISE(auto reader, builder.Build());
    ARROW_ASSIGN_OR_RAISE(
        auto groups, PruneRowGroups(reader.get(), plain, begin, end, step.filter, unit.partition,
                                    step.source->partition_schema));
    reader->set_batch_size(BatchRows(step, *metadata, begin, end));
    ARROW_ASSIGN_OR_RAISE(auto leaves, LeavesOf(step, reader.get()));
    return std::make_unique<ParquetStream>(std::move(reader), std::move(groups), std::move(leaves));
  }

 private:
  // The file's schema, before text is asked for as codes.
  static Result<std::shared_ptr<arrow::Schema>> PlainSchema(
      const parquet::FileMetaData& metadata, const parquet::ArrowReaderProperties& properties) {
    std::shared_ptr<arrow::Schema> schema;
    ARROW_RETURN_NOT_OK(parquet::arrow::FromParquetSchema(metadata.schema(), properties,
                                                          metadata.key_value_metadata(), &schema));
    return schema;
  }

  // The leaves to read as codes: text in the file as in the data set.
  static Result<std::vector<int>> FindCodedLeaves(const parquet::FileMetaData& metadata, int begin,
                                                  int end, const ReadSource& source,
                                                  const arrow::Schema& plain) {
    ARROW_ASSIGN_OR_RAISE(auto leaves, CodedLeaves(metadata, begin, end));
    std::erase_if(leaves, [&](int leaf) {
      const std::string& name = metadata.schema()->Column(leaf)->name();
      const auto field = plain.GetFieldByName(name);
      const auto wanted = source.schema ? source.schema->GetFieldByName(name) : nullptr;
      return !field || !wanted || !IsText(*field->type()) || !field->type()->Equals(wanted->type());
    });
    return leaves;
  }

  // The columns to decode. Asked columns that the file does not have come from its path, or are
  // null or an error: the caller knows.
  static Result<std::optional<std::vector<int>>> LeavesOf(const ReadStep& step,
                                                          parquet::arrow::FileReader* reader) {
    const auto needed = NeededColumns(step);
    if (!needed) return std::nullopt;
    std::vector<int> leaves;
    for (const auto& field : reader->manifest().schema_fields) {
      const bool asked =
          std::find(needed->begin(), needed->end(), field.field->name()) != needed->end();
      if (asked) CollectLeaves(field, &leaves);
    }
    return leaves;
  }
};

}  // namespace

const Reader& ParquetReader() {
  static const ParquetReaderImpl reader;
  return reader;
}

}  // namespace headrace
