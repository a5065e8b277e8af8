#pragma once

// What the binding files share: one file per bound concept, each with its Bind function.

#include <nanobind/nanobind.h>

#include <memory>
#include <string>

#include "headrace/base/resources.h"
#include "headrace/control/plan/logical_plan.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/protocol/expr.h"
#include "headrace/protocol/program.h"

namespace nb = nanobind;

namespace headrace::python {

// The engine's values are shared and const; each Python object holds one of them.

struct PyExpr {
  ExprPtr expr;
};
struct PyFunction {
  FunctionPtr spec;
};
struct PySource {
  std::shared_ptr<const ReadSource> source;
};
struct PyWriteTarget {
  std::shared_ptr<const WriteTarget> target;
};
struct PyPlan {
  LogicalPtr plan;
};
struct PyExecutionOptions : ExecutionOptions {
  bool inline_mode = false;
};

/// Turns {name: None, bool, int, float, str or list of str} into options of a reader or writer.
OptionMap OptionsFromPython(const nb::dict& options);

/// Returns the file system of a pyarrow.fs.FileSystem, an fsspec one, or None.
FileSystemRef FileSystemFromPython(nb::handle file_system);
/// Returns the C++ object inside a pyarrow.fs.FileSystem.
std::shared_ptr<arrow::fs::FileSystem> UnwrapFileSystem(nb::handle file_system);

/// Returns `text` as shared bytes.
std::shared_ptr<const std::string> SharedBytes(const nb::bytes& text);

void BindResources(nb::module_& module);
void BindExpr(nb::module_& module);
void BindFunction(nb::module_& module);
void BindSource(nb::module_& module);
void BindStore(nb::module_& module);
void BindWrite(nb::module_& module);
void BindExecution(nb::module_& module);
void BindPlan(nb::module_& module);
void BindExchange(nb::module_& module);  // After BindPlan.
void BindRules(nb::module_& module);
void BindPolicies(nb::module_& module);  // After BindResources.
void BindReplay(nb::module_& module);
void BindRows(nb::module_& module);
void BindNumbers(nb::module_& module);
void BindWorker(nb::module_& module);
void BindBridge(nb::module_& module);  // After BindResources.

}  // namespace headrace::python
