#include "headrace/block/unify.h"

#include <arrow/array.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/array/concatenate.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/chunked_array.h>
#include <arrow/compute/api_vector.h>
#include <arrow/compute/cast.h>
#include <arrow/compute/exec.h>
#include <arrow/datum.h>
#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "headrace/base/check.h"

namespace headrace {

namespace {

using ArrayPtr = std::shared_ptr<arrow::Array>;
using DataPtr = std::shared_ptr<arrow::ArrayData>;
using TypePtr = std::shared_ptr<arrow::DataType>;

arrow::MemoryPool* PoolOr(arrow::MemoryPool* pool) {
  return pool ? pool : arrow::default_memory_pool();
}

arrow::compute::ExecContext OneThread(arrow::MemoryPool* pool) {
  arrow::compute::ExecContext context(pool);
  context.set_use_threads(false);
  return context;
}

Result<ArrayPtr> Cast(const ArrayPtr& array, const TypePtr& type, arrow::MemoryPool* pool) {
  auto context = OneThread(pool);
  return arrow::compute::Cast(*array, type, arrow::compute::CastOptions::Safe(), &context);
}

// ---- Dictionaries.

// Returns the values that the codes stand for, null where a code or its value is.
Result<ArrayPtr> Decode(const arrow::DictionaryArray& array, arrow::MemoryPool* pool) {
  auto context = OneThread(pool);
  ArrayPtr values = array.dictionary();
  if (arrow::is_binary_view_like(values->type_id())) {  // Which Arrow cannot take from.
    const bool is_text = values->type_id() == arrow::Type::STRING_VIEW;
    ARROW_ASSIGN_OR_RAISE(
        values, Cast(values, is_text ? arrow::large_utf8() : arrow::large_binary(), pool));
  }
  ARROW_ASSIGN_OR_RAISE(
      values, arrow::compute::Take(*values, *array.indices(),
                                   arrow::compute::TakeOptions::NoBoundsCheck(), &context));
  const TypePtr& type = array.dictionary()->type();
  return values->type()->Equals(*type) ? values : Cast(values, type, pool);
}

// Returns the codes changed by `codes`, which has one for each value of the array's dictionary, -1
// for null.
Result<ArrayPtr> Recode(const arrow::DictionaryArray& array, const std::vector<std::int32_t>& codes,
                        const TypePtr& type, const ArrayPtr& dictionary, arrow::MemoryPool* pool) {
  // Arrow's own looks up what lies under null codes too.
  if (array.null_count() == 0 && array.dictionary()->null_count() == 0) {
    return array.Transpose(type, dictionary, codes.data(), pool);
  }
  arrow::Int32Builder builder(pool);
  ARROW_RETURN_NOT_OK(builder.Reserve(array.length()));
  for (std::int64_t i = 0; i < array.length(); ++i) {
    const std::int32_t code =
        array.IsNull(i) ? -1 : codes[static_cast<std::size_t>(array.GetValueIndex(i))];
    code < 0 ? builder.UnsafeAppendNull() : builder.UnsafeAppend(code);
  }
  ARROW_ASSIGN_OR_RAISE(ArrayPtr indices, builder.Finish());
  const auto& index_type = static_cast<const arrow::DictionaryType&>(*type).index_type();
  ARROW_ASSIGN_OR_RAISE(indices, Cast(indices, index_type, pool));
  return std::make_shared<arrow::DictionaryArray>(type, std::move(indices), dictionary);
}

// Returns the new code of each value of a dictionary, -1 for null.
Result<std::vector<std::int32_t>> AddValues(const ArrayPtr& dictionary,
                                            arrow::DictionaryUnifier* unifier,
                                            arrow::MemoryPool* pool) {
  std::shared_ptr<arrow::Buffer> map;
  std::vector<std::int32_t> codes;
  if (dictionary->null_count() == 0) {
    ARROW_RETURN_NOT_OK(unifier->Unify(*dictionary, &map));
    const auto* begin = map->data_as<std::int32_t>();
    codes.assign(begin, begin + dictionary->length());
    return codes;
  }
  auto context = OneThread(pool);
  ARROW_ASSIGN_OR_RAISE(const ArrayPtr values, arrow::compute::DropNull(*dictionary, &context));
  ARROW_RETURN_NOT_OK(unifier->Unify(*values, &map));
  const auto* next = map->data_as<std::int32_t>();
  for (std::int64_t i = 0; i < dictionary->length(); ++i) {
    codes.push_back(dictionary->IsNull(i) ? -1 : *next++);
  }
  return codes;
}

// The codes of a type number this many values.
std::int64_t CodesOf(const arrow::DataType& index_type) {
  const int bits = index_type.bit_width() - (arrow::is_signed_integer(index_type.id()) ? 1 : 0);
  return bits >= 32 ? std::int64_t{1} << 31 : std::int64_t{1} << bits;
}

bool HaveOneDictionary(const arrow::ArrayVector& chunks) {
  const auto of = [](const ArrayPtr& chunk) -> const arrow::Array& {
    return *static_cast<const arrow::DictionaryArray&>(*chunk).dictionary();
  };
  return std::all_of(chunks.begin(), chunks.end(), [&](const ArrayPtr& chunk) {
    return chunk->data()->dictionary == chunks.front()->data()->dictionary ||
           of(chunk).Equals(of(chunks.front()), arrow::EqualOptions().nans_equal(true));
  });
}

Result<arrow::ArrayVector> PromoteAll(const arrow::ArrayVector& arrays, const TypePtr& type,
                                      arrow::MemoryPool* pool) {
  arrow::ArrayVector made;
  for (const ArrayPtr& array : arrays) {
    ARROW_ASSIGN_OR_RAISE(made.emplace_back(), PromoteArray(array, type, pool));
  }
  return made;
}

// Requires: dictionary arrays of one type.
Result<arrow::ArrayVector> ShareDictionaries(const arrow::ArrayVector& chunks,
                                             arrow::MemoryPool* pool) {
  const auto& type = static_cast<const arrow::DictionaryType&>(*chunks.front()->type());
  auto made = arrow::DictionaryUnifier::Make(type.value_type(), pool);
  if (!made.ok()) return PromoteAll(chunks, type.value_type(), pool);
  std::vector<std::vector<std::int32_t>> codes;
  for (const ArrayPtr& chunk : chunks) {
    const auto& coded = static_cast<const arrow::DictionaryArray&>(*chunk);
    auto its = AddValues(coded.dictionary(), made->get(), pool);
    // Text of more than 2 GiB, or values of a kind that the unifier does not know.
    if (!its.ok()) return PromoteAll(chunks, type.value_type(), pool);
    codes.push_back(*std::move(its));
  }
  TypePtr narrowest;
  ArrayPtr dictionary;
  ARROW_RETURN_NOT_OK((*made)->GetResult(&narrowest, &dictionary));
  const bool fits = dictionary->length() <= CodesOf(*type.index_type());
  const TypePtr shared = arrow::dictionary(fits ? type.index_type() : arrow::int32(),
                                           type.value_type(), type.ordered());
  arrow::ArrayVector recoded;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto& coded = static_cast<const arrow::DictionaryArray&>(*chunks[i]);
    ARROW_ASSIGN_OR_RAISE(recoded.emplace_back(),
                          Recode(coded, codes[i], shared, dictionary, pool));
  }
  return recoded;
}

Result<ArrayPtr> PromoteDictionary(const arrow::DictionaryArray& array, const TypePtr& type,
                                   arrow::MemoryPool* pool) {
  if (type->id() != arrow::Type::DICTIONARY) {
    ARROW_ASSIGN_OR_RAISE(const ArrayPtr values, Decode(array, pool));
    return PromoteArray(values, type, pool);
  }
  const auto& to = static_cast<const arrow::DictionaryType&>(*type);
  ARROW_ASSIGN_OR_RAISE(auto values, PromoteArray(array.dictionary(), to.value_type(), pool));
  ARROW_ASSIGN_OR_RAISE(auto codes, PromoteArray(array.indices(), to.index_type(), pool));
  return std::make_shared<arrow::DictionaryArray>(type, std::move(codes), std::move(values));
}

// ---- Nested types.

// Returns the validity, from bit 0 on; null: all are valid.
Result<std::shared_ptr<arrow::Buffer>> ValidityOf(const arrow::Array& array,
                                                  arrow::MemoryPool* pool) {
  if (array.null_count() == 0) return nullptr;
  ARROW_ASSIGN_OR_RAISE(auto bits, arrow::AllocateEmptyBitmap(array.length(), pool));
  for (std::int64_t i = 0; i < array.length(); ++i) {
    arrow::bit_util::SetBitTo(bits->mutable_data(), i, array.IsValid(i));
  }
  return bits;
}

Result<ArrayPtr> PromoteStruct(const arrow::StructArray& array, const TypePtr& type,
                               arrow::MemoryPool* pool) {
  const auto& from = static_cast<const arrow::StructType&>(*array.type());
  const auto names = [](const arrow::DataType& of) {
    std::vector<std::string> all;
    for (const auto& field : of.fields()) all.push_back(field->name());
    return all;
  };
  const bool by_place = names(from) == names(*type);
  std::vector<DataPtr> children;
  for (int i = 0; i < type->num_fields(); ++i) {
    const auto& field = type->field(i);
    const int at = by_place ? i : from.GetFieldIndex(field->name());
    ArrayPtr child;
    if (at < 0) {
      ARROW_ASSIGN_OR_RAISE(child, arrow::MakeArrayOfNull(field->type(), array.length(), pool));
    } else {
      ARROW_ASSIGN_OR_RAISE(child, PromoteArray(array.field(at), field->type(), pool));
    }
    children.push_back(child->data());
  }
  ARROW_ASSIGN_OR_RAISE(auto validity, ValidityOf(array, pool));
  return arrow::MakeArray(
      arrow::ArrayData::Make(type, array.length(), {std::move(validity)}, std::move(children)));
}

// The entries of a map, whose two fields may have any names.
Result<ArrayPtr> PromoteEntries(const ArrayPtr& array, const TypePtr& type,
                                arrow::MemoryPool* pool) {
  const auto& entries = static_cast<const arrow::StructArray&>(*array);
  std::vector<DataPtr> children;
  for (int i = 0; i < type->num_fields(); ++i) {
    ARROW_ASSIGN_OR_RAISE(auto child, PromoteArray(entries.field(i), type->field(i)->type(), pool));
    children.push_back(child->data());
  }
  return arrow::MakeArray(
      arrow::ArrayData::Make(type, array->length(), {nullptr}, std::move(children), 0));
}

// Cuts the values of lists down to those of their rows, which may be few of many.
template <class Offset>
Status CutValues(arrow::ArrayData* data, arrow::MemoryPool* pool) {
  const auto* offsets = data->GetValues<Offset>(1);
  const Offset first = data->length == 0 ? 0 : offsets[0];
  const Offset last = data->length == 0 ? 0 : offsets[data->length];
  data->child_data[0] = data->child_data[0]->Slice(first, last - first);
  ARROW_ASSIGN_OR_RAISE(
      std::shared_ptr<arrow::Buffer> rebased,
      arrow::AllocateBuffer((data->length + 1) * static_cast<std::int64_t>(sizeof(Offset)), pool));
  auto* out = reinterpret_cast<Offset*>(rebased->mutable_data());
  for (std::int64_t i = 0; i <= data->length; ++i) {
    out[i] = data->length == 0 ? 0 : static_cast<Offset>(offsets[i] - first);
  }
  data->buffers[1] = std::move(rebased);
  return Status::OK();
}

Result<std::shared_ptr<arrow::ArrayData>> WithOwnValues(const arrow::Array& array,
                                                        arrow::MemoryPool* pool) {
  auto data = array.data()->Copy();
  ARROW_ASSIGN_OR_RAISE(data->buffers[0], ValidityOf(array, pool));
  if (array.type_id() == arrow::Type::FIXED_SIZE_LIST) {
    const auto size = static_cast<const arrow::FixedSizeListType&>(*array.type()).list_size();
    data->child_data[0] = data->child_data[0]->Slice(data->offset * size, data->length * size);
  } else if (array.type_id() == arrow::Type::LARGE_LIST) {
    ARROW_RETURN_NOT_OK(CutValues<std::int64_t>(data.get(), pool));
  } else {
    ARROW_RETURN_NOT_OK(CutValues<std::int32_t>(data.get(), pool));
  }
  data->offset = 0;
  return data;
}

// Lists and maps: the values first, then what holds them.
Result<ArrayPtr> PromoteList(const ArrayPtr& array, const TypePtr& type, arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto data, WithOwnValues(*array, pool));
  const ArrayPtr values = arrow::MakeArray(data->child_data[0]);
  const bool is_map = array->type_id() == arrow::Type::MAP;
  ARROW_ASSIGN_OR_RAISE(const ArrayPtr promoted,
                        is_map ? PromoteEntries(values, type->field(0)->type(), pool)
                               : PromoteArray(values, type->field(0)->type(), pool));
  data->child_data[0] = promoted->data();
  const auto& field = type->field(0);
  switch (array->type_id()) {
    case arrow::Type::MAP:
      data->type = type;
      return arrow::MakeArray(std::move(data));
    case arrow::Type::LIST:
      data->type = arrow::list(field);
      break;
    case arrow::Type::LARGE_LIST:
      data->type = arrow::large_list(field);
      break;
    default: {
      const auto size = static_cast<const arrow::FixedSizeListType&>(*array->type()).list_size();
      data->type = arrow::fixed_size_list(field, size);
    }
  }
  ArrayPtr same = arrow::MakeArray(std::move(data));
  return same->type()->Equals(*type) ? same : Cast(same, type, pool);
}

