#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "headrace/protocol/expr.h"

// Expressions as C++ users write them; protocol/expr.h has what they stand for.

namespace headrace {

/// An expression under construction: Col("a") + 1 > Col("b").
class Expression {
 public:
  Expression(ExprPtr expr) : expr_(std::move(expr)) {}  // NOLINT: conversions are the point.
  Expression(bool value);                               // NOLINT
  Expression(int value);                                // NOLINT
  Expression(std::int64_t value);                       // NOLINT
  Expression(double value);                             // NOLINT
  Expression(const char* value);                        // NOLINT
  Expression(std::string value);                        // NOLINT

  const ExprPtr& expr() const { return expr_; }

 private:
  ExprPtr expr_;
};

/// The column of this name.
Expression Col(std::string name);
/// A function by its name, see protocol/expr.h, with default options.
Expression CallFunction(std::string function, std::vector<Expression> arguments);

Expression operator+(Expression a, Expression b);
Expression operator-(Expression a, Expression b);
Expression operator*(Expression a, Expression b);
Expression operator/(Expression a, Expression b);
Expression operator==(Expression a, Expression b);
Expression operator!=(Expression a, Expression b);
Expression operator<(Expression a, Expression b);
Expression operator<=(Expression a, Expression b);
Expression operator>(Expression a, Expression b);
Expression operator>=(Expression a, Expression b);
Expression operator&&(Expression a, Expression b);
Expression operator||(Expression a, Expression b);
Expression operator!(Expression a);

}  // namespace headrace
