#include "headrace/protocol/exchange_schema.h"

#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/block/unify.h"

namespace headrace {

namespace {

using TypePtr = std::shared_ptr<arrow::DataType>;

Result<std::shared_ptr<arrow::Field>> FindField(const arrow::Schema& schema,
                                                const std::string& name, const char* where) {
  const std::vector<int> found = schema.GetAllFieldIndices(name);
  if (found.size() == 1) return schema.field(found.front());
  if (found.size() > 1) {
    return Status::Invalid("column '", name, "' exists ", found.size(), " times", where);
  }
  std::string known;
  for (const auto& field : schema.fields()) {
    if (!known.empty()) known += ", ";
    known += "'" + field->name() + "'";
  }
  return Status::KeyError("no column named '", name, "'", where, "; there ",
                          schema.num_fields() == 0 ? std::string("are none") : "are " + known);
}

Status CheckUnique(const arrow::FieldVector& fields, const char* what) {
  std::set<std::string> names;
  for (const auto& field : fields) {
    if (!names.insert(field->name()).second) {
      return Status::Invalid(what, " would have two columns named '", field->name(), "'");
    }
  }
  return Status::OK();
}

bool IsNumber(const arrow::DataType& type) {
  return arrow::is_integer(type.id()) || arrow::is_floating(type.id()) ||
         arrow::is_decimal(type.id()) || type.id() == arrow::Type::NA;
}

bool HasOrder(const arrow::DataType& type) {
  return IsNumber(type) || type.id() == arrow::Type::BOOL || arrow::is_date(type.id()) ||
         arrow::is_time(type.id()) || type.id() == arrow::Type::TIMESTAMP ||
         type.id() == arrow::Type::DURATION || arrow::is_base_binary_like(type.id()) ||
         arrow::is_binary_view_like(type.id()) || type.id() == arrow::Type::FIXED_SIZE_BINARY;
}

TypePtr SumType(const TypePtr& type) {
  if (arrow::is_unsigned_integer(type->id())) return arrow::uint64();
  if (arrow::is_floating(type->id())) return arrow::float64();
  if (arrow::is_decimal(type->id())) {
    const auto& decimal = static_cast<const arrow::DecimalType&>(*type);
    return type->id() == arrow::Type::DECIMAL256 ? arrow::decimal256(76, decimal.scale())
                                                 : arrow::decimal128(38, decimal.scale());
  }
  return arrow::int64();
}

Status CannotFold(const AggregateSpec& aggregate, const arrow::DataType& type) {
  return Status::TypeError(ToString(aggregate), " cannot be computed: column '", aggregate.column,
                           "' has type ", type.ToString());
}

}  // namespace

Result<TypePtr> AggregateType(const AggregateSpec& aggregate, const TypePtr& column) {
  if (aggregate.kind == AggregateKind::kCount) return arrow::int64();
  const TypePtr type = PlainType(column);
  const bool number = IsNumber(*type);
  const bool number_or_bool = number || type->id() == arrow::Type::BOOL;
  switch (aggregate.kind) {
    case AggregateKind::kCount:
      return arrow::int64();
    case AggregateKind::kSum:
      if (!number_or_bool) break;
      return SumType(type);
    case AggregateKind::kMin:
    case AggregateKind::kMax:
      if (!HasOrder(*type)) break;
      return type;
    case AggregateKind::kAbsMax:
      if (!number) break;
      return type;
    case AggregateKind::kQuantile:
      if (!(aggregate.parameter >= 0 && aggregate.parameter <= 1)) {
        return Status::Invalid("a quantile is between 0 and 1, not ", aggregate.parameter);
      }
      [[fallthrough]];
    case AggregateKind::kMean:
    case AggregateKind::kStd:
    case AggregateKind::kZeroShare:
      if (!number_or_bool) break;
      return arrow::float64();
    case AggregateKind::kUnique:
    case AggregateKind::kList:
      return arrow::list(type);
    case AggregateKind::kCountDistinct:
      return arrow::int64();
    case AggregateKind::kMissingShare:
      return arrow::float64();
    case AggregateKind::kFirst:
      return type;
  }
  return CannotFold(aggregate, *column);
}

Result<std::shared_ptr<arrow::Schema>> AggregateSchema(const AggregateStep& step,
                                                       const arrow::Schema& input) {
  arrow::FieldVector fields;
  for (const std::string& key : step.keys) {
    ARROW_ASSIGN_OR_RAISE(auto field, FindField(input, key, ""));
    fields.push_back(arrow::field(key, field->type()));
  }
  for (const AggregateSpec& aggregate : step.aggregates) {
    TypePtr column = arrow::null();
    if (!aggregate.column.empty()) {
      ARROW_ASSIGN_OR_RAISE(auto field, FindField(input, aggregate.column, ""));
      column = field->type();
    } else if (aggregate.kind != AggregateKind::kCount) {
      return Status::Invalid(ToString(aggregate), " needs a column");
    }
    ARROW_ASSIGN_OR_RAISE(TypePtr type, AggregateType(aggregate, column));
    fields.push_back(arrow::field(aggregate.name, std::move(type)));
  }
  ARROW_RETURN_NOT_OK(CheckUnique(fields, "the aggregation"));
  return arrow::schema(std::move(fields));
}

// ---- Joins.

TypePtr JoinKeyType(const TypePtr& left, const TypePtr& right) {
  if (left->Equals(*right)) return left;
  const TypePtr a = PlainType(left);
  const TypePtr b = PlainType(right);
  // Decimals are rounded to be floats, and then have other equals.
  const auto mixed = [](const arrow::DataType& x, const arrow::DataType& y) {
    return arrow::is_decimal(x.id()) && arrow::is_floating(y.id());
  };
  return mixed(*a, *b) || mixed(*b, *a) ? nullptr : UnifyTypes(a, b);
}

namespace {

struct JoinSide {
  arrow::FieldVector fields;  // Of the output.
  std::set<std::string> keys;
};

Status AddSide(const arrow::Schema& schema, const std::vector<std::string>& keys,
               const std::vector<TypePtr>& key_types, bool with_keys, const char* where,
               JoinSide* side) {
  for (const auto& field : schema.fields()) {
    const auto key = std::find(keys.begin(), keys.end(), field->name());
    if (key == keys.end()) {
      side->fields.push_back(arrow::field(field->name(), field->type()));
    } else if (with_keys) {
      const TypePtr& type = key_types[static_cast<std::size_t>(key - keys.begin())];
      side->fields.push_back(arrow::field(field->name(), type));
      if (!side->keys.insert(field->name()).second) {
        return Status::Invalid("column '", field->name(), "' exists more than once", where);
      }
    }
  }
  return Status::OK();
}

// Gives the names that both sides have the suffix of the side. Keys keep their names.
Status RenameClashes(const JoinStep& step, JoinSide* left, JoinSide* right) {
  std::set<std::string> left_names;
  std::set<std::string> clashes;
  for (const auto& field : left->fields) left_names.insert(field->name());
  for (const auto& field : right->fields) {
    if (left_names.count(field->name())) clashes.insert(field->name());
  }
  if (clashes.empty()) return Status::OK();
  if (step.left_suffix.empty() && step.right_suffix.empty()) {
    std::string names;
    for (const auto& name : clashes) names += (names.empty() ? "'" : ", '") + name + "'";
    return Status::Invalid("both sides of the join have columns named ", names,
                           "; give a left or a right suffix");
  }
  const auto rename = [&](const std::string& suffix, JoinSide* side) {
    for (auto& field : side->fields) {
      if (clashes.count(field->name()) && !side->keys.count(field->name())) {
        field = field->WithName(field->name() + suffix);
      }
    }
  };
  rename(step.left_suffix, left);
  rename(step.right_suffix, right);
  return Status::OK();
}

}  // namespace

Result<std::shared_ptr<arrow::Schema>> JoinSchema(const JoinStep& step, const arrow::Schema& left,
                                                  const arrow::Schema& right) {
  if (step.left_keys.empty() || step.left_keys.size() != step.right_keys.size()) {
    return Status::Invalid("a join needs as many right keys as left ones, and at least one; got ",
                           step.left_keys.size(), " and ", step.right_keys.size());
  }
  std::vector<TypePtr> common;
  std::vector<TypePtr> left_types;
  std::vector<TypePtr> right_types;
  for (std::size_t i = 0; i < step.left_keys.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(auto a, FindField(left, step.left_keys[i], " on the left"));
    ARROW_ASSIGN_OR_RAISE(auto b, FindField(right, step.right_keys[i], " on the right"));
    left_types.push_back(a->type());
    right_types.push_back(b->type());
    common.push_back(JoinKeyType(a->type(), b->type()));
    if (!common.back()) {
      return Status::TypeError("keys of different types cannot be joined: left column '", a->name(),
                               "' is ", a->type()->ToString(), ", right column '", b->name(),
                               "' is ", b->type()->ToString());
    }
  }
  JoinSide left_side;
  JoinSide right_side;
  switch (step.kind) {
    case JoinKind::kLeftSemi:
    case JoinKind::kLeftAnti:
      ARROW_RETURN_NOT_OK(AddSide(left, step.left_keys, left_types, true, "", &left_side));
      break;
    case JoinKind::kRightSemi:
    case JoinKind::kRightAnti:
      ARROW_RETURN_NOT_OK(AddSide(right, step.right_keys, right_types, true, "", &right_side));
      break;
    default: {
      const bool right_keys = step.kind == JoinKind::kRightOuter;
      ARROW_RETURN_NOT_OK(
          AddSide(left, step.left_keys, common, !right_keys, " on the left", &left_side));
      ARROW_RETURN_NOT_OK(
          AddSide(right, step.right_keys, common, right_keys, " on the right", &right_side));
      ARROW_RETURN_NOT_OK(RenameClashes(step, &left_side, &right_side));
    }
  }
  arrow::FieldVector fields = std::move(left_side.fields);
  fields.insert(fields.end(), right_side.fields.begin(), right_side.fields.end());
  ARROW_RETURN_NOT_OK(CheckUnique(fields, "the join"));
  return arrow::schema(std::move(fields));
}

std::vector<std::string> NamesOf(const std::vector<SortKey>& keys) {
  std::vector<std::string> names;
  for (const SortKey& key : keys) names.push_back(key.column);
  return names;
}

Status CheckComparable(const std::vector<std::string>& keys,
                       const std::vector<std::shared_ptr<arrow::Schema>>& schemas) {
  for (const std::string& key : keys) {
    TypePtr decimal;
    TypePtr floating;
    const arrow::Schema* last = nullptr;
    for (const auto& schema : schemas) {
      if (schema.get() == last) continue;
      last = schema.get();
      const auto field = schema->GetFieldByName(key);
      if (!field) continue;
      const TypePtr type = PlainType(field->type());
      if (arrow::is_decimal(type->id())) decimal = type;
      if (arrow::is_floating(type->id())) floating = type;
    }
    if (!decimal || !floating) continue;
    return Status::TypeError("cannot compare the rows by column '", key,
                             "': some blocks have it as ", decimal->ToString(), ", others as ",
                             floating->ToString(), "; cast it to one type before");
  }
  return Status::OK();
}

Result<std::shared_ptr<arrow::Schema>> ZipSchema(const arrow::Schema& left,
                                                 const arrow::Schema& right) {
  arrow::FieldVector fields;
  std::set<std::string> names;
  const auto add = [&](const arrow::Schema& side) {
    for (const auto& field : side.fields()) {
      std::string name = field->name();
      for (int number = 1; !names.insert(name).second; ++number) {
        name = field->name() + "_" + std::to_string(number);
      }
      fields.push_back(arrow::field(name, field->type()));
    }
  };
  add(left);
  add(right);
  return arrow::schema(std::move(fields));
}

}  // namespace headrace