// ---- Tensors.

constexpr std::string_view kVariableTensor = "arrow.variable_shape_tensor";

// Returns shapes of `ndim` dimensions: `given(i)` gives row i's, of `ndim_given`; ones come first.
template <class Given>
Result<ArrayPtr> MakeShapes(std::int64_t rows, std::int32_t ndim, std::int32_t ndim_given,
                            const Given& given, arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer,
                        arrow::AllocateBuffer(rows * ndim * 4, pool));
  auto* out = reinterpret_cast<std::int32_t*>(buffer->mutable_data());
  for (std::int64_t i = 0; i < rows; ++i) {
    out = std::fill_n(out, ndim - ndim_given, 1);
    for (std::int32_t d = 0; d < ndim_given; ++d) *out++ = given(i, d);
  }
  const auto sizes = std::make_shared<arrow::Int32Array>(rows * ndim, std::move(buffer));
  return arrow::FixedSizeListArray::FromArrays(sizes, ndim);
}

Result<ArrayPtr> MakeVariable(const TypePtr& type, const ArrayPtr& data, const ArrayPtr& shapes,
                              const arrow::Array& like, arrow::MemoryPool* pool) {
  ARROW_ASSIGN_OR_RAISE(auto validity, ValidityOf(like, pool));
  const auto& storage = static_cast<const arrow::ExtensionType&>(*type).storage_type();
  // Its lists are of 32-bit offsets.
  ARROW_ASSIGN_OR_RAISE(const ArrayPtr lists, PromoteArray(data, storage->field(0)->type(), pool));
  const auto made = arrow::ArrayData::Make(storage, like.length(), {std::move(validity)},
                                           {lists->data(), shapes->data()});
  return arrow::ExtensionType::WrapArray(type, arrow::MakeArray(made));
}

