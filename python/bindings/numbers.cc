// Columns of numbers between Arrow and numpy, without a copy. What pyarrow's and our own Python
// code would do in tens of steps is done here in one: between two batches of a small function, or
// of an accelerator that left the caches cold, those steps are most of the engine's time.

#include <arrow/api.h>
#include <arrow/python/common.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/runtime/store/arena.h"

namespace headrace::python {
namespace {

using arrow::Type;

// ---- Arrow to numpy -------------------------------------------------------------------------

// Memory of Arrow as numpy takes it.
struct ArrayMemory {
  std::shared_ptr<arrow::Buffer> buffer;
  bool writable = false;
};

int GetArrayMemory(PyObject* self, Py_buffer* view, int flags) {
  const ArrayMemory& memory = *nb::inst_ptr<ArrayMemory>(self);
  auto* data = const_cast<std::uint8_t*>(memory.buffer->data());
  return PyBuffer_FillInfo(view, self, data, memory.buffer->size(), !memory.writable, flags);
}

PyType_Slot kArrayMemorySlots[] = {
    {Py_bf_getbuffer, reinterpret_cast<void*>(&GetArrayMemory)},
    {0, nullptr},
};

// In the shared memory of this process: a block that lies there goes to others without a copy.
ArrayMemory AllocateShared(std::int64_t num_bytes) {
  if (num_bytes < 0) throw nb::value_error("a negative number of bytes");
  const std::shared_ptr<Arena> arena = Unwrap(Arena::ForProcess());
  return {Unwrap(arrow::AllocateBuffer(num_bytes, arena->pool())), true};
}

// What numpy calls the type; null for all but plain numbers.
const char* NumpyCode(Type::type type) {
  switch (type) {
    case Type::INT8:
      return "i1";
    case Type::INT16:
      return "i2";
    case Type::INT32:
      return "i4";
    case Type::INT64:
      return "i8";
    case Type::UINT8:
      return "u1";
    case Type::UINT16:
      return "u2";
    case Type::UINT32:
      return "u4";
    case Type::UINT64:
      return "u8";
    case Type::HALF_FLOAT:
      return "f2";
    case Type::FLOAT:
      return "f4";
    case Type::DOUBLE:
      return "f8";
    default:
      return nullptr;
  }
}

// Objects of numpy's that are looked up once.
struct Numpy {
  nb::object array_type, frombuffer;
  std::array<nb::object, Type::MAX_ID> dtypes;

  static Numpy& Get() {
    static auto* numpy = new Numpy();  // Leaked: the interpreter ends before statics do.
    return *numpy;
  }

