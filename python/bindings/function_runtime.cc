#include "function_runtime.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>

#include "arrow_casters.h"
#include "bindings.h"
#include "errors.h"
#include "headrace/data/transform/failure.h"
#include "headrace/runtime/local/local_runtime.h"

namespace headrace::python {
namespace {

// A batch as the Python half sees it.
struct PyBatch {
  Batch batch;
};

// What the two ends of one call share: the input, and why it broke off.
struct CallState {
  std::unique_ptr<BatchStream> input;
  std::uint64_t task_number = 0;
  Position position;  // Of the task.
  std::string run_name;
  TaskStats* stats = nullptr;  // Null: the task is over, or nobody asks.
  Status input_error;
  Origin origin;       // Of the last batch.
  nb::object current;  // The last batch, for error messages.
};

// The Python half's input: an iterator of PyBatch.
struct PyBatches {
  std::shared_ptr<CallState> state;
};

// Raised through the Python half when its input fails; no user code may swallow it.
nb::object& InputFailed() {
  static auto* type = new nb::object();
  return *type;
}

// Null at the end, and after an error.
PyObject* NextBatchOf(CallState& state) {
  state.current.reset();
  if (state.input == nullptr) return nullptr;
  Result<std::optional<Batch>> next = [&] {
    nb::gil_scoped_release unlocked;
    return state.input->Next();
  }();
  if (!next.ok()) {
    state.input_error = next.status();
    PyErr_SetString(InputFailed().ptr(), "the input failed");
    return nullptr;
  }
  if (!*next) {
    nb::gil_scoped_release unlocked;
    state.input.reset();
  }
  if (!*next) return nullptr;
  state.origin = (**next).origin;
  state.current = nb::cast(PyBatch{*std::move(*next)});
  return nb::object(state.current).release().ptr();
}

// A type slot: the end is a null without an exception, where a bound method would throw one
// through C++ for each task.
PyObject* NextBatch(PyObject* self) {
  if (!nb::inst_ready(self)) {
    PyErr_SetString(PyExc_TypeError, "not made by the engine");
    return nullptr;
  }
  try {
    return NextBatchOf(*nb::inst_ptr<PyBatches>(self)->state);
  } catch (nb::python_error& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyType_Slot kBatchesSlots[] = {
    {Py_tp_iter, reinterpret_cast<void*>(&PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(&NextBatch)},
    {0, nullptr},
};

// The Python half's output as the pipeline pulls it.
class PythonStream final : public BatchStream {
 public:
  PythonStream(std::shared_ptr<CallState> state, nb::object runtime, nb::object function,
               nb::object output)
      : state_(std::move(state)),
        runtime_(std::move(runtime)),
        function_(std::move(function)),
        output_(std::move(output)) {}

  ~PythonStream() override {
    nb::gil_scoped_acquire locked;
    Close();
    function_.reset();
    runtime_.reset();
  }

  Result<std::optional<Batch>> Next() override {
    nb::gil_scoped_acquire locked;
    try {
      nb::object table = nb::steal(PyIter_Next(output_.ptr()));
      if (!table.is_valid()) {
        if (PyErr_Occurred() != nullptr) throw nb::python_error();
        Close();
        return std::nullopt;
      }
      ARROW_ASSIGN_OR_RAISE(auto rows, arrow::py::unwrap_table(table.ptr()));
      return Batch{Block(std::move(rows), -1), state_->origin, nullptr};
    } catch (nb::python_error& error) {
      Status status = StatusOf(error);
      Close();
      return status;
    }
  }

 private:
  Status StatusOf(nb::python_error& error) {
    if (!state_->input_error.ok() && error.matches(InputFailed())) return state_->input_error;
    nb::object batch = state_->current.is_valid() ? state_->current : nb::none();
    return StatusOfPythonError(error, [&](nb::handle value) {
      return runtime_.attr("describe_failure")(value, function_, batch);
    });
  }

  // User code may keep the iterator of its input: what is left of that ends with the task.
  void Close() {
    state_->current.reset();
    output_.reset();
    state_->stats = nullptr;
    if (state_->input == nullptr) return;
    nb::gil_scoped_release unlocked;
    state_->input.reset();
  }

  std::shared_ptr<CallState> state_;
  nb::object runtime_, function_, output_;
};

class PythonRunner final : public FunctionRunner {
 public:
  PythonRunner(nb::object runtime, nb::object function, nb::object call)
      : runtime_(std::move(runtime)), function_(std::move(function)), call_(std::move(call)) {}

  ~PythonRunner() override {
    nb::gil_scoped_acquire locked;
    call_.reset();
    function_.reset();
    runtime_.reset();
  }

  Result<std::unique_ptr<BatchStream>> Run(std::unique_ptr<BatchStream> input,
                                           const TaskContext& context, TaskStats* stats) override {
    auto state = std::make_shared<CallState>();
    state->task_number = context.task_number;
    state->position = context.position;
    state->run_name = std::string(context.run_name);
    state->stats = stats;
    state->input = std::move(input);
    nb::gil_scoped_acquire locked;
    try {
      nb::object output = nb::iter(call_(nb::cast(PyBatches{state})));
      return std::make_unique<PythonStream>(std::move(state), runtime_, function_,
                                            std::move(output));
    } catch (nb::python_error& error) {
      return StatusOfPythonError(error, [&](nb::handle value) {
        return runtime_.attr("describe_failure")(value, function_, nb::none());
      });
    }
  }

 private:
  nb::object runtime_, function_, call_;
};

class PythonRuntime final : public FunctionRuntime {
 public:
  explicit PythonRuntime(nb::object runtime) : runtime_(std::move(runtime)) {}

  ~PythonRuntime() override {
    nb::gil_scoped_acquire locked;
    runtime_.reset();
  }

  Result<std::shared_ptr<FunctionRunner>> Resolve(const FunctionPtr& spec) override {
    nb::gil_scoped_acquire locked;
    nb::object function = nb::cast(PyFunction{spec});
    try {
      nb::object call = runtime_.attr("resolve")(function);
      return std::make_shared<PythonRunner>(runtime_, std::move(function), std::move(call));
    } catch (nb::python_error& error) {
      return StatusOfPythonError(error, [&](nb::handle value) {
        return runtime_.attr("describe_failure")(value, function, nb::none());
      });
    }
  }

  Result<std::shared_ptr<arrow::fs::FileSystem>> ResolveFileSystem(
      const FileSystemRef& file_system) override {
    if (file_system.live != nullptr || file_system.pickled == nullptr) return file_system.live;
    nb::gil_scoped_acquire locked;
    try {
      nb::bytes pickled(file_system.pickled->data(), file_system.pickled->size());
      return UnwrapFileSystem(runtime_.attr("unpickle_filesystem")(pickled));
    } catch (nb::python_error& error) {
      return StatusOfPythonError(error, [&](nb::handle value) {
        return nb::module_::import_("headrace._internal.errors").attr("describe")(value);
      });
    }
  }

 private:
  nb::object runtime_;
};

nb::object& InlineRuntime() {
  static auto* runtime = new nb::object();
  return *runtime;
}

// Counts rows that a function left out, and `letter_rows` of them that `letter` tells of.
void NoteErrors(const PyBatches& self, std::int64_t rows, std::int64_t letter_rows,
                const std::optional<nb::bytes>& letter) {
  TaskStats* stats = self.state->stats;
  if (stats == nullptr) return;
  stats->errored_rows += rows;
  stats->letter_rows += letter_rows;
  if (letter) stats->letters.emplace_back(letter->c_str(), letter->size());
}

std::optional<nb::bytes> PayloadOfBatch(const PyBatch& self) {
  const auto& payload = self.batch.payload;
  if (payload == nullptr) return std::nullopt;
  return nb::bytes(payload->data(), payload->size());
}

std::vector<std::string> FilesOf(const PyBatch& self) {
  const FileList& files = self.batch.origin.files;
  return files == nullptr ? std::vector<std::string>{} : *files;
}

int RunPythonWorker(int fd, nb::object runtime) {
  std::unique_ptr<FunctionRuntime> functions = MakeFunctionRuntime(std::move(runtime));
  nb::gil_scoped_release unlocked;
  return RunWorker(fd, functions.get());
}

}  // namespace

std::unique_ptr<FunctionRuntime> MakeFunctionRuntime(nb::object runtime) {
  return std::make_unique<PythonRuntime>(std::move(runtime));
}

std::unique_ptr<FunctionRuntime> MakeInlineFunctionRuntime() {
  if (InlineRuntime().is_valid()) return MakeFunctionRuntime(InlineRuntime());
  return MakeFunctionRuntime(nb::module_::import_("headrace._internal.worker").attr("Runtime")());
}

void BindWorker(nb::module_& module) {
  InputFailed() =
      nb::steal(PyErr_NewException("headrace._core.InputFailed", PyExc_BaseException, nullptr));
  module.attr("InputFailed") = InputFailed();
  nb::class_<PyBatch>(module, "Batch")
      .def_prop_ro("table", [](const PyBatch& self) { return self.batch.block.table(); })
      .def_prop_ro("files", &FilesOf)
      .def_prop_ro("first_row", [](const PyBatch& self) { return self.batch.origin.first_row; })
      .def_prop_ro("end_row", [](const PyBatch& self) { return self.batch.origin.end_row; })
      .def_prop_ro("rows_of_file",
                   [](const PyBatch& self) { return self.batch.origin.rows_of_file; })
      .def_prop_ro("origin", [](const PyBatch& self) { return DescribeOrigin(self.batch.origin); })
      .def_prop_ro("payload", &PayloadOfBatch);
  nb::class_<PyBatches>(module, "Batches", nb::type_slots(kBatchesSlots))
      .def_prop_ro("task_number", [](const PyBatches& self) { return self.state->task_number; })
      .def_prop_ro("position",
                   [](const PyBatches& self) { return self.state->position.ToString(); })
      .def_prop_ro("run_name", [](const PyBatches& self) { return self.state->run_name; })
      .def("note_errors", &NoteErrors, nb::arg("rows"), nb::arg("letter_rows") = 0,
           nb::arg("letter") = nb::none());
  module.def("run_worker", &RunPythonWorker, nb::arg("fd"), nb::arg("runtime"));
  module.def(
      "set_inline_runtime", [](nb::object runtime) { InlineRuntime() = std::move(runtime); },
      nb::arg("runtime").none());
}

}  // namespace headrace::python