Result<ArrayPtr> PromoteTensor(const arrow::ExtensionArray& array, const TypePtr& type,
                               arrow::MemoryPool* pool) {
  using Fixed = arrow::extension::FixedShapeTensorType;
  using Variable = arrow::extension::VariableShapeTensorType;
  if (static_cast<const arrow::ExtensionType&>(*type).extension_name() != kVariableTensor) {
    // The same shape, of other numbers.
    const auto& storage = static_cast<const arrow::ExtensionType&>(*type).storage_type();
    ARROW_ASSIGN_OR_RAISE(auto values, PromoteArray(array.storage(), storage, pool));
    return arrow::ExtensionType::WrapArray(type, values);
  }
  const std::int32_t ndim_to = static_cast<const Variable&>(*type).ndim();
  const std::int64_t rows = array.length();
  if (array.extension_type()->extension_name() != kVariableTensor) {
    const std::vector<std::int64_t>& shape = static_cast<const Fixed&>(*array.type()).shape();
    const auto given = [&](std::int64_t, std::int32_t d) {
      return static_cast<std::int32_t>(shape[static_cast<std::size_t>(d)]);
    };
    const auto ndim = static_cast<std::int32_t>(shape.size());
    ARROW_ASSIGN_OR_RAISE(auto shapes, MakeShapes(rows, ndim_to, ndim, given, pool));
    return MakeVariable(type, array.storage(), shapes, array, pool);
  }
  const auto& storage = static_cast<const arrow::StructArray&>(*array.storage());
  const auto dims = std::static_pointer_cast<arrow::FixedSizeListArray>(storage.field(1));
  const auto sizes = std::static_pointer_cast<arrow::Int32Array>(dims->values());
  const std::int32_t ndim = dims->value_length(0);
  const auto given = [&](std::int64_t row, std::int32_t d) {
    return sizes->raw_values()[dims->value_offset(row) + d];
  };
  ARROW_ASSIGN_OR_RAISE(auto shapes, MakeShapes(rows, ndim_to, ndim, given, pool));
  return MakeVariable(type, storage.field(0), shapes, array, pool);
}

