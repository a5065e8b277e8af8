// Rows as tables: dictionaries to columns.

#include <arrow/api.h>
#include <arrow/extension/variable_shape_tensor.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/block/block_builder.h"
#include "rows.h"

namespace headrace::python {
namespace {

using ArrayResult = Result<std::shared_ptr<arrow::Array>>;

// Values of one column, borrowed from the rows. Null: the row has no such key.
struct Column {
  nb::object name;
  std::vector<PyObject*> values;
};

bool IsMissing(PyObject* value) { return value == nullptr || value == Py_None; }

// The columns of `rows`, in order of first appearance. Returns the index of the first row that is
// no dictionary, or -1.
std::int64_t Transpose(PyObject* rows, std::vector<Column>* columns) {
  const Py_ssize_t num_rows = PyList_GET_SIZE(rows);
  nb::dict index;
  for (Py_ssize_t row = 0; row < num_rows; ++row) {
    PyObject* dict = PyList_GET_ITEM(rows, row);
    if (!PyDict_Check(dict)) return row;
    PyObject *key = nullptr, *value = nullptr;
    Py_ssize_t at = 0;
    for (std::size_t expected = 0; PyDict_Next(dict, &at, &key, &value) != 0; ++expected) {
      // Rows mostly have the same keys in the same order, and even the same key objects.
      if (expected >= columns->size() || (*columns)[expected].name.ptr() != key) {
        PyObject* known = PyDict_GetItemWithError(index.ptr(), key);
        if (known == nullptr) {
          if (PyErr_Occurred() != nullptr) throw nb::python_error();
          const std::size_t added = columns->size();
          columns->push_back({nb::borrow(key), {}});
          columns->back().values.resize(static_cast<std::size_t>(num_rows));
          index[key] = added;
          expected = added;
        } else {
          expected = PyLong_AsSize_t(known);
        }
      }
      (*columns)[expected].values[static_cast<std::size_t>(row)] = value;
    }
  }
  return -1;
}

enum class ValueKind { kNone, kBool, kInt, kFloat, kText, kBytes, kOther };

ValueKind KindOf(PyObject* value) {
  if (IsMissing(value)) return ValueKind::kNone;
  if (PyLong_CheckExact(value)) return ValueKind::kInt;
  if (PyFloat_CheckExact(value)) return ValueKind::kFloat;
  if (PyUnicode_CheckExact(value)) return ValueKind::kText;
  if (PyBool_Check(value)) return ValueKind::kBool;
  if (PyBytes_CheckExact(value)) return ValueKind::kBytes;
  return ValueKind::kOther;
}

// The kind that all values have; whole numbers among floats count as floats.
ValueKind CommonKind(const std::vector<PyObject*>& values) {
  ValueKind common = ValueKind::kNone;
  for (PyObject* value : values) {
    const ValueKind kind = KindOf(value);
    if (kind == common || kind == ValueKind::kNone) continue;
    const bool numbers = (kind == ValueKind::kInt && common == ValueKind::kFloat) ||
                         (kind == ValueKind::kFloat && common == ValueKind::kInt);
    if (numbers) {
      common = ValueKind::kFloat;
    } else if (common == ValueKind::kNone) {
      common = kind;
    } else {
      return ValueKind::kOther;
    }
    if (common == ValueKind::kOther) return common;
  }
  return common;
}

// Each builder below returns null where a value does not fit the type; Python then decides.

template <class Builder, class Append>
ArrayResult Build(const std::vector<PyObject*>& values, Append append) {
  Builder builder;
  ARROW_RETURN_NOT_OK(builder.Reserve(static_cast<std::int64_t>(values.size())));
  for (PyObject* value : values) {
    if (IsMissing(value)) {
      builder.UnsafeAppendNull();
    } else if (!append(builder, value)) {
      return nullptr;
    }
  }
  return builder.Finish();
}

ArrayResult BuildInts(const std::vector<PyObject*>& values) {
  return Build<arrow::Int64Builder>(values, [](arrow::Int64Builder& builder, PyObject* value) {
    int overflow = 0;
    const std::int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    builder.UnsafeAppend(number);
    return overflow == 0;
  });
}

ArrayResult BuildFloats(const std::vector<PyObject*>& values) {
  return Build<arrow::DoubleBuilder>(values, [](arrow::DoubleBuilder& builder, PyObject* value) {
    if (PyFloat_CheckExact(value)) {
      builder.UnsafeAppend(PyFloat_AS_DOUBLE(value));
      return true;
    }
    int overflow = 0;
    const std::int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    constexpr std::int64_t kExact = std::int64_t{1} << 53;
    if (overflow != 0 || number > kExact || number < -kExact) return false;
    builder.UnsafeAppend(static_cast<double>(number));
    return true;
  });
}

ArrayResult BuildBools(const std::vector<PyObject*>& values) {
  return Build<arrow::BooleanBuilder>(values, [](arrow::BooleanBuilder& builder, PyObject* value) {
    builder.UnsafeAppend(value == Py_True);
    return true;
  });
}

template <class Builder, class View>
ArrayResult BuildViews(const std::vector<PyObject*>& values, View view) {
  std::vector<std::string_view> views(values.size());
  std::int64_t total = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (IsMissing(values[i])) continue;
    if (!view(values[i], &views[i])) return nullptr;
    total += static_cast<std::int64_t>(views[i].size());
  }
  if (total > arrow::kBinaryMemoryLimit) return nullptr;
  Builder builder;
  ARROW_RETURN_NOT_OK(builder.Reserve(static_cast<std::int64_t>(values.size())));
  ARROW_RETURN_NOT_OK(builder.ReserveData(total));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (IsMissing(values[i])) {
      builder.UnsafeAppendNull();
    } else {
      builder.UnsafeAppend(views[i]);
    }
  }
  return builder.Finish();
}

