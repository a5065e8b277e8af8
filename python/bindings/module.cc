#include <arrow/python/pyarrow.h>

#include "bindings.h"
#include "errors.h"
#include "headrace/data/transform/arrow_init.h"

NB_MODULE(_core, module) {
  using namespace headrace::python;  // NOLINT: the module is made of it.
  module.doc() = "The C++ engine. Private: import nothing from here in user code.";
  module.attr("__version__") = HEADRACE_VERSION;
  if (arrow::py::import_pyarrow() != 0) throw nb::python_error();
  Check(headrace::InitializeArrow());
  // Objects that the user keeps at exit are the user's business, not a bug of this module.
  nb::set_leak_warnings(false);
  BindResources(module);
  BindExpr(module);
  BindFunction(module);
  BindSource(module);
  BindStore(module);
  BindWrite(module);
  BindExecution(module);
  BindPlan(module);
  BindExchange(module);
  BindRules(module);
  BindPolicies(module);
  BindReplay(module);
  BindRows(module);
  BindNumbers(module);
  BindWorker(module);
  BindBridge(module);
}
