#include "headrace/data/exchange/key_column.h"

#include <arrow/array.h>
#include <arrow/array/array_dict.h>
#include <arrow/array/concatenate.h>
#include <arrow/chunked_array.h>
#include <arrow/extension_type.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <cstdint>

#include "headrace/data/exchange/gather.h"
#include "headrace/data/transform/evaluate.h"

namespace headrace {

namespace {

// Returns the values that the codes stand for, null where a code or its value is.
Result<std::shared_ptr<arrow::Array>> Decode(const arrow::DictionaryArray& array,
                                             arrow::MemoryPool* pool) {
  std::vector<std::uint32_t> rows(static_cast<std::size_t>(array.length()), kNoRow);
  for (std::int64_t i = 0; i < array.length(); ++i) {
    if (array.IsNull(i)) continue;
    rows[static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(array.GetValueIndex(i));
  }
  ARROW_ASSIGN_OR_RAISE(
      auto values, GatherColumn(std::make_shared<arrow::ChunkedArray>(array.dictionary()), rows,
                                pool, array.null_count() > 0));
  if (values->num_chunks() == 1) return values->chunk(0);
  if (pool == nullptr) pool = arrow::default_memory_pool();
  return arrow::Concatenate(values->chunks(), pool);
}

}  // namespace

Result<int> FindKeyColumn(const arrow::Schema& schema, const std::string& name) {
  const std::vector<int> found = schema.GetAllFieldIndices(name);
  if (found.size() == 1) return found.front();
  if (found.size() > 1) return Status::Invalid("the key '", name, "' names several columns");
  return UnknownColumn(name, schema);
}

Result<std::shared_ptr<arrow::Array>> PlainArray(const std::shared_ptr<arrow::Array>& array,
                                                 arrow::MemoryPool* pool) {
  if (array->type_id() == arrow::Type::EXTENSION) {
    return PlainArray(static_cast<const arrow::ExtensionArray&>(*array).storage(), pool);
  }
  if (array->type_id() == arrow::Type::DICTIONARY) {
    ARROW_ASSIGN_OR_RAISE(auto values,
                          Decode(static_cast<const arrow::DictionaryArray&>(*array), pool));
    return PlainArray(values, pool);
  }
  return array;
}

std::int64_t UnitOf(const arrow::DataType& type) {
  const auto nanos = [](arrow::TimeUnit::type unit) -> std::int64_t {
    switch (unit) {
      case arrow::TimeUnit::SECOND:
        return 1'000'000'000;
      case arrow::TimeUnit::MILLI:
        return 1'000'000;
      case arrow::TimeUnit::MICRO:
        return 1'000;
      case arrow::TimeUnit::NANO:
        break;
    }
    return 1;
  };
  switch (type.id()) {
    case arrow::Type::DATE32:
      return 86'400'000'000'000;
    case arrow::Type::DATE64:
      return 1'000'000;
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
      return nanos(static_cast<const arrow::TimeType&>(type).unit());
    case arrow::Type::TIMESTAMP:
      return nanos(static_cast<const arrow::TimestampType&>(type).unit());
    case arrow::Type::DURATION:
      return nanos(static_cast<const arrow::DurationType&>(type).unit());
    default:
      return 1;
  }
}

Result<std::vector<std::shared_ptr<arrow::Array>>> PlainChunks(const arrow::ChunkedArray& column,
                                                               arrow::MemoryPool* pool) {
  std::vector<std::shared_ptr<arrow::Array>> chunks;
  for (const auto& chunk : column.chunks()) {
    ARROW_ASSIGN_OR_RAISE(auto plain, PlainArray(chunk, pool));
    chunks.push_back(std::move(plain));
  }
  return chunks;
}

}  // namespace headrace
