#include "errors.h"

#include <arrow/util/io_util.h>
#include <nanobind/stl/string.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "headrace/data/transform/function.h"

namespace headrace::python {
namespace {

// Text from elsewhere may be cut inside a character.
nb::object Text(const std::string& text) {
  return nb::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

// Text of Python's may have halves of characters, as names of files that are no UTF-8 have.
std::string Utf8(nb::handle value) {
  const nb::str text(value);
  const nb::object bytes =
      nb::steal(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace"));
  if (!bytes.is_valid()) throw nb::python_error();
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The operating system's error number, from the detail where it survived, else from the text.
int ErrnoOf(const Status& status) {
  if (int number = arrow::internal::ErrnoFromStatus(status); number != 0) return number;
  const std::string& text = status.message();
  if (Contains(text, "No such file or directory") || Contains(text, "Path does not exist")) {
    return ENOENT;
  }
  if (Contains(text, "Permission denied")) return EACCES;
  if (Contains(text, "No space left on device")) return ENOSPC;
  return 0;
}

void SetOsError(const Status& status) {
  const int number = ErrnoOf(status);
  PyObject* type = PyExc_OSError;
  if (number == ENOENT) type = PyExc_FileNotFoundError;
  if (number == EACCES) type = PyExc_PermissionError;
  nb::object error = nb::handle(type)(Text(status.message()));
  if (number != 0) error.attr("errno") = number;
  PyErr_SetObject(type, error.ptr());
}

PyObject* TypeOf(arrow::StatusCode code) {
  switch (code) {
    case arrow::StatusCode::OutOfMemory:
      return PyExc_MemoryError;
    case arrow::StatusCode::TypeError:
      return PyExc_TypeError;
    case arrow::StatusCode::IndexError:
      return PyExc_IndexError;
    case arrow::StatusCode::NotImplemented:
      return PyExc_NotImplementedError;
    case arrow::StatusCode::Invalid:
    case arrow::StatusCode::AlreadyExists:
    case arrow::StatusCode::CapacityError:
      return PyExc_ValueError;
    default:
      return PyExc_RuntimeError;
  }
}

[[noreturn]] void RaisePlain(const Status& status) {
  if (status.IsCancelled()) CheckSignals();
  if (status.IsIOError()) {
    SetOsError(status);
  } else if (status.IsSerializationError()) {
    nb::object error = nb::module_::import_("headrace._internal.errors")
                           .attr("undecodable")(Text(status.message()));
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  } else if (status.IsKeyError()) {
    nb::object type = nb::module_::import_("headrace.exceptions").attr("ColumnNotFoundError");
    PyErr_SetObject(type.ptr(), Text(status.message()).ptr());
  } else {
    PyErr_SetObject(TypeOf(status.code()), Text(status.message()).ptr());
  }
  throw nb::python_error();
}

}  // namespace

void CheckSignals() {
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

void Raise(const Status& status) {
  if (status.detail() != nullptr &&
      std::string_view(status.detail()->type_id()) == "headrace::FailureDetail") {
    RaiseFailure(FailureOf(status));
  }
  RaisePlain(status);
}

void RaiseFailure(const Failure& failure) {
  if (failure.kind == FailureKind::kCancelled) CheckSignals();
  nb::dict parts;
  parts["kind"] = failure.kind == FailureKind::kWorkerLost  ? "worker_lost"
                  : failure.kind == FailureKind::kUserError ? "user_error"
                                                            : "other";
  parts["message"] = Text(failure.message);
  parts["context"] = Text(failure.context);
  parts["traceback"] = Text(failure.traceback);
  parts["exception"] = nb::none();
  if (failure.exception != nullptr) {
    parts["exception"] = nb::bytes(failure.exception->data(), failure.exception->size());
  }
  // The builtin exception of the status code, for failures that carry none of their own.
  parts["fallback"] = nb::none();
  try {
    const arrow::StatusCode code =
        failure.code == arrow::StatusCode::OK ? arrow::StatusCode::UnknownError : failure.code;
    RaisePlain(Status(code, failure.message));
  } catch (nb::python_error& error) {
    parts["fallback"] = error.value();
  }
  nb::object raised = nb::module_::import_("headrace._internal.errors").attr("rebuild")(parts);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
  throw nb::python_error();
}

Status StatusOfPythonError(nb::python_error& error,
                           const std::function<nb::object(nb::handle)>& describe) {
  Failure failure;
  failure.kind = FailureKind::kUserError;
  failure.code = arrow::StatusCode::UnknownError;
  try {
    nb::object value = nb::borrow(error.value());
    nb::dict parts = nb::cast<nb::dict>(describe(value));
    failure.message = Utf8(parts["message"]);
    failure.context = Utf8(parts["context"]);
    failure.traceback = Utf8(parts["traceback"]);
    nb::object exception = parts["exception"];
    if (nb::isinstance<nb::bytes>(exception)) {
      auto bytes = nb::cast<nb::bytes>(exception);
      failure.exception = std::make_shared<const std::string>(bytes.c_str(), bytes.size());
    }
  } catch (const std::exception& second) {
    failure.message =
        std::string(error.what()) + "\n(and then, while describing it: " + second.what() + ")";
  }
  return MakeFailureStatus(std::move(failure));
}

}  // namespace headrace::python
