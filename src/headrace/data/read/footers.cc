#include "headrace/data/read/footers.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>
#include <arrow/type.h>
#include <arrow/util/future.h>
#include <arrow/util/thread_pool.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <utility>

#include "headrace/data/read/footer_cache.h"

namespace headrace {

namespace {

// Strings that were written as views become plain ones: Arrow has hardly a function for views.
std::shared_ptr<arrow::Schema> PlainStrings(const arrow::Schema& schema) {
  arrow::FieldVector fields = schema.fields();
  for (auto& field : fields) {
    const auto type = field->type()->id();
    if (type == arrow::Type::STRING_VIEW) field = field->WithType(arrow::utf8());
    if (type == arrow::Type::BINARY_VIEW) field = field->WithType(arrow::binary());
  }
  return arrow::schema(std::move(fields), schema.metadata());
}

Result<ParquetFooter> ParseFooter(const std::shared_ptr<arrow::fs::FileSystem>& file_system,
                                  const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(auto file, file_system->OpenInputFile(path));
  parquet::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(OpenParquet(std::move(file), parquet::default_reader_properties(), &builder));
  ARROW_ASSIGN_OR_RAISE(auto reader, builder.Build());
  ParquetFooter footer;
  ARROW_RETURN_NOT_OK(reader->GetSchema(&footer.schema));
  footer.schema = PlainStrings(*footer.schema);
  BEGIN_PARQUET_CATCH_EXCEPTIONS
  const auto metadata = reader->parquet_reader()->metadata();
  for (int i = 0; i < metadata->num_row_groups(); ++i) {
    const auto group = metadata->RowGroup(i);
    footer.row_groups.push_back({group->num_rows(), group->total_byte_size()});
  }
  END_PARQUET_CATCH_EXCEPTIONS
  return footer;
}

Result<ParquetFooter> ReadFooter(const std::shared_ptr<arrow::fs::FileSystem>& file_system,
                                 const std::string& path) {
  auto footer = ParseFooter(file_system, path);
  if (footer.ok()) return footer;
  return footer.status().WithMessage("cannot read Parquet file '", path,
                                     "': ", footer.status().message());
}

}  // namespace

Result<std::vector<ParquetFooter>> ReadFooters(
    const std::shared_ptr<arrow::fs::FileSystem>& file_system,
    const std::vector<ListedFile>& files) {
  if (files.size() == 1) {
    ARROW_ASSIGN_OR_RAISE(auto footer, ReadFooter(file_system, files.front().path));
    return std::vector<ParquetFooter>{std::move(footer)};
  }
  auto* executor = arrow::io::default_io_context().executor();
  std::vector<arrow::Future<ParquetFooter>> futures;
  Status submitted;
  for (const ListedFile& file : files) {
    auto future =
        executor->Submit([file_system, path = file.path] { return ReadFooter(file_system, path); });
    submitted = future.status();
    if (!submitted.ok()) break;
    futures.push_back(*std::move(future));
  }
  std::vector<ParquetFooter> footers;
  Status status = submitted;
  for (auto& future : futures) {  // All are waited for, also after an error.
    auto footer = future.MoveResult();
    if (!footer.ok() && status.ok()) status = footer.status();
    if (footer.ok()) footers.push_back(*std::move(footer));
  }
  ARROW_RETURN_NOT_OK(status);
  return footers;
}

}  // namespace headrace