Status AddColumn(const Status& status, const std::string& name, const arrow::DataType& from,
                 const arrow::DataType& to) {
  if (status.IsOutOfMemory() || status.IsCancelled()) return status;
  return status.WithMessage("column '", name, "' has type ", from.ToString(),
                            " in some blocks and ", to.ToString(),
                            " holds the values of all, but not these: ", status.message());
}

// Returns the type with the types within lists, structs and maps replaced.
template <class Replace>
TypePtr Replaced(const TypePtr& whole, const Replace& replace) {
  const TypePtr type = replace(whole);
  if (type->num_fields() == 0) return type;
  arrow::FieldVector fields;
  for (const auto& field : type->fields()) {
    fields.push_back(field->WithType(Replaced(field->type(), replace)));
  }
  switch (type->id()) {
    case arrow::Type::STRUCT:
      return arrow::struct_(std::move(fields));
    case arrow::Type::LIST:
      return arrow::list(fields[0]);
    case arrow::Type::LARGE_LIST:
      return arrow::large_list(fields[0]);
    case arrow::Type::FIXED_SIZE_LIST:
      return arrow::fixed_size_list(
          fields[0], static_cast<const arrow::FixedSizeListType&>(*type).list_size());
    case arrow::Type::MAP:
      return std::make_shared<arrow::MapType>(
          fields[0], static_cast<const arrow::MapType&>(*type).keys_sorted());
    default:
      return type;
  }
}

}  // namespace

