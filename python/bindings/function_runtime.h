#pragma once

// Python functions as the pipeline calls them, in a worker process or inline.
//
// The Python half is headrace._internal.worker.Runtime: it unpickles functions and turns batches
// into calls. Here are the iterators between the two, the GIL, and the errors. The GIL is held
// only while Python runs: a pipeline that reads ahead in C++ does not hold it.

#include <nanobind/nanobind.h>

#include <memory>

#include "headrace/data/transform/function.h"

namespace headrace::python {

/// Makes the runtime of functions over `runtime`, a Python Runtime. Requires: the GIL.
std::unique_ptr<FunctionRuntime> MakeFunctionRuntime(nanobind::object runtime);

/// The same over the object given to set_inline_runtime(), or over a new Runtime.
std::unique_ptr<FunctionRuntime> MakeInlineFunctionRuntime();

}  // namespace headrace::python
