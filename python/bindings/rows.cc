// Tables as rows: an iterator of dictionaries.

#include "rows.h"

#include <arrow/api.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/unique_ptr.h>

#include <utility>
#include <vector>

#include "arrow_casters.h"
#include "bindings.h"

namespace headrace::python {
namespace {

// One column of a table, read from the first row to the last.
class ColumnCursor {
 public:
  ColumnCursor(const std::string& name, std::shared_ptr<arrow::ChunkedArray> column)
      : column_(std::move(column)) {
    PyObject* text = PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size()));
    if (text == nullptr) throw nb::python_error();
    PyUnicode_InternInPlace(&text);
    name_ = nb::steal(text);
  }

  PyObject* name() const { return name_.ptr(); }

  /// Returns the next value. Requires: there is one.
  PyObject* Next() {
    while (row_ == size_) OpenChunk();
    return reader_->At(row_++);
  }

 private:
  void OpenChunk() {
    const std::shared_ptr<arrow::Array>& chunk = column_->chunk(next_chunk_++);
    row_ = 0;
    size_ = chunk->length();
    reader_ = size_ > 0 ? MakeValueReader(chunk) : nullptr;
  }

  nb::object name_;
  std::shared_ptr<arrow::ChunkedArray> column_;
  std::unique_ptr<ValueReader> reader_;
  int next_chunk_ = 0;
  std::int64_t row_ = 0, size_ = 0;
};

class RowIterator {
 public:
  explicit RowIterator(const std::shared_ptr<arrow::Table>& table) : num_rows_(table->num_rows()) {
    for (int i = 0; i < table->num_columns(); ++i) {
      columns_.push_back(std::make_unique<ColumnCursor>(table->field(i)->name(), table->column(i)));
    }
  }

  RowIterator(const RowIterator&) = delete;
  RowIterator& operator=(const RowIterator&) = delete;

  /// Returns a new reference to the next row; null at the end, or with a Python error set.
  PyObject* Next() {
    if (row_ == num_rows_) return nullptr;
    nb::object row = nb::steal(PyDict_New());
    if (!row.is_valid()) return nullptr;
    for (const auto& column : columns_) {
      nb::object value = nb::steal(column->Next());
      if (!value.is_valid() || PyDict_SetItem(row.ptr(), column->name(), value.ptr()) != 0) {
        return nullptr;
      }
    }
    ++row_;
    return row.release().ptr();
  }

  std::int64_t row() const { return row_; }
  std::int64_t num_rows() const { return num_rows_; }

 private:
  std::vector<std::unique_ptr<ColumnCursor>> columns_;
  const std::int64_t num_rows_;
  std::int64_t row_ = 0;
};

}  // namespace

void BindRows(nb::module_& module) {
  // The slot, not a method: a call per row must cost no argument handling.
  const auto next = [](PyObject* self) -> PyObject* {
    try {
      return nb::inst_ptr<RowIterator>(self)->Next();
    } catch (nb::python_error& error) {
      error.restore();
      return nullptr;
    }
  };
  static PyType_Slot slots[] = {
      {Py_tp_iter, reinterpret_cast<void*>(static_cast<unaryfunc>(
                       [](PyObject* self) -> PyObject* { return Py_NewRef(self); }))},
      {Py_tp_iternext, reinterpret_cast<void*>(static_cast<unaryfunc>(next))},
      {0, nullptr}};
  nb::class_<RowIterator>(module, "RowIterator", nb::type_slots(slots))
      .def_prop_ro("row", &RowIterator::row, "Rows given out so far.")
      .def("__length_hint__", [](const RowIterator& self) { return self.num_rows() - self.row(); });
  module.def(
      "rows_of",
      [](const std::shared_ptr<arrow::Table>& table) {
        return std::make_unique<RowIterator>(table);
      },
      nb::arg("table"));
  BindColumns(module);
}

}  // namespace headrace::python