TypePtr WithoutViews(const TypePtr& type) {
  return Replaced(type, [](const TypePtr& part) {
    if (part->id() == arrow::Type::STRING_VIEW) return arrow::large_utf8();
    if (part->id() == arrow::Type::BINARY_VIEW) return arrow::large_binary();
    return part;
  });
}

Result<ArrayPtr> PromoteArray(const ArrayPtr& array, const TypePtr& type, arrow::MemoryPool* pool) {
  pool = PoolOr(pool);
  if (array->type() == type || array->type()->Equals(*type)) return array;
  switch (array->type_id()) {
    case arrow::Type::NA:
      return arrow::MakeArrayOfNull(type, array->length(), pool);
    case arrow::Type::DICTIONARY:
      return PromoteDictionary(static_cast<const arrow::DictionaryArray&>(*array), type, pool);
    case arrow::Type::EXTENSION:
      return PromoteTensor(static_cast<const arrow::ExtensionArray&>(*array), type, pool);
    case arrow::Type::STRUCT:
      return PromoteStruct(static_cast<const arrow::StructArray&>(*array), type, pool);
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
    case arrow::Type::MAP:
      return PromoteList(array, type, pool);
    default:
      return Cast(array, type, pool);
  }
}

Result<std::shared_ptr<arrow::ChunkedArray>> PromoteColumn(
    const std::shared_ptr<arrow::ChunkedArray>& column, const TypePtr& type,
    arrow::MemoryPool* pool) {
  if (column->type() == type || column->type()->Equals(*type)) return column;
  ARROW_ASSIGN_OR_RAISE(auto chunks, PromoteAll(column->chunks(), type, pool));
  return std::make_shared<arrow::ChunkedArray>(std::move(chunks), type);
}

