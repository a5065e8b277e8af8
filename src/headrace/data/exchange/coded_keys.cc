#include "headrace/data/exchange/coded_keys.h"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/type.h>

#include <vector>

#include "headrace/data/exchange/gather.h"
#include "headrace/data/transform/codes.h"

namespace headrace {

namespace {

constexpr std::int64_t kCombinations = 16 << 10;  // Their groups stay in the cache.

// Replaces each row's combination by its group, which is found for the first row that has it.
Status FindGroups(const arrow::ArrayVector& keys, const arrow::DataTypeVector& types,
                  std::int64_t rows, std::int64_t combinations, GroupTable* table,
                  std::uint32_t* ids, arrow::MemoryPool* pool) {
  std::vector<std::uint32_t> groups(static_cast<std::size_t>(combinations), GroupTable::kNoGroup);
  std::vector<std::uint32_t> firsts;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::uint32_t& group = groups[ids[i]];
    if (group != GroupTable::kNoGroup) continue;
    group = 0;
    firsts.push_back(static_cast<std::uint32_t>(i));
  }
  arrow::ArrayVector few;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(
        auto codes, GatherColumn(std::make_shared<arrow::ChunkedArray>(keys[i]), firsts, pool));
    ARROW_ASSIGN_OR_RAISE(auto text, DecodeText(codes, *types[i], pool));
    few.push_back(text->chunk(0));
  }
  std::vector<std::uint32_t> found(firsts.size());
  ARROW_RETURN_NOT_OK(table->Add(few, static_cast<std::int64_t>(firsts.size()), found.data()));
  for (std::size_t i = 0; i < firsts.size(); ++i) groups[ids[firsts[i]]] = found[i];
  for (std::int64_t i = 0; i < rows; ++i) ids[i] = groups[ids[i]];
  return Status::OK();
}

}  // namespace

Result<bool> AddCodedKeys(const arrow::ArrayVector& keys, const arrow::DataTypeVector& types,
                          std::int64_t rows, GroupTable* table, std::uint32_t* ids,
                          arrow::MemoryPool* pool) {
  std::int64_t combinations = 1;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!IsCoded(*keys[i]->type(), *types[i])) return false;
    const auto& array = static_cast<const arrow::DictionaryArray&>(*keys[i]);
    if (array.dictionary()->null_count() > 0) return false;
    combinations *= array.dictionary()->length() + 1;
    if (combinations > kCombinations) return false;
  }
  if (rows == 0) return false;
  bool is_first = true;
  for (const auto& key : keys) {
    const auto& array = static_cast<const arrow::DictionaryArray&>(*key);
    const auto size = static_cast<std::uint32_t>(array.dictionary()->length() + 1);
    ARROW_ASSIGN_OR_RAISE(const auto codes, CodesOf(array, pool));
    const auto* code = codes->data()->GetValues<std::uint32_t>(1);
    for (std::int64_t i = 0; i < rows; ++i) ids[i] = (is_first ? 0 : ids[i] * size) + code[i];
    is_first = false;
  }
  ARROW_RETURN_NOT_OK(FindGroups(keys, types, rows, combinations, table, ids, pool));
  return true;
}

}  // namespace headrace
