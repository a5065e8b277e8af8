#include "process.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "bridge.h"
#include "errors.h"
#include "headrace/control/optimize/rule.h"
#include "headrace/engine/session.h"
#include "headrace/runtime/backend.h"

namespace nb = nanobind;

namespace headrace::python {
namespace {

struct ProcessState {
  LocalRuntimeOptions options;
  SessionPtr current;
  std::vector<std::shared_ptr<const Rule>> rules;  // The user's, in order.
  std::vector<std::string> removed_rules;          // Default ones that the user took out.
};

// Never destroyed: objects of other modules may outlive static destruction.
ProcessState& State() {
  static ProcessState* state = new ProcessState();
  return *state;
}

// A clean interpreter that finds modules where this one does: a script's own folder, but not the
// working directory that "-m" would put first.
std::vector<std::string> DefaultTemplateCommand() {
  nb::object command =
      nb::module_::import_("headrace._internal.worker_setup").attr("template_command")();
  return nb::cast<std::vector<std::string>>(command);
}

// Workers share the machine: each gets one thread for linear algebra, unless the user says more.
// The runs that a function starts there are not recorded: they would replace the driver's logs.
std::vector<std::string> WithDefaultEnvironment(std::vector<std::string> environment) {
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}) {
    const std::string prefix = std::string(name) + "=";
    bool given = std::getenv(name) != nullptr;
    for (const std::string& entry : environment) given |= entry.starts_with(prefix);
    if (!given) environment.push_back(prefix + "1");
  }
  environment.emplace_back("HEADRACE_EVENT_LOG=");
  return environment;
}

}  // namespace

Result<Session*> SessionHandle::Get() const {
  if (session == nullptr) {
    return Status::Cancelled("headrace was shut down, and its blocks and runs with it");
  }
  return session.get();
}

Result<std::shared_ptr<Session>> SessionHandle::Share() const {
  ARROW_RETURN_NOT_OK(Get().status());
  return session;
}

Result<SessionPtr> CurrentSession() {
  ProcessState& state = State();
  if (state.current != nullptr) return state.current;
  LocalRuntimeOptions options = state.options;
  if (options.workers.template_command.empty()) {
    options.workers.template_command = DefaultTemplateCommand();
  }
  options.workers.environment = WithDefaultEnvironment(std::move(options.workers.environment));
  std::shared_ptr<BackendSource> cluster = ConnectBridge();
  auto handle = std::make_shared<SessionHandle>();
  ARROW_ASSIGN_OR_RAISE(handle->session, Session::Make(std::move(options), std::move(cluster)));
  for (const std::string& name : state.removed_rules) handle->session->RemoveRule(name);
  for (const auto& rule : state.rules) handle->session->AddRule(rule);
  state.current = handle;
  return handle;
}

Status ConfigureSession(LocalRuntimeOptions options) {
  ProcessState& state = State();
  if (state.current != nullptr) {
    return Status::AlreadyExists(
        "headrace already runs in this process; call configure() before the first use, or "
        "shutdown() first");
  }
  options.workers.setup_payload = std::move(state.options.workers.setup_payload);
  state.options = std::move(options);
  return Status::OK();
}

std::string CurrentBackend() {
  const SessionPtr handle = State().current;
  return handle == nullptr ? "" : std::string(handle->session->storage()->name());
}

void WarmUpSession() {
  const SessionPtr handle = Unwrap(CurrentSession());
  if (!handle->session->on_cluster()) handle->session->runtime().WarmUp();
}

void SetWorkerSetup(std::string payload) {
  ProcessState& state = State();
  if (state.options.workers.setup_payload == payload) return;
  state.options.workers.setup_payload = payload;
  if (state.current != nullptr) {
    state.current->session->runtime().SetWorkerSetup(std::move(payload));
  }
}

void ShutdownSession() {
  SessionPtr handle = std::move(State().current);
  State().current = nullptr;
  if (handle == nullptr) return;
  while (!handle->runs.empty()) {
    SessionRun* run = *handle->runs.begin();
    handle->runs.erase(handle->runs.begin());
    run->End();
  }
  std::shared_ptr<Session> session = std::move(handle->session);
  nb::gil_scoped_release unlocked;
  session.reset();
}

void ForgetSession() {
  SessionPtr handle = std::move(State().current);
  State().current = nullptr;
  if (handle == nullptr) return;
  for (SessionRun* run : handle->runs) run->Forget();
  handle->runs.clear();
  static_cast<void>(new std::shared_ptr<Session>(std::move(handle->session)));
}

Status AddSessionRule(std::shared_ptr<const Rule> rule) {
  ProcessState& state = State();
  for (const auto& other : state.rules) {
    if (other->name() == rule->name()) {
      return Status::Invalid("there is a rule named '", rule->name(), "' already");
    }
  }
  state.rules.push_back(rule);
  if (state.current == nullptr) return Status::OK();
  // Another thread may be planning, with rules that wait for the GIL.
  const std::shared_ptr<Session> session = state.current->session;
  nb::gil_scoped_release unlocked;
  session->AddRule(std::move(rule));
  return Status::OK();
}

Result<bool> RemoveSessionRule(const std::string& name) {
  ARROW_ASSIGN_OR_RAISE(SessionPtr handle, CurrentSession());
  const std::shared_ptr<Session> session = handle->session;
  const bool found = [&] {
    nb::gil_scoped_release unlocked;
    return session->RemoveRule(name);
  }();
  if (!found) return false;
  ProcessState& state = State();
  const std::size_t removed =
      std::erase_if(state.rules, [&](const auto& rule) { return rule->name() == name; });
  if (removed == 0) state.removed_rules.push_back(name);
  return true;
}

}  // namespace headrace::python
