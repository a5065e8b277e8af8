#include "headrace/data/consume/writer.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "headrace/data/consume/commit.h"
#include "headrace/data/consume/file_writer.h"
#include "headrace/data/consume/partition.h"
#include "headrace/data/read/files.h"
#include "headrace/data/read/options.h"
#include "headrace/data/transform/failure.h"

namespace headrace {

namespace {

// More open files than this are closed together; their partitions go on in new files.
constexpr std::size_t kOpenFilesMax = 256;

struct WrittenFile {
  std::string path;
  std::string temporary_path;
  std::int64_t num_rows = 0;
  std::int64_t num_bytes = 0;
};

// One file that is being written, and its writer.
struct OpenFileState {
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<arrow::io::OutputStream> sink;
  std::unique_ptr<FileWriter> writer;
  WrittenFile result;
};

std::string PositionName(const Position& position) {
  std::string name;
  for (const std::uint32_t part : position.path) {
    char text[16];
    std::snprintf(text, sizeof text, "_%06u", part);
    name += text;
  }
  return name.empty() ? "_000000" : name;
}

class WriteStream : public BatchStream {
 public:
  WriteStream(StreamPtr input, std::shared_ptr<const WriteTarget> target,
              const TaskContext& context)
      : input_(std::move(input)),
        target_(std::move(target)),
        base_name_(target_->run_id + PositionName(context.position)),
        context_(context),
        pool_(context.pool ? context.pool : arrow::default_memory_pool()),
        max_rows_(GetInt(target_->options, "max_rows_per_file", 0)),
        max_bytes_(GetInt(target_->options, "max_bytes_per_file", 0)),
        partition_columns_(GetStrings(target_->options, "partition_cols")) {}

  Result<std::optional<Batch>> Next() override {
    if (done_) return std::nullopt;
    done_ = true;
    ARROW_ASSIGN_OR_RAISE(format_, FindFileFormat(target_->format));
    ARROW_ASSIGN_OR_RAISE(file_system_, ResolveFileSystem(target_->file_system, context_));
    Origin origin;
    while (true) {
      ARROW_ASSIGN_OR_RAISE(std::optional<Batch> batch, input_->Next());
      if (!batch) break;
      origin.files = batch->origin.files;
      if (batch->block.num_rows() == 0 && !format_.keeps_empty) continue;
      const Status status = Write(batch->block.table());
      if (!status.ok()) return AddOrigin(status, FailureKind::kDataError, batch->origin);
    }
    ARROW_RETURN_NOT_OK(AddOrigin(CloseAll(), FailureKind::kDataError, Origin{}));
    return Results();
  }

 private:
  Status Write(const std::shared_ptr<arrow::Table>& table) {
    if (partition_columns_.empty()) return WriteRows("", table);
    ARROW_ASSIGN_OR_RAISE(auto parts, SplitByPartition(table, partition_columns_, pool_));
    for (const auto& [directory, rows] : parts) ARROW_RETURN_NOT_OK(WriteRows(directory, rows));
    return Status::OK();
  }

  // Writes rows of one partition, going on to a next file where the file is full or the schema
  // changes.
  Status WriteRows(const std::string& partition, const std::shared_ptr<arrow::Table>& table) {
    std::int64_t begin = 0;
    do {
      ARROW_ASSIGN_OR_RAISE(OpenFileState * file, FileFor(partition, table));
      std::int64_t rows = table->num_rows() - begin;
      if (max_rows_ > 0) rows = std::min(rows, max_rows_ - file->result.num_rows);
      const auto part = rows < table->num_rows() ? table->Slice(begin, rows) : table;
      ARROW_RETURN_NOT_OK(InFile(file->writer->Write(*part), file->result.path));
      file->result.num_rows += rows;
      begin += rows;
      ARROW_ASSIGN_OR_RAISE(const std::int64_t bytes, file->sink->Tell());
      const bool full = (max_rows_ > 0 && file->result.num_rows >= max_rows_) ||
                        (max_bytes_ > 0 && bytes >= max_bytes_);
      if (full) ARROW_RETURN_NOT_OK(Close(partition));
    } while (begin < table->num_rows());
    return Status::OK();
  }

