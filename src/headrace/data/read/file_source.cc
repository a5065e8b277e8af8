#include <arrow/filesystem/filesystem.h>
#include <arrow/type.h>

#include <algorithm>
#include <set>
#include <utility>

#include "headrace/data/consume/partition.h"
#include "headrace/data/read/footers.h"
#include "headrace/data/read/listing.h"
#include "headrace/data/read/options.h"
#include "headrace/data/read/read_stream.h"
#include "headrace/data/read/source.h"

namespace headrace {

namespace {

// Of more files than this only some footers are read, evenly spread; the others' row counts stay
// unknown and their sizes are estimated.
constexpr std::size_t kFootersMax = 400;
constexpr std::size_t kFootersSampled = 64;
// A file is cut between row groups into units of about so many bytes in memory, the most if that
// gives so many units in all: few, but enough for some tasks at a time.
constexpr std::int64_t kUnitMinBytes = 1 << 20;
constexpr std::int64_t kUnitMaxBytes = 32 << 20;
constexpr std::int64_t kUnits = 16;

using PathValues = std::vector<std::pair<std::string, std::string>>;

// "base/k=1/s=a%20b/file" → {{k, 1}, {s, a b}}. The last segment is the file's name.
PathValues ParsePartition(const std::string& path, const std::string& base) {
  PathValues partition;
  std::size_t begin = 0;
  if (!base.empty() && path.starts_with(base)) begin = base.size();
  const std::size_t last = path.rfind('/');
  while (last != std::string::npos && begin < last) {
    const std::size_t end = std::min(path.find('/', begin), last);
    const std::string segment = path.substr(begin, end - begin);
    if (const std::size_t equals = segment.find('='); equals != std::string::npos && equals > 0) {
      partition.emplace_back(UnescapeSegment(segment.substr(0, equals)),
                             UnescapeSegment(segment.substr(equals + 1)));
    }
    begin = end + 1;
  }
  return partition;
}

const char* NameOf(const std::string& format) {
  if (format == "parquet") return "Parquet";
  if (format == "csv") return "CSV";
  if (format == "json") return "JSON";
  if (format == "text") return "Text";
  if (format == "numpy") return "Numpy";
  if (format == "arrow") return "Arrow";
  return "Binary";
}

class SourceBuilder {
 public:
  explicit SourceBuilder(const FileSourceOptions& options) : options_(options) {}

  Result<std::shared_ptr<const ReadSource>> Build() {
    source_->format = options_.format;
    source_->name = NameOf(options_.format);
    source_->options = options_.options;
    if (options_.include_paths) source_->options["include_paths"] = true;
    ARROW_RETURN_NOT_OK(FindReader(options_.format).status());
    ARROW_ASSIGN_OR_RAISE(listing_, ListFiles(options_));
    source_->file_system = options_.file_system;
    if (!source_->file_system.live && listing_.file_system->type_name() != "local") {
      source_->file_system.live = listing_.file_system;
    }
    source_->schema = options_.schema;
    source_->pushes_projection = options_.format == "parquet" || options_.format == "csv";
    source_->pushes_filter = options_.format == "parquet";
    ARROW_RETURN_NOT_OK(options_.format == "parquet" ? AddParquetUnits() : AddWholeFiles());
    AddPathColumns();
    return std::shared_ptr<const ReadSource>(source_);
  }

 private:
  PathValues PartitionOf(const std::string& path) const {
    if (!options_.partitioning_base) return {};
    return ParsePartition(path, *options_.partitioning_base);
  }

  Status AddWholeFiles() {
    source_->units.reserve(listing_.files.size());
    for (const ListedFile& file : listing_.files) {
      ReadUnit unit;
      unit.path = file.path;
      unit.num_bytes = file.num_bytes;
      if (options_.format == "binary") unit.num_rows = 1;
      unit.partition = PartitionOf(file.path);
      source_->units.push_back(std::move(unit));
    }
    return Status::OK();
  }

  Status AddParquetUnits() {
    const auto& files = listing_.files;
    if (files.size() <= kFootersMax) {
      ARROW_ASSIGN_OR_RAISE(auto footers, ReadFooters(listing_.file_system, files));
      std::int64_t bytes = 0;
      for (const ParquetFooter& footer : footers) bytes += BytesOf(footer);
      const std::int64_t unit_bytes = std::clamp(bytes / kUnits, kUnitMinBytes, kUnitMaxBytes);
      for (std::size_t i = 0; i < files.size(); ++i) {
        AddRowGroups(files[i], footers[i], unit_bytes);
      }
      return UnifySchemas(files, footers);
    }
    std::vector<ListedFile> sample;
    for (std::size_t i = 0; i < kFootersSampled; ++i) {
      sample.push_back(files[i * files.size() / kFootersSampled]);
    }
    ARROW_ASSIGN_OR_RAISE(auto footers, ReadFooters(listing_.file_system, sample));
    std::int64_t disk_bytes = 0;
    std::int64_t memory_bytes = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) {
      disk_bytes += std::max<std::int64_t>(sample[i].num_bytes, 0);
      memory_bytes += BytesOf(footers[i]);
    }
    const double ratio =
        disk_bytes > 0 ? static_cast<double>(memory_bytes) / static_cast<double>(disk_bytes) : 1.0;
    ARROW_RETURN_NOT_OK(AddWholeFiles());
    for (ReadUnit& unit : source_->units) {
      if (unit.num_bytes > 0) {
        unit.num_bytes = static_cast<std::int64_t>(static_cast<double>(unit.num_bytes) * ratio);
      }
    }
    return UnifySchemas(sample, footers);
  }

