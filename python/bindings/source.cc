// What can be read: files, ranges, and sources written in Python; and their file systems.

#include "headrace/data/read/source.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/filesystem/localfs.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <numeric>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/base/rng.h"

namespace headrace::python {
namespace {

// The object layout that pyarrow's _fs.pxd declares for FileSystem; pyarrow exports no function
// to unwrap one. The size of the type and the doubled pointer tell when the layout is another.
struct FileSystemObject {
  PyObject_HEAD PyObject* weak_references;
  void* vtable;
  std::shared_ptr<arrow::fs::FileSystem> wrapped;
  arrow::fs::FileSystem* fs;
};

OptionValue OptionFromPython(nb::handle value) {
  if (value.is_none()) return std::monostate{};
  if (nb::isinstance<nb::bool_>(value)) return nb::cast<bool>(value);
  if (nb::isinstance<nb::int_>(value)) return nb::cast<std::int64_t>(value);
  if (nb::isinstance<nb::float_>(value)) return nb::cast<double>(value);
  if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
  return nb::cast<std::vector<std::string>>(value);
}

std::vector<std::string> PathsOf(const PySource& self) {
  std::vector<std::string> paths;
  for (const ReadUnit& unit : self.source->units) {
    if (unit.path.empty() || (!paths.empty() && paths.back() == unit.path)) continue;
    paths.push_back(unit.path);
    paths.insert(paths.end(), unit.more_paths.begin(), unit.more_paths.end());
  }
  return paths;
}

// What tells whether files have changed: (path, bytes, time of the last change in nanoseconds); -1
// where it cannot be known.
std::vector<std::tuple<std::string, std::int64_t, std::int64_t>> FileStates(const PySource& self) {
  std::shared_ptr<arrow::fs::FileSystem> fs = self.source->file_system.live;
  if (fs == nullptr) fs = std::make_shared<arrow::fs::LocalFileSystem>();
  const std::vector<std::string> paths = PathsOf(self);
  Result<std::vector<arrow::fs::FileInfo>> infos = [&] {
    nb::gil_scoped_release unlocked;
    return fs->GetFileInfo(paths);
  }();
  std::vector<std::tuple<std::string, std::int64_t, std::int64_t>> states;
  for (const arrow::fs::FileInfo& info : Unwrap(std::move(infos))) {
    const bool dated = info.mtime() != arrow::fs::kNoTime;
    states.emplace_back(info.path(), info.size(),
                        dated ? info.mtime().time_since_epoch().count() : -1);
  }
  return states;
}

// Shuffles files; the units of one file stay together and in order.
PySource Shuffled(const PySource& self, std::uint64_t seed) {
  std::vector<std::vector<ReadUnit>> files;
  for (const ReadUnit& unit : self.source->units) {
    const bool same_file =
        !files.empty() && !unit.path.empty() && files.back().front().path == unit.path;
    if (!same_file) files.emplace_back();
    files.back().push_back(unit);
  }
  Rng rng(seed);
  for (std::size_t i = files.size(); i > 1; --i) {
    std::swap(files[i - 1], files[rng.Below(i)]);
  }
  auto source = std::make_shared<ReadSource>(*self.source);
  source->units.clear();
  for (std::vector<ReadUnit>& file : files) {
    for (ReadUnit& unit : file) source->units.push_back(std::move(unit));
  }
  return {std::move(source)};
}

PySource FileSource(std::string format, std::vector<std::string> paths, nb::handle filesystem,
                    const nb::dict& options, std::optional<std::vector<std::string>> extensions,
                    bool ignore_missing_paths, bool include_paths,
                    std::optional<std::string> partitioning_base,
                    std::shared_ptr<arrow::Schema> partition_schema,
                    std::shared_ptr<arrow::Schema> schema) {
  FileSourceOptions file;
  file.format = std::move(format);
  file.paths = std::move(paths);
  file.file_system = FileSystemFromPython(filesystem);
  file.options = OptionsFromPython(options);
  if (extensions) file.file_extensions = *std::move(extensions);
  file.ignore_missing_paths = ignore_missing_paths;
  file.include_paths = include_paths;
  file.partitioning_base = std::move(partitioning_base);
  file.partition_schema = std::move(partition_schema);
  file.schema = std::move(schema);
  Result<std::shared_ptr<const ReadSource>> source = [&] {
    nb::gil_scoped_release unlocked;
    return MakeFileSource(file);
  }();
  return {Unwrap(std::move(source))};
}

using PyReadUnit = std::tuple<nb::bytes, std::int64_t, std::int64_t, std::vector<std::string>>;

PySource PythonSource(std::string name, const PyFunction& function,
                      const std::vector<PyReadUnit>& units, std::shared_ptr<arrow::Schema> schema) {
  auto source = std::make_shared<ReadSource>();
  source->format = "python";
  source->name = std::move(name);
  source->function = function.spec;
  source->schema = std::move(schema);
  for (const auto& [payload, num_rows, num_bytes, files] : units) {
    ReadUnit unit;
    if (!files.empty()) {
      unit.path = files.front();
      unit.more_paths.assign(files.begin() + 1, files.end());
    }
    unit.num_rows = num_rows;
    unit.num_bytes = num_bytes;
    unit.payload = SharedBytes(payload);
    source->units.push_back(std::move(unit));
  }
  return {std::move(source)};
}

}  // namespace

OptionMap OptionsFromPython(const nb::dict& options) {
  OptionMap map;
  for (auto [name, value] : options) {
    map.emplace(nb::cast<std::string>(name), OptionFromPython(value));
  }
  return map;
}

std::shared_ptr<arrow::fs::FileSystem> UnwrapFileSystem(nb::handle file_system) {
  nb::object type = nb::module_::import_("pyarrow.fs").attr("FileSystem");
  if (!nb::isinstance(file_system, type)) {
    throw nb::type_error("filesystem must be a pyarrow.fs.FileSystem");
  }
  const auto* object = reinterpret_cast<const FileSystemObject*>(file_system.ptr());
  const auto size = reinterpret_cast<PyTypeObject*>(type.ptr())->tp_basicsize;
  if (size != static_cast<Py_ssize_t>(sizeof(FileSystemObject)) ||
      object->wrapped.get() != object->fs) {
    Raise(Status::NotImplemented("file systems of this version of pyarrow"));
  }
  return object->wrapped;
}

FileSystemRef FileSystemFromPython(nb::handle file_system) {
  FileSystemRef ref;
  if (file_system.is_none()) return ref;
  nb::object object = nb::borrow(file_system);
  nb::module_ fs = nb::module_::import_("pyarrow.fs");
  if (!nb::isinstance(object, fs.attr("FileSystem"))) {
    object = fs.attr("PyFileSystem")(fs.attr("FSSpecHandler")(object));
  }
  ref.live = UnwrapFileSystem(object);
  nb::object pickled = nb::module_::import_("cloudpickle").attr("dumps")(object);
  ref.pickled = SharedBytes(nb::cast<nb::bytes>(pickled));
  return ref;
}

void BindSource(nb::module_& module) {
  nb::class_<PySource>(module, "Source")
      .def_prop_ro("format", [](const PySource& self) { return self.source->format; })
      .def_prop_ro("name", [](const PySource& self) { return self.source->name; })
      .def_prop_ro("schema", [](const PySource& self) { return self.source->schema; })
      .def_prop_ro("paths", &PathsOf)
      .def("file_states", &FileStates)
      .def_prop_ro("num_units", [](const PySource& self) { return self.source->units.size(); })
      .def("shuffled", &Shuffled, nb::arg("seed"));
  module.def("file_source", &FileSource, nb::arg("format"), nb::arg("paths"), nb::kw_only(),
             nb::arg("filesystem") = nb::none(), nb::arg("options") = nb::dict(),
             nb::arg("file_extensions") = nb::none(), nb::arg("ignore_missing_paths") = false,
             nb::arg("include_paths") = false, nb::arg("partitioning_base") = nb::none(),
             nb::arg("partition_schema") = nb::none(), nb::arg("schema") = nb::none());
  module.def(
      "range_source",
      [](std::int64_t rows, const std::vector<std::int64_t>& tensor_shape, std::int64_t units) {
        return PySource{MakeRangeSource(rows, tensor_shape, units)};
      },
      nb::arg("rows"), nb::arg("tensor_shape") = nb::tuple(), nb::arg("units") = -1);
  module.def("python_source", &PythonSource, nb::arg("name"), nb::arg("function"), nb::arg("units"),
             nb::arg("schema") = nb::none());
}

}  // namespace headrace::python
