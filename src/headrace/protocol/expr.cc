#include "headrace/protocol/expr.h"

#include <arrow/array.h>
#include <arrow/compare.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <algorithm>
#include <array>

#include "headrace/base/overloaded.h"
#include "headrace/base/wire.h"
#include "headrace/protocol/arrow_wire.h"

namespace headrace {
namespace {

bool EqualLists(const std::vector<ExprPtr>& a, const std::vector<ExprPtr>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const ExprPtr& x, const ExprPtr& y) { return Equals(x, y); });
}

struct EqualNodes {
  arrow::EqualOptions options = arrow::EqualOptions::Defaults().nans_equal(true);

  bool operator()(const expr::Column& a, const expr::Column& b) const { return a.name == b.name; }
  bool operator()(const expr::Literal& a, const expr::Literal& b) const {
    return a.value == b.value || a.value->Equals(*b.value, options);
  }
  bool operator()(const expr::Call& a, const expr::Call& b) const {
    return a.function == b.function && a.options_type == b.options_type && a.options == b.options &&
           EqualLists(a.arguments, b.arguments);
  }
  bool operator()(const expr::Cast& a, const expr::Cast& b) const {
    return a.safe == b.safe && a.type->Equals(*b.type) && Equals(a.input, b.input);
  }
  bool operator()(const expr::IsIn& a, const expr::IsIn& b) const {
    return Equals(a.input, b.input) &&
           (a.values == b.values || a.values->Equals(*b.values, options));
  }
  bool operator()(const expr::Case& a, const expr::Case& b) const {
    return Equals(a.otherwise, b.otherwise) &&
           std::equal(a.branches.begin(), a.branches.end(), b.branches.begin(), b.branches.end(),
                      [](const auto& x, const auto& y) {
                        return Equals(x.first, y.first) && Equals(x.second, y.second);
                      });
  }
  template <class A, class B>
  bool operator()(const A&, const B&) const {
    return false;
  }
};

// Arrow's functions that have an operator in the user's language.
std::string_view BinarySymbol(std::string_view function) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kSymbols{{
      {"add", "+"},
      {"add_checked", "+"},
      {"subtract", "-"},
      {"subtract_checked", "-"},
      {"multiply", "*"},
      {"multiply_checked", "*"},
      {"divide", "/"},
      {"divide_checked", "/"},
      {"power", "**"},
      {"equal", "=="},
      {"not_equal", "!="},
      {"less", "<"},
      {"less_equal", "<="},
      {"greater", ">"},
      {"greater_equal", ">="},
      {"and_kleene", "&"},
      {"or_kleene", "|"},
      {"and", "&"},
      {"or", "|"},
  }};
  for (const auto& [name, symbol] : kSymbols) {
    if (name == function) return symbol;
  }
  return "";
}

std::string Print(const ExprPtr& e, bool nested);

std::string PrintScalar(const arrow::Scalar& scalar) {
  if (!scalar.is_valid) return "null";
  if (arrow::is_base_binary_like(scalar.type->id())) return "'" + scalar.ToString() + "'";
  return scalar.ToString();
}

std::string PrintCall(const expr::Call& call, bool nested) {
  const std::string_view symbol = BinarySymbol(call.function);
  if (!symbol.empty() && call.arguments.size() == 2) {
    std::string text = Print(call.arguments[0], true) + " " + std::string(symbol) + " " +
                       Print(call.arguments[1], true);
    return nested ? "(" + text + ")" : text;
  }
  if (call.function == "invert" && call.arguments.size() == 1) {
    return "~" + Print(call.arguments[0], true);
  }
  std::string text = call.function + "(";
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    if (i > 0) text += ", ";
    text += Print(call.arguments[i], false);
  }
  return text + ")";
}

std::string PrintValues(const arrow::Array& values) {
  constexpr std::int64_t kShown = 10;
  std::string text = "[";
  for (std::int64_t i = 0; i < std::min(values.length(), kShown); ++i) {
    if (i > 0) text += ", ";
    auto scalar = values.GetScalar(i);
    text += scalar.ok() ? PrintScalar(**scalar) : "?";
  }
  if (values.length() > kShown) text += ", ... " + std::to_string(values.length()) + " values";
  return text + "]";
}

std::string Print(const ExprPtr& e, bool nested) {
  if (e == nullptr) return "null";
  return std::visit(
      Overloaded{
          [](const expr::Column& column) { return column.name; },
          [](const expr::Literal& literal) { return PrintScalar(*literal.value); },
          [&](const expr::Call& call) { return PrintCall(call, nested); },
          [](const expr::Cast& cast) {
            return "cast(" + Print(cast.input, false) + ", " + cast.type->ToString() +
                   (cast.safe ? ")" : ", safe=False)");
          },
          [](const expr::IsIn& is_in) {
            return "is_in(" + Print(is_in.input, false) + ", " + PrintValues(*is_in.values) + ")";
          },
          [](const expr::Case& cases) {
            std::string text = "case(";
            for (const auto& [condition, value] : cases.branches) {
              text += "when(" + Print(condition, false) + ", " + Print(value, false) + "), ";
            }
            return text + "otherwise " + Print(cases.otherwise, false) + ")";
          },
      },
      e->node);
}