ArrayResult BuildTexts(const std::vector<PyObject*>& values) {
  return BuildViews<arrow::StringBuilder>(values, [](PyObject* value, std::string_view* view) {
    Py_ssize_t size = 0;
    const char* data = PyUnicode_AsUTF8AndSize(value, &size);
    if (data == nullptr) {
      PyErr_Clear();  // A lone surrogate: no text that Arrow can hold.
      return false;
    }
    *view = {data, static_cast<std::size_t>(size)};
    return true;
  });
}

ArrayResult BuildBytes(const std::vector<PyObject*>& values) {
  return BuildViews<arrow::BinaryBuilder>(values, [](PyObject* value, std::string_view* view) {
    *view = {PyBytes_AS_STRING(value), static_cast<std::size_t>(PyBytes_GET_SIZE(value))};
    return true;
  });
}

ArrayResult BuildArray(const std::vector<PyObject*>& values) {
  switch (CommonKind(values)) {
    case ValueKind::kNone:
      return std::make_shared<arrow::NullArray>(static_cast<std::int64_t>(values.size()));
    case ValueKind::kBool:
      return BuildBools(values);
    case ValueKind::kInt:
      return BuildInts(values);
    case ValueKind::kFloat:
      return BuildFloats(values);
    case ValueKind::kText:
      return BuildTexts(values);
    case ValueKind::kBytes:
      return BuildBytes(values);
    case ValueKind::kOther:
      break;
  }
  return nullptr;
}

nb::object ToList(const std::vector<PyObject*>& values) {
  nb::object list = nb::steal(PyList_New(static_cast<Py_ssize_t>(values.size())));
  if (!list.is_valid()) throw nb::python_error();
  for (std::size_t i = 0; i < values.size(); ++i) {
    PyObject* value = IsMissing(values[i]) ? Py_None : values[i];
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), Py_NewRef(value));
  }
  return list;
}

// Returns {name: array, or the list of values where no plain type fits}, or the index of the first
// row that is no dictionary.
nb::object ColumnsOf(const nb::list& rows) {
  std::vector<Column> columns;
  if (const std::int64_t bad = Transpose(rows.ptr(), &columns); bad >= 0) return nb::int_(bad);
  nb::dict result;
  for (const Column& column : columns) {
    std::shared_ptr<arrow::Array> array = Unwrap(BuildArray(column.values));
    result[column.name] = array != nullptr ? nb::cast(array) : ToList(column.values);
  }
  return result;
}

// Returns the values of one column as an array, or None where no plain type fits.
nb::object ArrayOf(const nb::list& values) {
  std::vector<PyObject*> borrowed(nb::len(values));
  for (std::size_t i = 0; i < borrowed.size(); ++i) {
    borrowed[i] = PyList_GET_ITEM(values.ptr(), static_cast<Py_ssize_t>(i));
  }
  std::shared_ptr<arrow::Array> array = Unwrap(BuildArray(borrowed));
  return array != nullptr ? nb::cast(array) : nb::none();
}

}  // namespace

void BindColumns(nb::module_& module) {
  module.def("columns_of", &ColumnsOf, nb::arg("rows"));
  module.def(
      "variable_shape_tensor",
      [](const std::shared_ptr<arrow::DataType>& value_type, int ndim) {
        return Unwrap(arrow::extension::VariableShapeTensorType::Make(value_type, ndim));
      },
      nb::arg("value_type"), nb::arg("ndim"));
  module.def(
      "join_tables",
      [](const std::vector<std::shared_ptr<arrow::Table>>& tables) {
        if (tables.empty()) throw nb::value_error("no tables to join");
        std::vector<Block> blocks;
        for (const auto& table : tables) blocks.emplace_back(table, -1);
        auto joined = [&] {
          nb::gil_scoped_release unlocked;
          return JoinBlocks(blocks, nullptr);
        }();
        return Unwrap(std::move(joined)).table();
      },
      nb::arg("tables"));
  module.def("array_of", &ArrayOf, nb::arg("values"));
}

}  // namespace headrace::python
