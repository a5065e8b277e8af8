#include <arrow/extension/fixed_shape_tensor.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/block/unify.h"

namespace headrace {

namespace {

using TypePtr = std::shared_ptr<arrow::DataType>;
using FieldPtr = std::shared_ptr<arrow::Field>;

// Returns null if there is none.
FieldPtr UnifyFields(const FieldPtr& a, const FieldPtr& b) {
  TypePtr type = UnifyTypes(a->type(), b->type());
  if (!type) return nullptr;
  return a->WithType(std::move(type))->WithNullable(a->nullable() || b->nullable());
}

bool NamesAreUnique(const arrow::FieldVector& fields) {
  std::set<std::string> names;
  for (const auto& field : fields) names.insert(field->name());
  return names.size() == fields.size();
}

// Unifies by name, or by place where names are equal. `conflict` gets the fields that do not fit;
// null, if a name is there twice.
std::optional<arrow::FieldVector> UnifyAllFields(const arrow::FieldVector& a,
                                                 const arrow::FieldVector& b,
                                                 std::pair<FieldPtr, FieldPtr>* conflict) {
  const bool by_place = std::equal(a.begin(), a.end(), b.begin(), b.end(),
                                   [](auto& x, auto& y) { return x->name() == y->name(); });
  if (!by_place && !(NamesAreUnique(a) && NamesAreUnique(b))) return std::nullopt;
  arrow::FieldVector all = a;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const auto same = [&](const FieldPtr& field) { return field->name() == b[i]->name(); };
    const auto first = all.begin();
    const auto at = by_place ? first + static_cast<std::ptrdiff_t>(i)
                             : std::find_if(first, first + std::ssize(a), same);
    if (!by_place && at == first + std::ssize(a)) {
      all.push_back(b[i]->WithNullable(true));
      continue;
    }
    FieldPtr field = UnifyFields(*at, b[i]);
    if (!field) {
      *conflict = {*at, b[i]};
      return std::nullopt;
    }
    *at = std::move(field);
  }
  for (std::size_t i = 0; !by_place && i < a.size(); ++i) {
    const bool in_both = std::any_of(
        b.begin(), b.end(), [&](const auto& field) { return field->name() == a[i]->name(); });
    if (!in_both) all[i] = all[i]->WithNullable(true);
  }
  return all;
}

TypePtr UnifyDictionaries(const TypePtr& a, const TypePtr& b) {
  TypePtr values = UnifyTypes(PlainType(a), PlainType(b));
  if (!values || a->id() != b->id()) return values;
  const auto& left = static_cast<const arrow::DictionaryType&>(*a);
  const auto& right = static_cast<const arrow::DictionaryType&>(*b);
  TypePtr codes = UnifyTypes(left.index_type(), right.index_type());
  return arrow::dictionary(std::move(codes), std::move(values), left.ordered() && right.ordered());
}

// ---- Tensors.

// A tensor column, whatever its shapes.
struct TensorKind {
  TypePtr values;
  std::int32_t ndim = 0;
  std::optional<std::vector<std::int64_t>> shape;  // Of all; unset: each has its own.
};

// Unset: no tensor, or one whose values do not lie in the order of its dimensions.
std::optional<TensorKind> TensorKindOf(const arrow::DataType& type) {
  const auto& extension = static_cast<const arrow::ExtensionType&>(type);
  if (extension.extension_name() == "arrow.fixed_shape_tensor") {
    const auto& tensor = static_cast<const arrow::extension::FixedShapeTensorType&>(type);
    if (!std::is_sorted(tensor.permutation().begin(), tensor.permutation().end())) return {};
    return TensorKind{tensor.value_type(), static_cast<std::int32_t>(tensor.ndim()),
                      tensor.shape()};
  }
  if (extension.extension_name() == "arrow.variable_shape_tensor") {
    const auto& tensor = static_cast<const arrow::extension::VariableShapeTensorType&>(type);
    if (!std::is_sorted(tensor.permutation().begin(), tensor.permutation().end())) return {};
    return TensorKind{tensor.value_type(), tensor.ndim(), std::nullopt};
  }
  return std::nullopt;
}

TypePtr UnifyTensors(const TypePtr& a, const TypePtr& b) {
  const auto left = TensorKindOf(*a);
  const auto right = TensorKindOf(*b);
  if (!left || !right) return nullptr;
  TypePtr values = UnifyTypes(left->values, right->values);
  if (!values) return nullptr;
  if (left->shape && left->shape == right->shape) {
    return arrow::extension::fixed_shape_tensor(values, *left->shape);
  }
  return arrow::extension::variable_shape_tensor(values, std::max(left->ndim, right->ndim));
}

// ---- Lists, structs, maps.

bool IsListLike(arrow::Type::type id) {
  return id == arrow::Type::LIST || id == arrow::Type::LARGE_LIST ||
         id == arrow::Type::FIXED_SIZE_LIST;
}

TypePtr UnifyLists(const TypePtr& a, const TypePtr& b) {
  const auto& left = static_cast<const arrow::BaseListType&>(*a);
  const auto& right = static_cast<const arrow::BaseListType&>(*b);
  const FieldPtr values = UnifyFields(left.value_field(), right.value_field());
  if (!values) return nullptr;
  if (a->id() == arrow::Type::LARGE_LIST || b->id() == arrow::Type::LARGE_LIST) {
    return arrow::large_list(values);
  }
  if (a->id() == arrow::Type::FIXED_SIZE_LIST && b->id() == arrow::Type::FIXED_SIZE_LIST) {
    const auto size = static_cast<const arrow::FixedSizeListType&>(*a).list_size();
    if (size == static_cast<const arrow::FixedSizeListType&>(*b).list_size()) {
      return arrow::fixed_size_list(values, size);
    }
  }
  return arrow::list(values);
}

TypePtr UnifyMaps(const TypePtr& a, const TypePtr& b) {
  const auto& left = static_cast<const arrow::MapType&>(*a);
  const auto& right = static_cast<const arrow::MapType&>(*b);
  TypePtr keys = UnifyTypes(left.key_type(), right.key_type());
  FieldPtr items = UnifyFields(left.item_field(), right.item_field());
  if (!keys || !items) return nullptr;
  return arrow::map(std::move(keys), std::move(items), left.keys_sorted() && right.keys_sorted());
}

bool IsText(const arrow::DataType& type) {
  return arrow::is_base_binary_like(type.id()) || arrow::is_binary_view_like(type.id());
}

// With a view among them: what Arrow's own rules leave out.
TypePtr UnifyViews(const TypePtr& a, const TypePtr& b) {
  const auto is_utf8 = [](const arrow::DataType& type) {
    return arrow::is_string(type.id()) || type.id() == arrow::Type::STRING_VIEW;
  };
  return is_utf8(*a) && is_utf8(*b) ? arrow::large_utf8() : arrow::large_binary();
}

TypePtr MergeByArrow(const TypePtr& a, const TypePtr& b) {
  const auto merged = arrow::field("", a)->MergeWith(*arrow::field("", b),
                                                     arrow::Field::MergeOptions::Permissive());
  return merged.ok() ? (*merged)->type() : nullptr;
}

// Returns the decimal that holds all integers of a type. Arrow's own merge with a decimal has too
// few digits.
TypePtr DecimalOf(const arrow::DataType& integer) {
  constexpr std::int32_t kDigits[] = {3, 5, 10, 20};  // Of 8, 16, 32 and 64 bits.
  const auto width = static_cast<unsigned>(integer.bit_width());
  return arrow::decimal128(kDigits[std::countr_zero(width) - 3], 0);
}

// ---- Messages.

std::string Where(const FileList& files, const char* without) {
  if (!files || files->empty()) return without;
  std::string text = "in " + files->front();
  if (files->size() > 1) text += " and " + std::to_string(files->size() - 1) + " more";
  return text;
}

}  // namespace

