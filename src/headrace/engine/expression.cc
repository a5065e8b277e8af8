#include "headrace/engine/expression.h"

#include <arrow/scalar.h>

namespace headrace {
namespace {

ExprPtr MakeLiteral(std::shared_ptr<arrow::Scalar> value) {
  return MakeExpr(expr::Literal{std::move(value)});
}

Expression Binary(const char* function, const Expression& a, const Expression& b) {
  return MakeExpr(expr::Call{function, {a.expr(), b.expr()}, "", ""});
}

}  // namespace

Expression::Expression(bool value) : expr_(MakeLiteral(arrow::MakeScalar(value))) {}
Expression::Expression(int value) : Expression(static_cast<std::int64_t>(value)) {}
Expression::Expression(std::int64_t value) : expr_(MakeLiteral(arrow::MakeScalar(value))) {}
Expression::Expression(double value) : expr_(MakeLiteral(arrow::MakeScalar(value))) {}
Expression::Expression(const char* value) : Expression(std::string(value)) {}
Expression::Expression(std::string value)
    : expr_(MakeLiteral(arrow::MakeScalar(std::move(value)))) {}

Expression Col(std::string name) { return MakeExpr(expr::Column{std::move(name)}); }

Expression CallFunction(std::string function, std::vector<Expression> arguments) {
  expr::Call call;
  call.function = std::move(function);
  for (const Expression& argument : arguments) call.arguments.push_back(argument.expr());
  return MakeExpr(std::move(call));
}

Expression operator+(Expression a, Expression b) { return Binary("add", a, b); }
Expression operator-(Expression a, Expression b) { return Binary("subtract", a, b); }
Expression operator*(Expression a, Expression b) { return Binary("multiply", a, b); }
Expression operator/(Expression a, Expression b) { return Binary("divide", a, b); }
Expression operator==(Expression a, Expression b) { return Binary("equal", a, b); }
Expression operator!=(Expression a, Expression b) { return Binary("not_equal", a, b); }
Expression operator<(Expression a, Expression b) { return Binary("less", a, b); }
Expression operator<=(Expression a, Expression b) { return Binary("less_equal", a, b); }
Expression operator>(Expression a, Expression b) { return Binary("greater", a, b); }
Expression operator>=(Expression a, Expression b) { return Binary("greater_equal", a, b); }
Expression operator&&(Expression a, Expression b) { return Binary("and_kleene", a, b); }
Expression operator||(Expression a, Expression b) { return Binary("or_kleene", a, b); }
Expression operator!(Expression a) { return CallFunction("invert", {std::move(a)}); }

}  // namespace headrace
