// Where and how a write step writes, and how what was written becomes visible.

#include <arrow/api.h>
#include <arrow/filesystem/localfs.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/block/block.h"
#include "headrace/data/consume/commit.h"
#include "headrace/data/consume/owner.h"
#include "headrace/data/consume/partition.h"
#include "headrace/data/read/commit_list.h"
#include "headrace/data/read/record_log.h"

namespace headrace::python {
namespace {

PyWriteTarget MakeTarget(std::string format, std::string name, std::string directory,
                         std::string run_id, std::string temporary, nb::handle filesystem,
                         const nb::dict& options, std::optional<PyFunction> function) {
  auto target = std::make_shared<WriteTarget>();
  target->format = std::move(format);
  target->name = std::move(name);
  target->directory = std::move(directory);
  target->run_id = std::move(run_id);
  target->temporary = std::move(temporary);
  target->file_system = FileSystemFromPython(filesystem);
  target->options = OptionsFromPython(options);
  if (function) target->function = function->spec;
  return {std::move(target)};
}

// "ignore" and "error" say what to do before a run; files that come to the directory since stay.
WriteMode ModeOf(const std::string& name) {
  if (name == "overwrite") return WriteMode::kOverwrite;
  if (name == "append" || name == "ignore" || name == "error") return WriteMode::kAppend;
  throw nb::value_error(("unknown mode of writing: " + name).c_str());
}

// None is the local file system.
std::shared_ptr<arrow::fs::FileSystem> LiveFileSystem(nb::handle filesystem) {
  if (filesystem.is_none()) return std::make_shared<arrow::fs::LocalFileSystem>();
  return FileSystemFromPython(filesystem).live;
}

std::map<std::string, std::shared_ptr<arrow::Table>> Split(
    const std::shared_ptr<arrow::Table>& table, const std::vector<std::string>& columns) {
  auto parts = [&] {
    nb::gil_scoped_release unlocked;
    return SplitByPartition(table, columns, arrow::default_memory_pool());
  }();
  return Unwrap(std::move(parts));
}

void Commit(nb::handle filesystem, const std::string& directory, const std::string& temporary,
            const std::shared_ptr<arrow::Table>& results, const std::string& mode_name) {
  const auto fs = LiveFileSystem(filesystem);
  const WriteMode mode = ModeOf(mode_name);
  Status status = [&] {
    nb::gil_scoped_release unlocked;
    return CommitWrite(fs.get(), directory, temporary, {Block(results)}, mode);
  }();
  Check(status);
}

bool Finish(nb::handle filesystem, const std::string& directory, const std::string& temporary) {
  const auto fs = LiveFileSystem(filesystem);
  Result<bool> finished = [&] {
    nb::gil_scoped_release unlocked;
    return FinishCommit(fs.get(), directory, temporary);
  }();
  return Unwrap(std::move(finished));
}

void Abort(nb::handle filesystem, const std::string& directory, const std::string& temporary) {
  const auto fs = LiveFileSystem(filesystem);
  Status status = [&] {
    nb::gil_scoped_release unlocked;
    return AbortWrite(fs.get(), directory, temporary);
  }();
  Check(status);
}

bool Recover(nb::handle filesystem, const std::string& directory) {
  const auto fs = LiveFileSystem(filesystem);
  auto found = [&] {
    nb::gil_scoped_release unlocked;
    return RecoverWrites(fs.get(), directory);
  }();
  return Unwrap(std::move(found));
}

// Path, the path to read it at, bytes, whether it is a directory.
using CommittedFile = std::tuple<std::string, std::string, std::int64_t, bool>;

std::vector<CommittedFile> List(nb::handle filesystem, const std::string& directory,
                                bool recursive) {
  const auto fs = LiveFileSystem(filesystem);
  auto listed = [&] {
    nb::gil_scoped_release unlocked;
    arrow::fs::FileSelector selector;
    selector.base_dir = directory;
    selector.recursive = recursive;
    return ListCommitted(fs.get(), selector);
  }();
  const CommittedFiles found = Unwrap(std::move(listed));
  std::vector<CommittedFile> files;
  for (const arrow::fs::FileInfo& info : found.infos) {
    const auto stored = found.stored.find(info.path());
    files.emplace_back(info.path(), stored == found.stored.end() ? info.path() : stored->second,
                       std::max<std::int64_t>(info.size(), 0), info.IsDirectory());
  }
  return files;
}

std::unique_ptr<RecordLog> CreateLog(const std::string& path,
                                     const std::vector<LogRecord>& records) {
  auto log = [&] {
    nb::gil_scoped_release unlocked;
    return RecordLog::Create(path, records);
  }();
  return Unwrap(std::move(log));
}

std::pair<std::unique_ptr<RecordLog>, std::vector<LogRecord>> OpenLog(const std::string& path) {
  RecordLogContents contents;
  auto log = [&] {
    nb::gil_scoped_release unlocked;
    return RecordLog::Open(path, &contents);
  }();
  return {Unwrap(std::move(log)), std::move(contents.records)};
}

void AppendToLog(RecordLog& self, const std::vector<LogRecord>& records) {
  Status status = [&] {
    nb::gil_scoped_release unlocked;
    return self.Append(records);
  }();
  Check(status);
}

void SyncLog(RecordLog& self) {
  Status status = [&] {
    nb::gil_scoped_release unlocked;
    return self.Sync();
  }();
  Check(status);
}

}  // namespace

void BindWrite(nb::module_& module) {
  nb::class_<PyWriteTarget>(module, "WriteTarget")
      .def(nb::new_(&MakeTarget), nb::kw_only(), nb::arg("format"), nb::arg("name"),
           nb::arg("directory") = "", nb::arg("run_id") = "", nb::arg("temporary") = "",
           nb::arg("filesystem") = nb::none(), nb::arg("options") = nb::dict(),
           nb::arg("function") = nb::none());
  module.def("split_by_partition", &Split, nb::arg("table"), nb::arg("columns"));
  module.def("commit_write", &Commit, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("temporary"), nb::arg("results_table"), nb::arg("mode"));
  module.def("finish_commit", &Finish, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("temporary"));
  module.def("abort_write", &Abort, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("temporary"));
  module.def("recover_writes", &Recover, nb::arg("filesystem").none(), nb::arg("directory"));
  module.def("list_committed", &List, nb::arg("filesystem").none(), nb::arg("directory"),
             nb::arg("recursive"));
  module.def("owner_tag", &OwnerTag);
  nb::class_<RecordLog>(module, "RecordLog")
      .def_static("create", &CreateLog, nb::arg("path"), nb::arg("records"))
      .def_static("open", &OpenLog, nb::arg("path"))
      .def("append", &AppendToLog, nb::arg("records"))
      .def("sync", &SyncLog);
}

}  // namespace headrace::python
