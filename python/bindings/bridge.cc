#include "headrace/runtime/bridge/bridge.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>
#include <vector>

#include "arrow_casters.h"
#include "bindings.h"
#include "bridge.h"
#include "errors.h"
#include "function_runtime.h"
#include "headrace/runtime/bridge/bridge_backend.h"
#include "headrace/runtime/bridge/remote_task.h"
#include "headrace/runtime/bridge/task_message.h"
#include "resources.h"

namespace headrace::python {
namespace {

nb::bytes BytesOf(std::string_view text) { return nb::bytes(text.data(), text.size()); }

std::string_view ViewOf(nb::handle bytes) {
  return {PyBytes_AsString(bytes.ptr()), static_cast<std::size_t>(PyBytes_Size(bytes.ptr()))};
}

/// Calls Python; what it raises becomes a status.
template <class Call>
auto Calling(Call call) -> Result<decltype(call())> {
  nb::gil_scoped_acquire locked;
  try {
    return call();
  } catch (nb::python_error& error) {
    return StatusOfPythonError(error, [](nb::handle value) {
      return nb::module_::import_("headrace._internal.errors").attr("describe")(value);
    });
  } catch (const std::exception& error) {  // A value of another type than the contract says.
    return Status::UnknownError("the bridge gave what is not understood: ", error.what());
  }
}

template <class Call>
Status Telling(Call call) {
  return Calling([&] {
           call();
           return true;
         })
      .status();
}

Failure FailureOfParts(std::string_view kind, std::string message) {
  const FailureKind known = kind == "worker_lost" ? FailureKind::kWorkerLost
                            : kind == "cancelled" ? FailureKind::kCancelled
                                                  : FailureKind::kSystem;
  const Status status = known == FailureKind::kCancelled ? Status::Cancelled(std::move(message))
                                                         : Status::UnknownError(std::move(message));
  return Failure::FromStatus(known, status);
}

// The tuples of Job.poll(), by their first item.
BridgeEvent EventOf(const nb::tuple& item) {
  using Kind = BridgeEvent::Kind;
  BridgeEvent event;
  const auto kind = nb::cast<std::string>(item[0]);
  event.key = nb::cast<BridgeKey>(item[1]);
  const auto failure = [&] {
    return FailureOfParts(nb::cast<std::string>(item[2]), nb::cast<std::string>(item[3]));
  };
  if (kind == "block") {
    event.kind = Kind::kBlock;
    event.object = nb::cast<BridgeObject>(item[2]);
    event.bytes = ViewOf(item[3]);
  } else if (kind == "parked") {
    event.kind = Kind::kParked;
    event.credit_bytes = nb::cast<std::int64_t>(item[2]);
  } else if (kind == "ended") {
    event.kind = Kind::kTaskEnded;
    event.bytes = ViewOf(item[2]);
  } else if (kind == "capacity") {
    event.kind = Kind::kCapacity;
    event.capacity = ToResources(nb::cast<PyResources>(item[2]));
  } else if (kind == "actor_ready") {
    event.kind = Kind::kActorReady;
  } else if (kind == "actor_refused") {
    event.kind = Kind::kActorLost;
    event.bytes = ViewOf(item[2]);
  } else if (kind == "actor_lost") {
    event.kind = Kind::kActorLost;
    event.failure = failure();
  } else {
    event.failure = failure();
  }
  return event;
}

// Drops a Python object from a thread that may not have the GIL.
void Drop(nb::object* object) {
  nb::gil_scoped_acquire locked;
  object->reset();
}

class PythonJob final : public BridgeJob {
 public:
  explicit PythonJob(nb::object job) : job_(std::move(job)) {}

  ~PythonJob() override {
    static_cast<void>(Telling([&] { job_.attr("close")(); }));
    Drop(&job_);
  }

  Status Register(BridgeKey key, std::string_view program, std::string_view where) override {
    return Telling([&] { job_.attr("register")(key, BytesOf(program), BytesOf(where)); });
  }

  Status Submit(BridgeKey task, const BridgeOrder& order) override {
    return Telling([&] {
      nb::object cost = nb::none();
      nb::object actor = nb::none();
      if (order.actor) {
        actor = nb::cast(*order.actor);
      } else {
        cost = nb::cast(FromResources(order.cost));
      }
      job_.attr("submit")(task, order.program, BytesOf(order.order), order.inputs,
                          order.input_bytes, cost, order.credit_bytes, actor);
    });
  }

  Status Grant(BridgeKey task, std::int64_t credit_bytes) override {
    return Telling([&] { job_.attr("grant")(task, credit_bytes); });
  }

  Status Cancel(BridgeKey task) override {
    return Telling([&] { job_.attr("cancel")(task); });
  }

  Status CreateActor(BridgeKey actor, BridgeKey program, const Resources& cost) override {
    return Telling([&] { job_.attr("create_actor")(actor, program, FromResources(cost)); });
  }

  Status StopActor(BridgeKey actor) override {
    return Telling([&] { job_.attr("stop_actor")(actor); });
  }

  Status Want(const std::vector<ResourceDemand>& demands) override {
    return Telling([&] {
      nb::list wanted;
      for (const ResourceDemand& demand : demands) {
        wanted.append(nb::make_tuple(FromResources(demand.each), demand.count));
      }
      job_.attr("want")(wanted);
    });
  }

