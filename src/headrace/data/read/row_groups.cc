#include "headrace/data/read/row_groups.h"

#include <arrow/array.h>
#include <arrow/compute/api.h>
#include <arrow/compute/expression.h>
#include <arrow/dataset/file_parquet.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <algorithm>
#include <optional>

namespace headrace {

namespace cp = arrow::compute;

namespace {

// Translates to Arrow's own expressions, which know how to reason about ranges. Nothing where a
// term has no such form; it then prunes nothing.
std::optional<cp::Expression> Translate(const ExprPtr& e) {
  if (const auto* column = e->As<expr::Column>()) {
    return cp::field_ref(arrow::FieldRef(column->name));
  }
  if (const auto* literal = e->As<expr::Literal>()) return cp::literal(literal->value);
  if (const auto* is_in = e->As<expr::IsIn>()) {
    auto input = Translate(is_in->input);
    if (!input) return std::nullopt;
    return cp::call("is_in", {*input}, cp::SetLookupOptions(is_in->values));
  }
  if (const auto* call = e->As<expr::Call>(); call && call->options_type.empty()) {
    std::vector<cp::Expression> arguments;
    for (const ExprPtr& argument : call->arguments) {
      auto translated = Translate(argument);
      if (!translated) return std::nullopt;
      arguments.push_back(*std::move(translated));
    }
    return cp::call(call->function, std::move(arguments));
  }
  return std::nullopt;
}

// What the statistics of one row group say about its columns, as an expression.
Result<cp::Expression> GuaranteeOf(parquet::arrow::FileReader* reader, int group,
                                   const arrow::Schema& schema,
                                   const std::vector<std::string>& columns) {
  std::vector<cp::Expression> known;
  BEGIN_PARQUET_CATCH_EXCEPTIONS
  const auto metadata = reader->parquet_reader()->metadata()->RowGroup(group);
  for (const std::string& name : columns) {
    const int index = schema.GetFieldIndex(name);
    if (index < 0) continue;
    const auto& field = reader->manifest().schema_fields[static_cast<std::size_t>(index)];
    if (!field.is_leaf()) continue;
    const auto statistics = metadata->ColumnChunk(field.column_index)->statistics();
    if (!statistics) continue;
    auto said = arrow::dataset::ParquetFileFragment::EvaluateStatisticsAsExpression(
        *schema.field(index), *statistics);
    if (said) known.push_back(*std::move(said));
  }
  END_PARQUET_CATCH_EXCEPTIONS
  return cp::and_(known);
}

// A reader that hands on codes copies the dictionary for each batch.
constexpr std::int64_t kDictionaryBytes = 64 << 10;  // Compressed.

// Returns whether all values of a column chunk are codes of a small dictionary.
bool IsCodedChunk(const parquet::ColumnChunkMetaData& chunk) {
  if (!chunk.has_dictionary_page()) return false;
  if (chunk.data_page_offset() - chunk.dictionary_page_offset() > kDictionaryBytes) return false;
  const auto& pages = chunk.encoding_stats();
  return !pages.empty() &&
         std::all_of(pages.begin(), pages.end(), [](const parquet::PageEncodingStats& page) {
           return page.page_type == parquet::PageType::DICTIONARY_PAGE ||
                  page.encoding == parquet::Encoding::RLE_DICTIONARY ||
                  page.encoding == parquet::Encoding::PLAIN_DICTIONARY;
         });
}

}  // namespace

Result<std::vector<int>> CodedLeaves(const parquet::FileMetaData& metadata, int begin, int end) {
  std::vector<int> leaves;
  BEGIN_PARQUET_CATCH_EXCEPTIONS
  for (int leaf = 0; leaf < metadata.num_columns(); ++leaf) {
    const parquet::ColumnDescriptor* column = metadata.schema()->Column(leaf);
    bool coded = begin < end && column->physical_type() == parquet::Type::BYTE_ARRAY &&
                 column->max_repetition_level() == 0 && column->path()->ToDotVector().size() == 1;
    for (int group = begin; coded && group < end; ++group) {
      coded = IsCodedChunk(*metadata.RowGroup(group)->ColumnChunk(leaf));
    }
    if (coded) leaves.push_back(leaf);
  }
  END_PARQUET_CATCH_EXCEPTIONS
  return leaves;
}

Result<std::vector<int>> PruneRowGroups(
    parquet::arrow::FileReader* reader, const std::shared_ptr<arrow::Schema>& schema, int begin,
    int end, const ExprPtr& filter,
    const std::vector<std::pair<std::string, std::string>>& partition,
    const std::shared_ptr<arrow::Schema>& partition_schema) {
  std::vector<int> groups;
  for (int group = begin; group < end; ++group) groups.push_back(group);
  if (!filter) return groups;

  std::shared_ptr<arrow::Schema> full = schema;
  std::vector<cp::Expression> constants;
  for (const auto& [name, value] : partition) {
    const auto field = partition_schema ? partition_schema->GetFieldByName(name) : nullptr;
    if (!field || value == "__HIVE_DEFAULT_PARTITION__") continue;
    ARROW_ASSIGN_OR_RAISE(auto scalar, arrow::Scalar::Parse(field->type(), value));
    constants.push_back(
        cp::equal(cp::field_ref(arrow::FieldRef(name)), cp::literal(std::move(scalar))));
    if (full->GetFieldIndex(name) >= 0) continue;
    ARROW_ASSIGN_OR_RAISE(full, full->AddField(full->num_fields(), field));
  }
  std::vector<cp::Expression> terms;
  std::vector<std::string> columns;
  for (const ExprPtr& term : SplitConjunction(filter)) {
    auto translated = Translate(term);
    if (!translated) continue;
    auto bound = translated->Bind(*full);
    if (!bound.ok()) continue;  // Say, a column that is not in this file.
    terms.push_back(*std::move(bound));
    CollectColumns(term, &columns);
  }
  if (terms.empty()) return groups;
  std::vector<int> kept;
  for (int group : groups) {
    ARROW_ASSIGN_OR_RAISE(cp::Expression guarantee, GuaranteeOf(reader, group, *schema, columns));
    std::vector<cp::Expression> all = constants;
    all.push_back(std::move(guarantee));
    const cp::Expression known = cp::and_(all);
    const bool possible = std::all_of(terms.begin(), terms.end(), [&](const cp::Expression& term) {
      const auto simplified = cp::SimplifyWithGuarantee(term, known);
      return !simplified.ok() || simplified->IsSatisfiable();
    });
    if (possible) kept.push_back(group);
  }
  return kept;
}

}  // namespace headrace
