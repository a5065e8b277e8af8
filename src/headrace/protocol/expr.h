#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/base/status.h"

// Expressions over the columns of a block, as immutable values.
//
// Built by the user, rewritten by the optimizer, evaluated by data/transform with Arrow's
// compute functions, whose names and null rules they use: Call{"add", {a, b}} is Arrow's "add".

namespace arrow {
class Array;
class DataType;
class Scalar;
}  // namespace arrow

namespace headrace {

class WireReader;
class WireWriter;
struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;

namespace expr {

/// The column of this name. Evaluation fails if the block has none, and names those it has.
struct Column {
  std::string name;
};

/// A constant.
struct Literal {
  std::shared_ptr<arrow::Scalar> value;
};

/// A function of Arrow or of data/transform/row_function.h. `options_type` and `options` are what
/// arrow::compute::FunctionOptions::type_name() and Serialize() give; empty: the default.
struct Call {
  std::string function;
  std::vector<ExprPtr> arguments;
  std::string options_type;
  std::string options;
};

/// A conversion; `safe` fails on overflow and truncation instead of wrapping.
struct Cast {
  ExprPtr input;
  std::shared_ptr<arrow::DataType> type;
  bool safe = true;
};

/// True where the input is one of `values`. Null is in the set only if the set has a null.
struct IsIn {
  ExprPtr input;
  std::shared_ptr<arrow::Array> values;
};

/// The first branch whose condition is true, else the default (null: a null).
struct Case {
  std::vector<std::pair<ExprPtr, ExprPtr>> branches;
  ExprPtr otherwise;
};

}  // namespace expr

/// One node. Compare with Equals(); shared subtrees are never changed.
struct Expr {
  std::variant<expr::Column, expr::Literal, expr::Call, expr::Cast, expr::IsIn, expr::Case> node;

  template <class T>
  const T* As() const {
    return std::get_if<T>(&node);
  }
};

/// An expression and the name of the column that it makes.
struct NamedExpr {
  std::string name;
  ExprPtr expr;
};

template <class Node>
ExprPtr MakeExpr(Node node) {
  return std::make_shared<const Expr>(Expr{std::move(node)});
}

/// Returns true if both trees are the same by value. Null equals null only.
bool Equals(const ExprPtr& a, const ExprPtr& b);

/// Prints as the user would write it: "((x + 1) > 2) & is_in(y, [1, 2])".
std::string ToString(const ExprPtr& e);

/// Adds the names of the columns that `e` reads, in order of first use, without doubles.
void CollectColumns(const ExprPtr& e, std::vector<std::string>* names);

/// Splits a conjunction into its terms: "a & b & c" into {a, b, c}.
std::vector<ExprPtr> SplitConjunction(const ExprPtr& e);

/// Joins terms by Kleene "and"; one term is itself, none is null.
ExprPtr Conjunction(const std::vector<ExprPtr>& terms);

/// Returns `e` with each column replaced by what `mapping` has for its name, or null if some
/// column that `e` reads is not in the mapping.
ExprPtr SubstituteColumns(const ExprPtr& e, const std::vector<NamedExpr>& mapping);

void WriteExpr(const ExprPtr& e, WireWriter* out);
Result<ExprPtr> ReadExpr(WireReader* in);

}  // namespace headrace