// Returns `e` with its columns replaced, or null. Untouched subtrees are shared.
class Substitution {
 public:
  explicit Substitution(const std::vector<NamedExpr>& mapping) : mapping_(mapping) {}

  ExprPtr Apply(const ExprPtr& e) const {
    return std::visit([&](const auto& node) { return Node(e, node); }, e->node);
  }

 private:
  ExprPtr Node(const ExprPtr&, const expr::Column& column) const {
    for (const NamedExpr& entry : mapping_) {
      if (entry.name == column.name) return entry.expr;
    }
    return nullptr;
  }
  ExprPtr Node(const ExprPtr& e, const expr::Literal&) const { return e; }
  ExprPtr Node(const ExprPtr&, const expr::Call& call) const {
    expr::Call copy = call;
    for (ExprPtr& argument : copy.arguments) {
      if ((argument = Apply(argument)) == nullptr) return nullptr;
    }
    return MakeExpr(std::move(copy));
  }
  ExprPtr Node(const ExprPtr&, const expr::Cast& cast) const {
    ExprPtr input = Apply(cast.input);
    return input == nullptr ? nullptr : MakeExpr(expr::Cast{input, cast.type, cast.safe});
  }
  ExprPtr Node(const ExprPtr&, const expr::IsIn& is_in) const {
    ExprPtr input = Apply(is_in.input);
    return input == nullptr ? nullptr : MakeExpr(expr::IsIn{input, is_in.values});
  }
  ExprPtr Node(const ExprPtr&, const expr::Case& cases) const {
    expr::Case copy = cases;
    for (auto& [condition, value] : copy.branches) {
      condition = Apply(condition);
      value = Apply(value);
      if (condition == nullptr || value == nullptr) return nullptr;
    }
    if (copy.otherwise != nullptr && (copy.otherwise = Apply(copy.otherwise)) == nullptr) {
      return nullptr;
    }
    return MakeExpr(std::move(copy));
  }

  const std::vector<NamedExpr>& mapping_;
};

bool IsConjunction(const expr::Call& call) {
  return (call.function == "and_kleene" || call.function == "and") && call.arguments.size() == 2;
}

void CollectTerms(const ExprPtr& e, std::vector<ExprPtr>* terms) {
  const auto* call = e->As<expr::Call>();
  if (call == nullptr || !IsConjunction(*call)) return terms->push_back(e);
  for (const ExprPtr& argument : call->arguments) CollectTerms(argument, terms);
}

// ---- Wire form: a tag, then the node. Tag 0 is the missing expression.

enum class Tag : std::uint8_t { kNone, kColumn, kLiteral, kCall, kCast, kIsIn, kCase };

void WriteTag(Tag tag, WireWriter* out) { out->U8(static_cast<std::uint8_t>(tag)); }

Result<ExprPtr> ReadRequired(WireReader* in) {
  ARROW_ASSIGN_OR_RAISE(ExprPtr e, ReadExpr(in));
  if (e == nullptr) return Status::Invalid("malformed expression: a part is missing");
  return e;
}

Result<ExprPtr> ReadCall(WireReader* in) {
  expr::Call call;
  call.function = in->String();
  call.arguments.resize(in->Count());
  for (ExprPtr& argument : call.arguments) {
    ARROW_ASSIGN_OR_RAISE(argument, ReadRequired(in));
  }
  call.options_type = in->String();
  call.options = in->String();
  return MakeExpr(std::move(call));
}

Result<ExprPtr> ReadCase(WireReader* in) {
  expr::Case cases;
  cases.branches.resize(in->Count());
  for (auto& [condition, value] : cases.branches) {
    ARROW_ASSIGN_OR_RAISE(condition, ReadRequired(in));
    ARROW_ASSIGN_OR_RAISE(value, ReadRequired(in));
  }
  ARROW_ASSIGN_OR_RAISE(cases.otherwise, ReadExpr(in));
  return MakeExpr(std::move(cases));
}

