// The process's runtime as Python sees it: blocks in the store, capacities, starting and ending.

#include "store.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/table.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"
#include "headrace/runtime/store/object_store.h"
#include "resources.h"

namespace headrace::python {
namespace {

nb::tuple PositionOf(const BlockRef& self) {
  return nb::tuple(nb::cast(PathOf(self.handle().info.position)));
}

std::vector<std::string> FilesOf(const BlockRef& self) {
  const FileList& files = self.handle().info.input_files;
  return files == nullptr ? std::vector<std::string>{} : *files;
}

std::shared_ptr<arrow::Table> GetTable(const BlockRef& self) {
  std::shared_ptr<Session> session = Unwrap(self.session()->Share());
  Result<Block> block = [&] {
    nb::gil_scoped_release unlocked;
    auto found = session->storage()->Get(self.handle().object);
    session.reset();
    return found;
  }();
  return Unwrap(std::move(block)).table();
}

BlockRefPtr PutTable(std::shared_ptr<arrow::Table> table) {
  SessionPtr handle = Unwrap(CurrentSession());
  std::shared_ptr<Session> session = Unwrap(handle->Share());
  Result<BlockHandle> stored = [&] {
    nb::gil_scoped_release unlocked;
    auto put = session->storage()->Put(Block(std::move(table)));
    session.reset();
    return put;
  }();
  return std::make_shared<BlockRef>(std::move(handle), Unwrap(std::move(stored)));
}

Session& CurrentOne() {
  SessionPtr handle = Unwrap(CurrentSession());
  return *Unwrap(handle->Get());
}

LocalRuntime& CurrentRuntime() { return CurrentOne().runtime(); }

void Configure(double cpus, double gpus, std::int64_t memory,
               std::optional<std::map<std::string, double>> custom, std::int64_t object_store_bytes,
               std::string spill_directory, std::vector<std::string> template_command,
               std::vector<std::string> environment) {
  LocalRuntimeOptions options;
  options.total =
      ToResources({cpus, gpus, memory, custom.value_or(std::map<std::string, double>{})});
  options.object_store_bytes = object_store_bytes;
  options.spill_directory = std::move(spill_directory);
  options.workers.template_command = std::move(template_command);
  options.workers.environment = std::move(environment);
  Status status = ConfigureSession(std::move(options));
  if (!status.ok()) {
    PyErr_SetString(PyExc_RuntimeError, status.message().c_str());
    throw nb::python_error();
  }
}

std::map<std::string, std::int64_t> Stats() {
  const StoreStats stats = CurrentRuntime().store().stats();
  return {{"objects", stats.objects},
          {"memory_bytes", stats.memory_bytes},
          {"shared_bytes", stats.shared_bytes},
          {"spilled_bytes", stats.spilled_bytes},
          {"spilled_bytes_total", stats.spilled_bytes_total},
          {"restored_bytes_total", stats.restored_bytes_total}};
}

// A process ends its session before the interpreter goes, and a forked child does not touch its
// parent's.
void BindProcessEnd(nb::module_& module) {
  nb::object end = nb::cpp_function([] {
    ShutdownSession();
    nb::gil_scoped_release unlocked;
    arrow::fs::EnsureFinalized();
  });
  nb::module_::import_("atexit").attr("register")(end);
  module.def("forget_session", &ForgetSession);
  nb::module_::import_("os").attr("register_at_fork")(nb::arg("after_in_child") =
                                                          module.attr("forget_session"));
}

}  // namespace

BlockRef::BlockRef(SessionPtr session, BlockHandle handle)
    : session_(std::move(session)), handle_(std::move(handle)) {}

BlockRef::~BlockRef() {
  if (session_->session == nullptr) return;
  const ObjectId objects[] = {handle_.object};
  session_->session->storage()->Release(objects);
}

void BindStore(nb::module_& module) {
  nb::class_<BlockRef>(module, "BlockRef", nb::is_weak_referenceable())
      .def("get", &GetTable)
      .def_prop_ro("num_rows", [](const BlockRef& self) { return self.handle().info.num_rows; })
      .def_prop_ro("num_bytes", [](const BlockRef& self) { return self.handle().info.num_bytes; })
      .def_prop_ro("schema", [](const BlockRef& self) { return self.handle().info.schema; })
      .def_prop_ro("input_files", &FilesOf)
      .def_prop_ro("position", &PositionOf);
  module.def("put", &PutTable, nb::arg("table"));

  module.def("configure", &Configure, nb::kw_only(), nb::arg("cpus") = 0, nb::arg("gpus") = 0,
             nb::arg("memory") = 0, nb::arg("custom") = nb::none(),
             nb::arg("object_store_bytes") = 0, nb::arg("spill_directory") = "",
             nb::arg("template_command") = nb::tuple(), nb::arg("environment") = nb::tuple());
  module.def("warm_up", &WarmUpSession);
  module.def("backend", &CurrentBackend);
  module.def(
      "set_worker_setup",
      [](const nb::bytes& payload) {
        SetWorkerSetup(std::string(payload.c_str(), payload.size()));
      },
      nb::arg("payload"));
  module.def(
      "capacity",
      [](const nb::bytes& cluster) {
        return FromResources(Unwrap(CurrentOne().Capacity({cluster.c_str(), cluster.size()})));
      },
      nb::arg("cluster") = nb::bytes("", 0));
  module.def(
      "object_store_bytes",
      [](const nb::bytes& cluster) {
        return Unwrap(CurrentOne().StoreBytes({cluster.c_str(), cluster.size()}));
      },
      nb::arg("cluster") = nb::bytes("", 0));
  module.def("store_stats", &Stats);
  module.def("worker_pids", [] { return CurrentRuntime().worker_pids(); });
  module.def("shutdown", &ShutdownSession);
  BindProcessEnd(module);
}

}  // namespace headrace::python
