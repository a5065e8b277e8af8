// Where and how a write step writes.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"

namespace headrace::python {
namespace {

PyWriteTarget MakeTarget(std::string format, std::string name, std::string directory,
                         std::string run_id, nb::handle filesystem, const nb::dict& options,
                         std::optional<PyFunction> function) {
  auto target = std::make_shared<WriteTarget>();
  target->format = std::move(format);
  target->name = std::move(name);
  target->directory = std::move(directory);
  target->run_id = std::move(run_id);
  target->file_system = FileSystemFromPython(filesystem);
  target->options = OptionsFromPython(options);
  if (function) target->function = function->spec;
  return {std::move(target)};
}

}  // namespace

void BindWrite(nb::module_& module) {
  nb::class_<PyWriteTarget>(module, "WriteTarget")
      .def(nb::new_(&MakeTarget), nb::kw_only(), nb::arg("format"), nb::arg("name"),
           nb::arg("directory") = "", nb::arg("run_id") = "", nb::arg("filesystem") = nb::none(),
           nb::arg("options") = nb::dict(), nb::arg("function") = nb::none());
}

}  // namespace headrace::python