  static std::int64_t BytesOf(const ParquetFooter& footer) {
    std::int64_t bytes = 0;
    for (const auto& group : footer.row_groups) bytes += group.num_bytes;
    return bytes;
  }

  // Cuts one file into units of whole row groups, of nearly the same size each, as few as have
  // `unit_bytes`. A file without rows is one unit, for its schema.
  void AddRowGroups(const ListedFile& file, const ParquetFooter& footer, std::int64_t unit_bytes) {
    ReadUnit unit;
    unit.path = file.path;
    unit.partition = PartitionOf(file.path);
    const auto groups = static_cast<std::int64_t>(footer.row_groups.size());
    const std::int64_t bytes = BytesOf(footer);
    const double share = static_cast<double>(bytes) /
                         static_cast<double>(std::max<std::int64_t>(1, bytes / unit_bytes));
    std::int64_t units = 0;
    std::int64_t before = 0;  // Bytes of the groups that are in units.
    std::int64_t begin = 0;
    do {
      unit.begin = begin;
      unit.num_rows = 0;
      unit.num_bytes = 0;
      const double until = share * static_cast<double>(++units);
      std::int64_t end = begin;
      while (end < groups && (end == begin || static_cast<double>(before) < until)) {
        const auto& group = footer.row_groups[static_cast<std::size_t>(end)];
        unit.num_rows += group.num_rows;
        unit.num_bytes += group.num_bytes;
        before += group.num_bytes;
        ++end;
      }
      unit.end = end;
      source_->units.push_back(unit);
      begin = end;
    } while (begin < groups);
  }

  // One schema for all files: columns of any of them, types promoted where Arrow knows a common
  // one.
  Status UnifySchemas(const std::vector<ListedFile>& files,
                      const std::vector<ParquetFooter>& footers) {
    if (source_->schema) return Status::OK();
    std::shared_ptr<arrow::Schema> schema = footers.front().schema;
    for (std::size_t i = 1; i < footers.size(); ++i) {
      if (footers[i].schema->Equals(*schema, /*check_metadata=*/false)) continue;
      auto unified = arrow::UnifySchemas({schema, footers[i].schema},
                                         arrow::Field::MergeOptions::Permissive());
      if (!unified.ok()) {
        return unified.status().WithMessage("the schemas of '", files.front().path, "' and '",
                                            files[i].path,
                                            "' do not fit: ", unified.status().message());
      }
      schema = *std::move(unified);
    }
    source_->schema = std::move(schema);
    return Status::OK();
  }

  // Types of the partition columns, and the place of all columns of the path in the schema.
  void AddPathColumns() {
    arrow::FieldVector fields;
    std::set<std::string> seen;
    for (const ReadUnit& unit : source_->units) {
      for (const auto& [name, value] : unit.partition) {
        if (!seen.insert(name).second) continue;
        auto field =
            options_.partition_schema ? options_.partition_schema->GetFieldByName(name) : nullptr;
        fields.push_back(field ? field : arrow::field(name, arrow::utf8()));
      }
    }
    if (!fields.empty()) source_->partition_schema = arrow::schema(fields);
    if (!source_->schema) return;
    if (options_.include_paths) fields.push_back(arrow::field(kPathColumn, arrow::utf8()));
    arrow::FieldVector all = source_->schema->fields();
    for (const auto& field : fields) {
      auto same = std::find_if(all.begin(), all.end(),
                               [&](const auto& other) { return other->name() == field->name(); });
      if (same != all.end()) {
        *same = field;
      } else {
        all.push_back(field);
      }
    }
    source_->schema = arrow::schema(std::move(all), source_->schema->metadata());
  }

  const FileSourceOptions& options_;
  Listing listing_;
  std::shared_ptr<ReadSource> source_ = std::make_shared<ReadSource>();
};

}  // namespace

Result<std::shared_ptr<const ReadSource>> MakeFileSource(const FileSourceOptions& options) {
  return SourceBuilder(options).Build();
}

}  // namespace headrace
