#pragma once

// Rows as Python dictionaries, straight from Arrow's buffers and back into them.

#include <arrow/type_fwd.h>
#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>

namespace headrace::python {

/// Reads the values of one array as Python objects. Requires: the GIL, for all methods.
class ValueReader {
 public:
  virtual ~ValueReader() = default;
  /// Returns a new reference to the value at `row`, or null with a Python error set.
  virtual PyObject* At(std::int64_t row) = 0;
};

/// Returns a reader of `array`. Types that have none of their own are converted as a whole by
/// headrace._internal.convert.row_values. Throws nb::python_error.
std::unique_ptr<ValueReader> MakeValueReader(const std::shared_ptr<arrow::Array>& array);

/// Binds columns_of: dictionaries to columns.
void BindColumns(nanobind::module_& module);

}  // namespace headrace::python