 private:
  Numpy() {
    const nb::module_ module = nb::module_::import_("numpy");
    array_type = module.attr("ndarray");
    frombuffer = module.attr("frombuffer");
    for (int id = 0; id < Type::MAX_ID; ++id) {
      const char* code = NumpyCode(static_cast<Type::type>(id));
      if (code != nullptr) dtypes[static_cast<std::size_t>(id)] = module.attr("dtype")(code);
    }
  }
};

nb::object ViewOrColumn(const std::shared_ptr<arrow::ChunkedArray>& column) {
  const Type::type type = column->type()->id();
  if (NumpyCode(type) == nullptr || column->num_chunks() != 1 || column->length() == 0 ||
      column->null_count() > 0) {
    return nb::cast(column);
  }
  const arrow::ArrayData& data = *column->chunk(0)->data();
  Numpy& numpy = Numpy::Get();
  const std::int64_t width = arrow::bit_width(type) / 8;
  return numpy.frombuffer(nb::cast(ArrayMemory{data.buffers[1]}),
                          numpy.dtypes[static_cast<std::size_t>(type)], data.length,
                          data.offset * width);
}

nb::dict NumpyViews(const std::shared_ptr<arrow::Table>& table) {
  nb::dict columns;
  for (int i = 0; i < table->num_columns(); ++i) {
    const std::string& name = table->schema()->field(i)->name();
    columns[nb::str(name.data(), name.size())] = ViewOrColumn(table->column(i));
  }
  return columns;
}

// ---- numpy to Arrow -------------------------------------------------------------------------

// The type of a one-dimensional array in native byte order whose values follow each other; null
// for any other.
std::shared_ptr<arrow::DataType> TypeOfNumbers(const Py_buffer& view) {
  const std::string_view format = view.format == nullptr ? "" : view.format;
  if (view.ndim != 1 || format.size() != 1 || view.shape[0] == 0) return nullptr;
  const bool is_signed = std::string_view("bhilq").find(format[0]) != std::string_view::npos;
  const bool is_unsigned = std::string_view("BHILQ").find(format[0]) != std::string_view::npos;
  if (is_signed || is_unsigned) {
    switch (view.itemsize) {
      case 1:
        return is_signed ? arrow::int8() : arrow::uint8();
      case 2:
        return is_signed ? arrow::int16() : arrow::uint16();
      case 4:
        return is_signed ? arrow::int32() : arrow::uint32();
      default:
        return is_signed ? arrow::int64() : arrow::uint64();
    }
  }
  if (format == "e") return arrow::float16();
  if (format == "f") return arrow::float32();
  return format == "d" ? arrow::float64() : nullptr;
}

std::shared_ptr<arrow::DataType> TypeOfNumbers(nb::handle values) {
  Py_buffer view;
  if (PyObject_GetBuffer(values.ptr(), &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) != 0) {
    PyErr_Clear();  // Of dates, or not contiguous.
    return nullptr;
  }
  std::shared_ptr<arrow::DataType> type = TypeOfNumbers(view);
  PyBuffer_Release(&view);
  return type;
}

// Batches of one function mostly have one schema; to compare schemas is dear where they are not
// one object.
std::shared_ptr<arrow::Schema> SchemaOf(arrow::FieldVector fields) {
  static auto* last = new std::shared_ptr<arrow::Schema>(arrow::schema({}));  // Python's lock.
  const bool same = std::equal(fields.begin(), fields.end(), (*last)->fields().begin(),
                               (*last)->fields().end(), [](const auto& a, const auto& b) {
                                 return a->name() == b->name() && a->type() == b->type();
                               });
  if (!same) *last = arrow::schema(std::move(fields));
  return *last;
}

// Returns null unless all values are arrays of numbers, of one length and not empty.
std::shared_ptr<arrow::Table> TableOfNumbers(const nb::dict& batch) {
  const nb::handle array_type = Numpy::Get().array_type;
  arrow::FieldVector fields;
  std::vector<std::shared_ptr<arrow::Array>> arrays;
  for (const auto& [name, values] : batch) {
    if (!PyUnicode_Check(name.ptr()) || values.type().ptr() != array_type.ptr()) return nullptr;
    std::shared_ptr<arrow::DataType> type = TypeOfNumbers(values);
    if (type == nullptr) return nullptr;
    std::shared_ptr<arrow::Buffer> buffer = Unwrap(arrow::py::PyBuffer::FromPyObject(values.ptr()));
    const std::int64_t length = buffer->size() / (arrow::bit_width(type->id()) / 8);
    if (!arrays.empty() && arrays.front()->length() != length) return nullptr;
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
    if (text == nullptr) throw nb::python_error();
    fields.push_back(arrow::field(std::string(text, static_cast<std::size_t>(size)), type));
    arrays.push_back(arrow::MakeArray(
        arrow::ArrayData::Make(std::move(type), length, {nullptr, std::move(buffer)}, 0)));
  }
  if (arrays.empty()) return nullptr;
  return arrow::Table::Make(SchemaOf(std::move(fields)), arrays);
}

}  // namespace

void BindNumbers(nb::module_& module) {
  nb::class_<ArrayMemory>(module, "ArrayMemory", nb::type_slots(kArrayMemorySlots))
      .def_prop_ro("buffer", [](const ArrayMemory& self) {
        return nb::steal(arrow::py::wrap_buffer(self.buffer));
      });
  module.def("allocate_shared", &AllocateShared, nb::arg("num_bytes"));
  module.def("numpy_views", &NumpyViews, nb::arg("table"));
  module.def("table_of_numbers", &TableOfNumbers, nb::arg("batch"));
}

}  // namespace headrace::python