Result<ExprPtr> ReadNode(Tag tag, WireReader* in) {
  switch (tag) {
    case Tag::kNone:
      return nullptr;
    case Tag::kColumn:
      return MakeExpr(expr::Column{in->String()});
    case Tag::kLiteral: {
      ARROW_ASSIGN_OR_RAISE(auto value, ReadScalar(in));
      return MakeExpr(expr::Literal{std::move(value)});
    }
    case Tag::kCall:
      return ReadCall(in);
    case Tag::kCast: {
      expr::Cast cast;
      ARROW_ASSIGN_OR_RAISE(cast.input, ReadRequired(in));
      ARROW_ASSIGN_OR_RAISE(cast.type, ReadType(in));
      cast.safe = in->Bool();
      return MakeExpr(std::move(cast));
    }
    case Tag::kIsIn: {
      expr::IsIn is_in;
      ARROW_ASSIGN_OR_RAISE(is_in.input, ReadRequired(in));
      ARROW_ASSIGN_OR_RAISE(is_in.values, ReadArray(in));
      return MakeExpr(std::move(is_in));
    }
    case Tag::kCase:
      return ReadCase(in);
  }
  return Status::Invalid("malformed expression: unknown kind ", static_cast<int>(tag));
}

}  // namespace

bool Equals(const ExprPtr& a, const ExprPtr& b) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr) return false;
  return std::visit(EqualNodes{}, a->node, b->node);
}

std::string ToString(const ExprPtr& e) { return Print(e, false); }

void CollectColumns(const ExprPtr& e, std::vector<std::string>* names) {
  if (e == nullptr) return;
  std::visit(Overloaded{
                 [&](const expr::Column& column) {
                   if (std::find(names->begin(), names->end(), column.name) == names->end()) {
                     names->push_back(column.name);
                   }
                 },
                 [](const expr::Literal&) {},
                 [&](const expr::Call& call) {
                   for (const ExprPtr& argument : call.arguments) CollectColumns(argument, names);
                 },
                 [&](const expr::Cast& cast) { CollectColumns(cast.input, names); },
                 [&](const expr::IsIn& is_in) { CollectColumns(is_in.input, names); },
                 [&](const expr::Case& cases) {
                   for (const auto& [condition, value] : cases.branches) {
                     CollectColumns(condition, names);
                     CollectColumns(value, names);
                   }
                   CollectColumns(cases.otherwise, names);
                 },
             },
             e->node);
}

std::vector<ExprPtr> SplitConjunction(const ExprPtr& e) {
  std::vector<ExprPtr> terms;
  if (e != nullptr) CollectTerms(e, &terms);
  return terms;
}

ExprPtr Conjunction(const std::vector<ExprPtr>& terms) {
  ExprPtr all;
  for (const ExprPtr& term : terms) {
    all = all == nullptr ? term : MakeExpr(expr::Call{"and_kleene", {all, term}, "", ""});
  }
  return all;
}

ExprPtr SubstituteColumns(const ExprPtr& e, const std::vector<NamedExpr>& mapping) {
  return e == nullptr ? nullptr : Substitution(mapping).Apply(e);
}

void WriteExpr(const ExprPtr& e, WireWriter* out) {
  if (e == nullptr) return WriteTag(Tag::kNone, out);
  std::visit(Overloaded{
                 [&](const expr::Column& column) {
                   WriteTag(Tag::kColumn, out);
                   out->Bytes(column.name);
                 },
                 [&](const expr::Literal& literal) {
                   WriteTag(Tag::kLiteral, out);
                   WriteScalar(literal.value, out);
                 },
                 [&](const expr::Call& call) {
                   WriteTag(Tag::kCall, out);
                   out->Bytes(call.function);
                   out->U64(call.arguments.size());
                   for (const ExprPtr& argument : call.arguments) WriteExpr(argument, out);
                   out->Bytes(call.options_type);
                   out->Bytes(call.options);
                 },
                 [&](const expr::Cast& cast) {
                   WriteTag(Tag::kCast, out);
                   WriteExpr(cast.input, out);
                   WriteType(cast.type, out);
                   out->Bool(cast.safe);
                 },
                 [&](const expr::IsIn& is_in) {
                   WriteTag(Tag::kIsIn, out);
                   WriteExpr(is_in.input, out);
                   WriteArray(is_in.values, out);
                 },
                 [&](const expr::Case& cases) {
                   WriteTag(Tag::kCase, out);
                   out->U64(cases.branches.size());
                   for (const auto& [condition, value] : cases.branches) {
                     WriteExpr(condition, out);
                     WriteExpr(value, out);
                   }
                   WriteExpr(cases.otherwise, out);
                 },
             },
             e->node);
}

Result<ExprPtr> ReadExpr(WireReader* in) {
  const auto tag = static_cast<Tag>(in->U8());
  ExprPtr e;
  if (!in->bad()) {
    ARROW_ASSIGN_OR_RAISE(e, ReadNode(tag, in));
  }
  if (in->bad()) return TruncatedError("expression");
  return e;
}

}  // namespace headrace