  Result<OpenFileState*> FileFor(const std::string& partition,
                                 const std::shared_ptr<arrow::Table>& table) {
    if (auto found = open_.find(partition); found != open_.end()) {
      if (found->second.schema->Equals(*table->schema(), /*check_metadata=*/false)) {
        return &found->second;
      }
      ARROW_RETURN_NOT_OK(Close(partition));
    }
    if (open_.size() >= kOpenFilesMax) ARROW_RETURN_NOT_OK(CloseAll());
    const std::string directory = partition.empty() ? "" : partition + "/";
    const std::string name =
        directory + base_name_ + "_" + std::to_string(next_index_++) + "." + format_.extension;
    const std::string temporary = TemporaryDirectory(target_->directory, target_->temporary);
    OpenFileState file;
    file.schema = table->schema();
    file.result.path = target_->directory + "/" + name;
    file.result.temporary_path = temporary + "/" + name;
    auto made = [&]() -> Status {
      const std::string parent = temporary + (partition.empty() ? "" : "/" + partition);
      if (made_directories_.insert(parent).second) {
        ARROW_RETURN_NOT_OK(file_system_->CreateDir(parent, /*recursive=*/true));
      }
      ARROW_ASSIGN_OR_RAISE(file.sink, file_system_->OpenOutputStream(file.result.temporary_path));
      ARROW_ASSIGN_OR_RAISE(file.writer, format_.make({*target_, *table, file.sink, pool_}));
      return Status::OK();
    }();
    ARROW_RETURN_NOT_OK(InFile(made, file.result.path));
    return &open_.emplace(partition, std::move(file)).first->second;
  }

  Status Close(const std::string& partition) {
    auto node = open_.extract(partition);
    OpenFileState& file = node.mapped();
    auto close = [&]() -> Status {
      ARROW_RETURN_NOT_OK(file.writer->Finish());
      ARROW_ASSIGN_OR_RAISE(file.result.num_bytes, file.sink->Tell());
      return file.sink->Close();
    };
    ARROW_RETURN_NOT_OK(InFile(close(), file.result.path));
    written_.push_back(std::move(file.result));
    return Status::OK();
  }

  Status CloseAll() {
    while (!open_.empty()) ARROW_RETURN_NOT_OK(Close(std::string(open_.begin()->first)));
    return Status::OK();
  }

  static Status InFile(const Status& status, const std::string& path) {
    if (status.ok()) return status;
    return status.WithMessage("cannot write ", path, ": ", status.message());
  }

  Result<std::optional<Batch>> Results() {
    arrow::StringBuilder paths(pool_);
    arrow::StringBuilder temporary_paths(pool_);
    arrow::Int64Builder rows(pool_);
    arrow::Int64Builder bytes(pool_);
    for (const WrittenFile& file : written_) {
      ARROW_RETURN_NOT_OK(paths.Append(file.path));
      ARROW_RETURN_NOT_OK(temporary_paths.Append(file.temporary_path));
      ARROW_RETURN_NOT_OK(rows.Append(file.num_rows));
      ARROW_RETURN_NOT_OK(bytes.Append(file.num_bytes));
    }
    arrow::ArrayVector columns(4);
    ARROW_RETURN_NOT_OK(paths.Finish(&columns[0]));
    ARROW_RETURN_NOT_OK(temporary_paths.Finish(&columns[1]));
    ARROW_RETURN_NOT_OK(rows.Finish(&columns[2]));
    ARROW_RETURN_NOT_OK(bytes.Finish(&columns[3]));
    return Batch{Block(arrow::Table::Make(WriteResultSchema(), columns), -1), {}, nullptr};
  }

  StreamPtr input_;
  const std::shared_ptr<const WriteTarget> target_;
  const std::string base_name_;
  const TaskContext context_;
  arrow::MemoryPool* const pool_;
  const std::int64_t max_rows_;   // Of a file; 0: no limit.
  const std::int64_t max_bytes_;  // A file that has these is closed; 0: no limit.
  const std::vector<std::string> partition_columns_;
  FileFormat format_{};
  std::shared_ptr<arrow::fs::FileSystem> file_system_;
  std::set<std::string> made_directories_;
  std::map<std::string, OpenFileState> open_;  // By partition directory; "" is none.
  std::int64_t next_index_ = 0;
  std::vector<WrittenFile> written_;
  bool done_ = false;
};

}  // namespace

Result<FileFormat> FindFileFormat(const std::string& format) {
  if (format == "parquet") return FileFormat{MakeParquetWriter, "parquet"};
  if (format == "csv") return FileFormat{MakeCsvWriter, "csv"};
  if (format == "json") return FileFormat{MakeJsonWriter, "json"};
  if (format == "numpy") return FileFormat{MakeNumpyWriter, "npy"};
  if (format == "arrow") return FileFormat{MakeArrowWriter, "arrow", true};
  return Status::Invalid("no writer for format '", format,
                         "'; there are parquet, csv, json, numpy, arrow, python");
}

StreamPtr MakeWriteStream(StreamPtr input, std::shared_ptr<const WriteTarget> target,
                          const TaskContext& context, TaskStats* stats) {
  if (target->format == "python") {
    return MakeMapStream(std::move(input), target->function, context, stats);
  }
  return std::make_unique<WriteStream>(std::move(input), std::move(target), context);
}

}  // namespace headrace
