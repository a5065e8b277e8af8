#include "headrace/control/plan/expr_facts.h"

#include <arrow/array.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace headrace {
namespace {

using TypePtr = std::shared_ptr<arrow::DataType>;

bool OneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsComparison(std::string_view f) {
  return OneOf(f, {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"});
}

bool IsLogic(std::string_view f) {
  return OneOf(
      f, {"and", "or", "xor", "invert", "and_kleene", "or_kleene", "and_not", "and_not_kleene",
          "is_null", "is_valid", "is_nan", "is_finite", "is_inf", "true_unless_null"});
}

bool IsTextTest(std::string_view f) {
  return OneOf(f, {"starts_with", "ends_with", "match_substring", "match_substring_regex",
                   "match_like", "string_is_ascii", "utf8_is_alpha", "utf8_is_digit",
                   "utf8_is_alnum", "utf8_is_decimal", "utf8_is_lower", "utf8_is_upper",
                   "utf8_is_numeric", "utf8_is_space", "utf8_is_title", "utf8_is_printable"});
}

bool IsTextMap(std::string_view f) {
  return OneOf(f, {"utf8_upper",
                   "utf8_lower",
                   "utf8_capitalize",
                   "utf8_title",
                   "utf8_swapcase",
                   "utf8_reverse",
                   "utf8_trim",
                   "utf8_ltrim",
                   "utf8_rtrim",
                   "utf8_trim_whitespace",
                   "utf8_ltrim_whitespace",
                   "utf8_rtrim_whitespace",
                   "utf8_slice_codeunits",
                   "utf8_lpad",
                   "utf8_rpad",
                   "utf8_center",
                   "replace_substring",
                   "replace_substring_regex",
                   "utf8_replace_slice",
                   "ascii_upper",
                   "ascii_lower"});
}

// What it gives a row depends on which rows came before it, not on their values.
bool IsOfRowPlace(std::string_view f) {
  return OneOf(f, {"random", "monotonically_increasing_id"});
}

// Numbers in, the same kind of number out.
bool IsArithmetic(std::string_view f) {
  return OneOf(f, {"add", "subtract", "multiply", "divide", "add_checked", "subtract_checked",
                   "multiply_checked", "divide_checked"});
}

// Returns the type in which Arrow computes with both, for the pairs that users meet.
TypePtr CommonNumber(const TypePtr& a, const TypePtr& b) {
  if (!arrow::is_numeric(a->id()) || !arrow::is_numeric(b->id())) return nullptr;
  if (a->Equals(*b)) return a;
  for (arrow::Type::type floating : {arrow::Type::DOUBLE, arrow::Type::FLOAT}) {
    if (a->id() == floating) return a;
    if (b->id() == floating) return b;
  }
  if (!arrow::is_signed_integer(a->id()) || !arrow::is_signed_integer(b->id())) return nullptr;
  return arrow::bit_width(a->id()) > arrow::bit_width(b->id()) ? a : b;
}

TypePtr TypeOfCall(const expr::Call& call, const arrow::Schema& schema) {
  const std::string_view f = call.function;
  if (IsComparison(f) || IsLogic(f) || IsTextTest(f)) return arrow::boolean();
  if (IsOfRowPlace(f)) return f == "random" ? arrow::float64() : arrow::int64();
  std::vector<TypePtr> types;
  for (const ExprPtr& argument : call.arguments) {
    TypePtr type = InferType(argument, schema);
    if (type == nullptr) return nullptr;
    types.push_back(std::move(type));
  }
  if (types.size() == 2 && IsArithmetic(f)) return CommonNumber(types[0], types[1]);
  if (types.size() != 1) return nullptr;
  const TypePtr& only = types.front();
  if (OneOf(f, {"negate", "negate_checked", "abs", "abs_checked"})) {
    return arrow::is_numeric(only->id()) ? only : nullptr;
  }
  if (IsTextMap(f)) return only->id() == arrow::Type::STRING ? only : nullptr;
  if (OneOf(f, {"utf8_length", "list_value_length"})) {
    const bool small = OneOf(only->name(), {"utf8", "list", "fixed_size_list"});
    return small ? arrow::int32() : nullptr;
  }
  if (OneOf(f, {"year", "month", "day", "hour", "minute", "second"})) return arrow::int64();
  return nullptr;
}

TypePtr TypeOfCase(const expr::Case& cases, const arrow::Schema& schema) {
  TypePtr common = cases.otherwise == nullptr ? nullptr : InferType(cases.otherwise, schema);
  if (cases.otherwise != nullptr && common == nullptr) return nullptr;
  for (const auto& [condition, value] : cases.branches) {
    TypePtr type = InferType(value, schema);
    if (type == nullptr || (common != nullptr && !common->Equals(*type))) return nullptr;
    common = std::move(type);
  }
  return common;
}

// Applies `test` to `e` and everything below it until it is true.
template <class Test>
bool AnyNode(const ExprPtr& e, const Test& test) {
  if (e == nullptr) return false;
  if (test(*e)) return true;
  if (const auto* call = e->As<expr::Call>()) {
    return std::any_of(call->arguments.begin(), call->arguments.end(),
                       [&](const ExprPtr& argument) { return AnyNode(argument, test); });
  }
  if (const auto* cast = e->As<expr::Cast>()) return AnyNode(cast->input, test);
  if (const auto* is_in = e->As<expr::IsIn>()) return AnyNode(is_in->input, test);
  if (const auto* cases = e->As<expr::Case>()) {
    return AnyNode(cases->otherwise, test) ||
           std::any_of(cases->branches.begin(), cases->branches.end(), [&](const auto& branch) {
             return AnyNode(branch.first, test) || AnyNode(branch.second, test);
           });
  }
  return false;
}

}  // namespace

TypePtr InferType(const ExprPtr& e, const arrow::Schema& schema) {
  if (const auto* column = e->As<expr::Column>()) {
    auto field = schema.GetFieldByName(column->name);
    return field == nullptr ? nullptr : field->type();
  }
  if (const auto* literal = e->As<expr::Literal>()) return literal->value->type;
  if (const auto* cast = e->As<expr::Cast>()) return cast->type;
  if (e->As<expr::IsIn>() != nullptr) return arrow::boolean();
  if (const auto* cases = e->As<expr::Case>()) return TypeOfCase(*cases, schema);
  return TypeOfCall(*e->As<expr::Call>(), schema);
}

bool IsVolatile(const ExprPtr& e) {
  return AnyNode(e, [](const Expr& node) {
    const auto* call = node.As<expr::Call>();
    return call != nullptr && IsOfRowPlace(call->function);
  });
}

bool MayFail(const ExprPtr& e) {
  return AnyNode(e, [](const Expr& node) {
    if (const auto* cast = node.As<expr::Cast>()) return cast->safe;
    const auto* call = node.As<expr::Call>();
    if (call == nullptr) return false;
    const std::string_view f = call->function;
    return !IsComparison(f) && !IsLogic(f) && !IsTextTest(f) && !IsOfRowPlace(f) &&
           !OneOf(f, {"add", "subtract", "multiply", "negate", "abs", "utf8_length", "utf8_upper",
                      "utf8_lower"});
  });
}

bool IsTrivial(const ExprPtr& e) {
  return e->As<expr::Column>() != nullptr || e->As<expr::Literal>() != nullptr;
}

void CountColumnUses(const ExprPtr& e, std::map<std::string, int>* uses) {
  AnyNode(e, [&](const Expr& node) {
    if (const auto* column = node.As<expr::Column>()) ++(*uses)[column->name];
    return false;
  });
}

}  // namespace headrace
