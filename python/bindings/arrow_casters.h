#pragma once

// Arrow objects across the border: pyarrow's own C API, so the same C++ object on both sides.
//
// A null pointer is None. Arguments that may be None say so by `nb::arg().none()`.

#include <arrow/python/pyarrow.h>
#include <nanobind/nanobind.h>

#include <memory>

namespace arrow {
class ChunkedArray;
}  // namespace arrow

#define HEADRACE_ARROW_CASTER(TYPE, SUFFIX, NAME)                                           \
  template <>                                                                               \
  struct nanobind::detail::type_caster<std::shared_ptr<TYPE>> {                             \
    NB_TYPE_CASTER(std::shared_ptr<TYPE>, const_name(NAME))                                 \
    bool from_python(handle source, std::uint8_t, cleanup_list*) noexcept {                 \
      if (source.is_none()) {                                                               \
        value.reset();                                                                      \
        return true;                                                                        \
      }                                                                                     \
      if (!arrow::py::is_##SUFFIX(source.ptr())) return false;                              \
      auto unwrapped = arrow::py::unwrap_##SUFFIX(source.ptr());                            \
      if (!unwrapped.ok()) return false;                                                    \
      value = *std::move(unwrapped);                                                        \
      return true;                                                                          \
    }                                                                                       \
    static handle from_cpp(const std::shared_ptr<TYPE>& source, rv_policy, cleanup_list*) { \
      if (source == nullptr) return none().release();                                       \
      return arrow::py::wrap_##SUFFIX(source);                                              \
    }                                                                                       \
  }

HEADRACE_ARROW_CASTER(arrow::Table, table, "pyarrow.Table");
HEADRACE_ARROW_CASTER(arrow::RecordBatch, batch, "pyarrow.RecordBatch");
HEADRACE_ARROW_CASTER(arrow::Schema, schema, "pyarrow.Schema");
HEADRACE_ARROW_CASTER(arrow::DataType, data_type, "pyarrow.DataType");
HEADRACE_ARROW_CASTER(arrow::Array, array, "pyarrow.Array");
HEADRACE_ARROW_CASTER(arrow::ChunkedArray, chunked_array, "pyarrow.ChunkedArray");
HEADRACE_ARROW_CASTER(arrow::Scalar, scalar, "pyarrow.Scalar");

#undef HEADRACE_ARROW_CASTER