TypePtr PlainType(const TypePtr& type) {
  if (type->id() != arrow::Type::DICTIONARY) return type;
  return static_cast<const arrow::DictionaryType&>(*type).value_type();
}

TypePtr UnifyTypes(const TypePtr& a, const TypePtr& b) {
  if (a == b || a->Equals(*b)) return a;
  if (a->id() == arrow::Type::NA) return b;
  if (b->id() == arrow::Type::NA) return a;
  const auto either = [&](arrow::Type::type id) { return a->id() == id || b->id() == id; };
  if (either(arrow::Type::DICTIONARY)) return UnifyDictionaries(a, b);
  if (a->id() == arrow::Type::EXTENSION && b->id() == a->id()) return UnifyTensors(a, b);
  if (either(arrow::Type::EXTENSION)) return nullptr;
  if (IsListLike(a->id()) && IsListLike(b->id())) return UnifyLists(a, b);
  if (a->id() == arrow::Type::MAP && b->id() == a->id()) return UnifyMaps(a, b);
  if (a->id() == arrow::Type::STRUCT && b->id() == a->id()) {
    std::pair<FieldPtr, FieldPtr> conflict;
    auto fields = UnifyAllFields(a->fields(), b->fields(), &conflict);
    return fields ? arrow::struct_(*std::move(fields)) : nullptr;
  }
  if (either(arrow::Type::STRING_VIEW) || either(arrow::Type::BINARY_VIEW)) {
    const auto fits = [](const arrow::DataType& type) {
      return IsText(type) || type.id() == arrow::Type::FIXED_SIZE_BINARY;
    };
    return fits(*a) && fits(*b) ? UnifyViews(a, b) : nullptr;
  }
  if (arrow::is_decimal(a->id()) && arrow::is_integer(b->id())) {
    return MergeByArrow(a, DecimalOf(*b));
  }
  if (arrow::is_integer(a->id()) && arrow::is_decimal(b->id())) {
    return MergeByArrow(DecimalOf(*a), b);
  }
  return MergeByArrow(a, b);
}