Result<std::shared_ptr<arrow::Table>> PromoteTable(const std::shared_ptr<arrow::Table>& table,
                                                   const SchemaPtr& schema,
                                                   arrow::MemoryPool* pool) {
  const arrow::Schema& from = *table->schema();
  if (table->schema() == schema || from.Equals(*schema, /*check_metadata=*/false)) return table;
  const bool by_place = from.field_names() == schema->field_names();
  arrow::ChunkedArrayVector columns;
  for (int i = 0; i < schema->num_fields(); ++i) {
    const auto& field = schema->field(i);
    const int at = by_place ? i : from.GetFieldIndex(field->name());
    if (at < 0) {
      ARROW_ASSIGN_OR_RAISE(auto nulls,
                            arrow::MakeArrayOfNull(field->type(), table->num_rows(), PoolOr(pool)));
      columns.push_back(std::make_shared<arrow::ChunkedArray>(std::move(nulls)));
      continue;
    }
    auto promoted = PromoteColumn(table->column(at), field->type(), pool);
    if (!promoted.ok()) {
      return AddColumn(promoted.status(), field->name(), *from.field(at)->type(), *field->type());
    }
    columns.push_back(*std::move(promoted));
  }
  return arrow::Table::Make(schema, std::move(columns), table->num_rows());
}

