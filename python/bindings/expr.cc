// Expressions over columns.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/data/transform/evaluate.h"

namespace headrace::python {
namespace {

template <class Node>
PyExpr Make(Node node) {
  return {MakeExpr(std::move(node))};
}

PyExpr MakeCall(std::string function, const std::vector<PyExpr>& arguments,
                std::string options_type, const nb::bytes& options) {
  expr::Call call{std::move(function),
                  {},
                  std::move(options_type),
                  std::string(options.c_str(), options.size())};
  for (const PyExpr& argument : arguments) call.arguments.push_back(argument.expr);
  return Make(std::move(call));
}

PyExpr MakeCase(const std::vector<std::pair<PyExpr, PyExpr>>& branches,
                std::optional<PyExpr> otherwise) {
  expr::Case node;
  for (const auto& [condition, value] : branches) {
    node.branches.emplace_back(condition.expr, value.expr);
  }
  if (otherwise) node.otherwise = otherwise->expr;
  return Make(std::move(node));
}

std::vector<std::string> ColumnsOfExpr(const PyExpr& self) {
  std::vector<std::string> names;
  CollectColumns(self.expr, &names);
  return names;
}

}  // namespace

void BindExpr(nb::module_& module) {
  nb::class_<PyExpr>(module, "Expr")
      .def_static(
          "column", [](std::string name) { return Make(expr::Column{std::move(name)}); },
          nb::arg("name"))
      .def_static(
          "literal",
          [](std::shared_ptr<arrow::Scalar> value) {
            return Make(expr::Literal{std::move(value)});
          },
          nb::arg("value"))
      .def_static("call", &MakeCall, nb::arg("function"), nb::arg("arguments"),
                  nb::arg("options_type") = "", nb::arg("options") = nb::bytes("", 0))
      .def_static(
          "cast",
          [](const PyExpr& input, std::shared_ptr<arrow::DataType> type, bool safe) {
            return Make(expr::Cast{input.expr, std::move(type), safe});
          },
          nb::arg("input"), nb::arg("type"), nb::arg("safe") = true)
      .def_static(
          "is_in",
          [](const PyExpr& input, std::shared_ptr<arrow::Array> values) {
            return Make(expr::IsIn{input.expr, std::move(values)});
          },
          nb::arg("input"), nb::arg("values"))
      .def_static("case", &MakeCase, nb::arg("branches"), nb::arg("otherwise").none())
      .def(
          "equals",
          [](const PyExpr& self, const PyExpr& other) { return Equals(self.expr, other.expr); },
          nb::arg("other"))
      .def("columns", &ColumnsOfExpr)
      .def(
          "evaluate",
          [](const PyExpr& self, const std::shared_ptr<arrow::Table>& table) {
            Result<std::shared_ptr<arrow::ChunkedArray>> values = [&] {
              nb::gil_scoped_release unlocked;
              return Evaluate(self.expr, *table);
            }();
            return Unwrap(std::move(values));
          },
          nb::arg("table"))
      .def("__str__", [](const PyExpr& self) { return ToString(self.expr); })
      .def("__repr__", [](const PyExpr& self) { return ToString(self.expr); });
}

}  // namespace headrace::python
