#pragma once

// The border between Status and Python exceptions. No other file knows both.

#include <nanobind/nanobind.h>

#include <functional>
#include <utility>

#include "headrace/base/status.h"
#include "headrace/protocol/event.h"

namespace nb = nanobind;

namespace headrace::python {

/// Raises what users expect for `status`: FileNotFoundError and OSError for IOError, ValueError
/// for Invalid, and so on; a status that carries a Failure raises that. Requires: the GIL.
[[noreturn]] void Raise(const Status& status);

/// Raises the user's own exception if `failure` holds one, with the traceback of the place where
/// it happened shown first and a note that names the operator, file and rows.
[[noreturn]] void RaiseFailure(const Failure& failure);

inline void Check(const Status& status) {
  if (!status.ok()) Raise(status);
}

template <class T>
T Unwrap(Result<T> result) {
  if (!result.ok()) Raise(result.status());
  return std::move(result).ValueUnsafe();
}

/// Runs the handlers of signals that came in; raises what they raise. Requires: the GIL.
void CheckSignals();

/// Returns `error` as a status that carries a Failure made from what `describe` tells of the
/// exception: a dict with message, context, traceback (str) and exception (bytes or None).
/// Requires: the GIL.
Status StatusOfPythonError(nb::python_error& error,
                           const std::function<nb::object(nb::handle)>& describe);

}  // namespace headrace::python
