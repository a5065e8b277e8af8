// Where and how a write step writes, and how what was written becomes visible.

#include <arrow/api.h>
#include <arrow/filesystem/localfs.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/block/block.h"
#include "headrace/data/consume/commit.h"

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

WriteMode ModeOf(const std::string& name) {
  if (name == "append") return WriteMode::kAppend;
  if (name == "overwrite") return WriteMode::kOverwrite;
  if (name == "ignore") return WriteMode::kIgnore;
  if (name == "error") return WriteMode::kError;
  throw nb::value_error(("unknown mode of writing: " + name).c_str());
}

// None is the local file system.
std::shared_ptr<arrow::fs::FileSystem> LiveFileSystem(nb::handle filesystem) {
  if (filesystem.is_none()) return std::make_shared<arrow::fs::LocalFileSystem>();
  return FileSystemFromPython(filesystem).live;
}

bool Prepare(nb::handle filesystem, const std::string& directory, const std::string& mode_name) {
  const auto fs = LiveFileSystem(filesystem);
  const WriteMode mode = ModeOf(mode_name);
  Result<bool> wanted = [&] {
    nb::gil_scoped_release unlocked;
    return PrepareWrite(fs.get(), directory, mode);
  }();
  return Unwrap(std::move(wanted));
}

std::vector<std::string> Commit(nb::handle filesystem, const std::string& directory,
                                const std::string& run_id,
                                const std::shared_ptr<arrow::Table>& results,
                                const std::string& mode_name) {
  const auto fs = LiveFileSystem(filesystem);
  const WriteMode mode = ModeOf(mode_name);
  Status status = [&] {
    nb::gil_scoped_release unlocked;
    return CommitWrite(fs.get(), directory, run_id, {Block(results)}, mode);
  }();
  Check(status);
  std::vector<std::string> paths;
  const std::shared_ptr<arrow::ChunkedArray> column = results->GetColumnByName("path");
  for (int i = 0; column != nullptr && i < column->num_chunks(); ++i) {
    const auto& chunk = static_cast<const arrow::StringArray&>(*column->chunk(i));
    for (std::int64_t row = 0; row < chunk.length(); ++row) {
      paths.push_back(chunk.GetString(row));
    }
  }
  return paths;
}

void Abort(nb::handle filesystem, const std::string& directory, const std::string& run_id) {
  const auto fs = LiveFileSystem(filesystem);
  Status status = [&] {
    nb::gil_scoped_release unlocked;
    return AbortWrite(fs.get(), directory, run_id);
  }();
  Check(status);
}

}  // namespace

void BindWrite(nb::module_& module) {
  nb::class_<PyWriteTarget>(module, "WriteTarget")
      .def(nb::new_(&MakeTarget), nb::kw_only(), nb::arg("format"), nb::arg("name"),
           nb::arg("directory") = "", nb::arg("run_id") = "", nb::arg("filesystem") = nb::none(),
           nb::arg("options") = nb::dict(), nb::arg("function") = nb::none());
  module.def("prepare_write", &Prepare, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("mode"));
  module.def("commit_write", &Commit, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("run_id"), nb::arg("results_table"), nb::arg("mode"));
  module.def("abort_write", &Abort, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("run_id"));
}

}  // namespace headrace::python
