#include "headrace/data/consume/partition.h"

#include <arrow/array.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "headrace/data/transform/evaluate.h"

namespace headrace {

namespace {

// The directory parts of one key column: for each row, "name=value".
Status AppendParts(const std::string& name, const std::shared_ptr<arrow::ChunkedArray>& column,
                   std::vector<std::string>* directories) {
  auto cast = arrow::compute::Cast(column, arrow::utf8());
  if (!cast.ok()) {
    return cast.status().WithMessage("partition column '", name, "' of type ",
                                     column->type()->ToString(), " has no text form");
  }
  const auto text = cast->chunked_array();
  const std::string prefix = EscapeSegment(name) + "=";
  std::size_t row = 0;
  for (const auto& chunk : text->chunks()) {
    const auto& strings = static_cast<const arrow::StringArray&>(*chunk);
    for (std::int64_t i = 0; i < strings.length(); ++i, ++row) {
      std::string& directory = (*directories)[row];
      if (!directory.empty()) directory += '/';
      directory += prefix + (strings.IsNull(i) ? "__HIVE_DEFAULT_PARTITION__"
                                               : EscapeSegment(std::string(strings.GetView(i))));
    }
  }
  return Status::OK();
}

}  // namespace

Result<std::map<std::string, std::shared_ptr<arrow::Table>>> SplitByPartition(
    const std::shared_ptr<arrow::Table>& table, const std::vector<std::string>& columns,
    arrow::MemoryPool* pool) {
  std::vector<std::string> directories(static_cast<std::size_t>(table->num_rows()));
  std::vector<int> rest;
  for (int i = 0; i < table->num_columns(); ++i) {
    const std::string& name = table->schema()->field(i)->name();
    if (std::find(columns.begin(), columns.end(), name) == columns.end()) rest.push_back(i);
  }
  for (const std::string& name : columns) {
    const auto column = table->GetColumnByName(name);
    if (!column) return UnknownColumn(name, *table->schema());
    ARROW_RETURN_NOT_OK(AppendParts(name, column, &directories));
  }
  if (rest.empty()) {
    return Status::Invalid("all columns are partition columns: none is left for the files");
  }
  std::map<std::string, std::vector<std::int64_t>> rows;
  for (std::size_t row = 0; row < directories.size(); ++row) {
    rows[directories[row]].push_back(static_cast<std::int64_t>(row));
  }
  ARROW_ASSIGN_OR_RAISE(auto values, table->SelectColumns(rest));
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  std::map<std::string, std::shared_ptr<arrow::Table>> parts;
  for (const auto& [directory, indices] : rows) {
    arrow::Int64Builder builder(pool);
    ARROW_RETURN_NOT_OK(builder.AppendValues(indices));
    ARROW_ASSIGN_OR_RAISE(auto array, builder.Finish());
    ARROW_ASSIGN_OR_RAISE(
        arrow::Datum taken,
        arrow::compute::Take(arrow::Datum(values), arrow::Datum(array),
                             arrow::compute::TakeOptions::NoBoundsCheck(), &context));
    parts.emplace(directory, taken.table());
  }
  return parts;
}

std::string EscapeSegment(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || std::string_view("-_.~").find(c) != std::string_view::npos) {
      escaped += c;
    } else {
      escaped += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return escaped;
}

std::string UnescapeSegment(const std::string& text) {
  const auto hex = [](char c) {
    return std::isdigit(static_cast<unsigned char>(c)) ? c - '0' : (c | 32) - 'a' + 10;
  };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 2]));
    if (escape) {
      plain += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace headrace