Result<SchemaPtr> UnifySchemas(const std::vector<SchemaPtr>& schemas,
                               const std::vector<FileList>& files) {
  HEADRACE_CHECK(!schemas.empty());
  SchemaPtr all = schemas.front();
  for (std::size_t i = 1; i < schemas.size(); ++i) {
    const SchemaPtr& next = schemas[i];
    if (next == schemas[i - 1] || next == all || next->Equals(*all, /*check_metadata=*/false)) {
      continue;
    }
    // A table without columns has rows that no null column can stand for.
    if ((next->num_fields() == 0) != (all->num_fields() == 0)) {
      return Status::TypeError("some blocks have no columns, others have ",
                               std::max(next->num_fields(), all->num_fields()));
    }
    std::pair<FieldPtr, FieldPtr> conflict;
    auto fields = UnifyAllFields(all->fields(), next->fields(), &conflict);
    if (fields) {
      all = arrow::schema(*std::move(fields), all->metadata());
      continue;
    }
    if (!conflict.first) {
      return Status::Invalid("blocks have different columns, and a name occurs twice: ",
                             arrow::Schema(all->fields()).ToString(), " and ",
                             arrow::Schema(next->fields()).ToString());
    }
    // The first that does not fit is told; what all had so far may be of several.
    const std::string& name = conflict.second->name();
    const TypePtr& type = conflict.second->type();
    std::size_t other = 0;
    TypePtr theirs = conflict.first->type();
    for (std::size_t j = 0; j < i; ++j) {
      const auto field = schemas[j]->GetFieldByName(name);
      if (!field || UnifyTypes(field->type(), type)) continue;
      theirs = field->type();
      other = j;
      break;
    }
    const auto of = [&](std::size_t at) { return at < files.size() ? files[at] : nullptr; };
    return Status::TypeError("column '", name, "' has type ", theirs->ToString(), " ",
                             Where(of(other), "in some blocks"), " and type ", type->ToString(),
                             " ", Where(of(i), "in others"), "; cast it to one type");
  }
  return all;
}

}  // namespace headrace