  Status Poll(std::vector<BridgeEvent>* events) override {
    return Telling([&] {
      for (nb::handle item : job_.attr("poll")()) {
        events->push_back(EventOf(nb::cast<nb::tuple>(item)));
      }
    });
  }

 private:
  nb::object job_;
};

class PythonBridge final : public Bridge {
 public:
  explicit PythonBridge(nb::object bridge)
      : bridge_(std::move(bridge)), name_(nb::cast<std::string>(bridge_.attr("name"))) {}

  ~PythonBridge() override {
    static_cast<void>(Telling([&] { bridge_.attr("close")(); }));
    Drop(&bridge_);
  }

  std::string_view name() const override { return name_; }

  Result<std::unique_ptr<BridgeJob>> NewJob(std::function<void()> wake,
                                            std::string_view asked) override {
    return Calling([&]() -> std::unique_ptr<BridgeJob> {
      return std::make_unique<PythonJob>(
          bridge_.attr("open_job")(nb::cpp_function(wake), BytesOf(asked)));
    });
  }

  Result<BridgeObject> Put(const Block& block) override {
    return Calling([&] { return nb::cast<BridgeObject>(bridge_.attr("put")(block.table())); });
  }

  Result<std::shared_ptr<arrow::Table>> Get(BridgeObject object) override {
    return Calling([&] {
      return nb::cast<std::shared_ptr<arrow::Table>>(nb::object(bridge_.attr("get")(object)));
    });
  }

  void Release(const std::vector<BridgeObject>& objects) override {
    static_cast<void>(Telling([&] { bridge_.attr("release")(objects); }));
  }

  Result<Resources> Capacity(std::string_view asked) override {
    return AskResources("capacity", asked);
  }

  Result<Resources> PossibleCapacity(std::string_view asked) override {
    return AskResources("possible_capacity", asked);
  }

  Result<std::int64_t> StoreBytes(std::string_view asked) override {
    return Calling(
        [&] { return nb::cast<std::int64_t>(bridge_.attr("store_bytes")(BytesOf(asked))); });
  }

 private:
  Result<Resources> AskResources(const char* method, std::string_view asked) {
    return Calling([&] {
      return ToResources(nb::cast<PyResources>(nb::object(bridge_.attr(method)(BytesOf(asked)))));
    });
  }

  nb::object bridge_;
  const std::string name_;
};

// ---- The far side ---------------------------------------------------------------------------

struct PyRemoteProgram {
  ProgramPtr program;
};

/// What the tasks of one driver share in a process.
struct PyRemoteWorker {
  explicit PyRemoteWorker(nb::object runtime)
      : functions(MakeFunctionRuntime(std::move(runtime))) {}
  const std::unique_ptr<FunctionRuntime> functions;
};

class PyRemoteTask {
 public:
  PyRemoteTask(std::shared_ptr<PyRemoteWorker> worker, const PyRemoteProgram& program,
               const nb::bytes& order, std::vector<std::shared_ptr<arrow::Table>> inputs)
      : worker_(std::move(worker)),
        task_(std::make_unique<RemoteTask>(program.program, ViewOf(order), std::move(inputs),
                                           worker_->functions.get())) {}

  ~PyRemoteTask() {
    nb::gil_scoped_release unlocked;
    task_.reset();
  }

  nb::tuple Next() {
    RemoteTask::Step step = [&] {
      nb::gil_scoped_release unlocked;
      return task_->Next();
    }();
    return nb::make_tuple(std::move(step.table), step.num_bytes, BytesOf(step.bytes));
  }

 private:
  const std::shared_ptr<PyRemoteWorker> worker_;
  std::unique_ptr<RemoteTask> task_;
};

}  // namespace

std::shared_ptr<BackendSource> ConnectBridge() {
  nb::object bridge = nb::module_::import_("headrace._internal.runtime").attr("connect")();
  if (bridge.is_none()) return nullptr;
  return MakeBridgeSource(std::make_shared<PythonBridge>(std::move(bridge)));
}

void BindBridge(nb::module_& module) {
  module.attr("BRIDGE_VERSION") = kBridgeWireVersion;
  nb::class_<PyRemoteProgram>(module, "RemoteProgram")
      .def_prop_ro("name", [](const PyRemoteProgram& self) { return self.program->name; });
  nb::class_<PyRemoteWorker>(module, "RemoteWorker")
      .def(nb::init<nb::object>(), nb::arg("runtime"))
      .def(
          "load",
          [](const PyRemoteWorker&, const nb::bytes& program) {
            return PyRemoteProgram{Unwrap(ReadRemoteProgram(ViewOf(program)))};
          },
          nb::arg("program"))
      .def(
          "start_actor",
          [](const PyRemoteWorker& self, const PyRemoteProgram& program) {
            std::string failure;
            {
              nb::gil_scoped_release unlocked;
              failure = StartRemoteActor(*program.program, self.functions.get());
            }
            return BytesOf(failure);
          },
          nb::arg("program"));
  nb::class_<PyRemoteTask>(module, "RemoteTask")
      .def(nb::init<std::shared_ptr<PyRemoteWorker>, const PyRemoteProgram&, const nb::bytes&,
                    std::vector<std::shared_ptr<arrow::Table>>>(),
           nb::arg("worker"), nb::arg("program"), nb::arg("order"), nb::arg("inputs"))
      .def("next", &PyRemoteTask::Next);
}

}  // namespace headrace::python