Status UnifyTables(std::vector<std::shared_ptr<arrow::Table>>* tables,
                   const std::vector<FileList>& files, arrow::MemoryPool* pool) {
  std::vector<SchemaPtr> schemas;
  std::vector<FileList> their_files;
  const bool any_rows = std::any_of(tables->begin(), tables->end(),
                                    [](const auto& table) { return table->num_rows() > 0; });
  for (std::size_t i = 0; i < tables->size(); ++i) {
    if (any_rows && (*tables)[i]->num_rows() == 0) continue;
    schemas.push_back((*tables)[i]->schema());
    if (i < files.size()) their_files.push_back(files[i]);
  }
  ARROW_ASSIGN_OR_RAISE(const SchemaPtr schema, UnifySchemas(schemas, their_files));
  for (auto& table : *tables) {
    if (any_rows && table->num_rows() == 0) {
      if (table->schema() == schema) continue;
      ARROW_ASSIGN_OR_RAISE(table, arrow::Table::MakeEmpty(schema, PoolOr(pool)));
    } else {
      ARROW_ASSIGN_OR_RAISE(table, PromoteTable(table, schema, pool));
    }
  }
  const bool has_codes =
      std::any_of(schema->fields().begin(), schema->fields().end(),
                  [](const auto& field) { return field->type()->id() == arrow::Type::DICTIONARY; });
  if (!has_codes || tables->size() == 1) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(const auto all, arrow::ConcatenateTables(*tables));
  ARROW_ASSIGN_OR_RAISE(const auto shared, ShareDictionaries(all, pool));
  if (shared == all) return Status::OK();
  std::int64_t row = 0;
  for (auto& table : *tables) {
    const std::int64_t rows = table->num_rows();
    table = shared->Slice(row, rows);
    row += rows;
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::ChunkedArray>> ShareDictionary(
    const std::shared_ptr<arrow::ChunkedArray>& column, arrow::MemoryPool* pool) {
  if (column->type()->id() != arrow::Type::DICTIONARY || column->num_chunks() < 2) return column;
  const auto& first = column->chunk(0)->data()->dictionary;
  if (HaveOneDictionary(column->chunks())) {
    // Equal ones become one object, so that nobody compares them again.
    arrow::ArrayVector chunks = column->chunks();
    bool is_same = true;
    for (ArrayPtr& chunk : chunks) {
      if (chunk->data()->dictionary == first) continue;
      is_same = false;
      auto data = chunk->data()->Copy();
      data->dictionary = first;
      chunk = arrow::MakeArray(std::move(data));
    }
    if (is_same) return column;
    return std::make_shared<arrow::ChunkedArray>(std::move(chunks), column->type());
  }
  ARROW_ASSIGN_OR_RAISE(auto chunks, ShareDictionaries(column->chunks(), PoolOr(pool)));
  return std::make_shared<arrow::ChunkedArray>(std::move(chunks));
}

Result<std::shared_ptr<arrow::Table>> ShareDictionaries(std::shared_ptr<arrow::Table> table,
                                                        arrow::MemoryPool* pool) {
  arrow::ChunkedArrayVector columns = table->columns();
  for (auto& column : columns) {
    ARROW_ASSIGN_OR_RAISE(column, ShareDictionary(column, pool));
  }
  if (columns == table->columns()) return table;
  return TableOf(table->schema(), std::move(columns), table->num_rows());
}

Result<ArrayPtr> JoinArrays(const arrow::ArrayVector& arrays, arrow::MemoryPool* pool) {
  HEADRACE_CHECK(!arrays.empty());
  if (arrays.size() == 1) return arrays.front();
  pool = PoolOr(pool);
  if (arrays.front()->type_id() == arrow::Type::DICTIONARY && !HaveOneDictionary(arrays)) {
    ARROW_ASSIGN_OR_RAISE(auto shared, ShareDictionaries(arrays, pool));
    return arrow::Concatenate(shared, pool);
  }
  auto joined = arrow::Concatenate(arrays, pool);
  if (joined.ok()) return joined;
  const TypePtr plain = Replaced(arrays.front()->type(), PlainType);
  if (plain->Equals(*arrays.front()->type())) return joined;
  ARROW_ASSIGN_OR_RAISE(auto promoted, PromoteAll(arrays, plain, pool));
  return arrow::Concatenate(promoted, pool);
}

Result<std::shared_ptr<arrow::Table>> CombineChunks(const arrow::Table& table,
                                                    arrow::MemoryPool* pool) {
  auto combined = table.CombineChunks(PoolOr(pool));
  if (combined.ok() || combined.status().IsOutOfMemory()) return combined;
  // Arrow does not join dictionaries that have nulls or outgrow their codes.
  arrow::ChunkedArrayVector columns;
  for (int i = 0; i < table.num_columns(); ++i) {
    columns.push_back(table.column(i));
    if (columns.back()->num_chunks() > 1) {
      ARROW_ASSIGN_OR_RAISE(auto joined, JoinArrays(table.column(i)->chunks(), pool));
      columns.back() = std::make_shared<arrow::ChunkedArray>(std::move(joined));
    }
  }
  return TableOf(table.schema(), std::move(columns), table.num_rows());
}

std::shared_ptr<arrow::Table> TableOf(SchemaPtr schema, arrow::ChunkedArrayVector columns,
                                      std::int64_t rows) {
  for (int i = 0; i < schema->num_fields(); ++i) {
    const auto& field = schema->field(i);
    const TypePtr& type = columns[static_cast<std::size_t>(i)]->type();
    if (field->type() == type || field->type()->Equals(*type)) continue;
    schema = schema->SetField(i, field->WithType(type)).ValueOrDie();
  }
  return arrow::Table::Make(std::move(schema), std::move(columns), rows);
}

}  // namespace headrace
