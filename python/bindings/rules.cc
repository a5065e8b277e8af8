// Logical rules written in Python.

#include <nanobind/stl/string.h>

#include <utility>

#include "bindings.h"
#include "errors.h"
#include "function_runtime.h"
#include "headrace/control/optimize/rule.h"
#include "process.h"

namespace headrace::python {
namespace {

class PythonRule final : public Rule {
 public:
  PythonRule(std::string name, nb::object rewrite)
      : name_(std::move(name)), rewrite_(std::move(rewrite)) {}
  ~PythonRule() override {
    nb::gil_scoped_acquire locked;
    rewrite_.reset();
  }

  std::string_view name() const override { return name_; }

  Result<LogicalPtr> Rewrite(const LogicalPtr& op) const override {
    nb::gil_scoped_acquire locked;
    try {
      PyPlan better;
      nb::object result = rewrite_(PyPlan{op});
      if (!nb::try_cast(result, better)) {
        return Status::TypeError("the rule '", name_, "' must return a plan");
      }
      return better.plan;
    } catch (nb::python_error& error) {
      return StatusOfPythonError(error, [](nb::handle value) {
        return nb::module_::import_("headrace._internal.errors").attr("describe")(value);
      });
    }
  }

 private:
  const std::string name_;
  nb::object rewrite_;
};

}  // namespace

void BindRules(nb::module_& module) {
  module.def(
      "add_rule",
      [](std::string name, nb::object rewrite) {
        Check(AddSessionRule(
            std::make_shared<const PythonRule>(std::move(name), std::move(rewrite))));
      },
      nb::arg("name"), nb::arg("rewrite"));
  module.def(
      "remove_rule", [](const std::string& name) { return Unwrap(RemoveSessionRule(name)); },
      nb::arg("name"));
}

}  // namespace headrace::python
