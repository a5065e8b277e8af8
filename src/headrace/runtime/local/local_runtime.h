#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/resources.h"
#include "headrace/base/status.h"
#include "headrace/runtime/backend.h"

namespace headrace {

/// How to make worker processes. Empty `template_command`: there are none, and a program of the
/// process lane fails to start.
struct WorkerOptions {
  /// The command of the template process: a clean interpreter that has the slow imports done and
  /// forks a worker per request. It gets the descriptor of its control socket as last argument.
  std::vector<std::string> template_command;
  /// "NAME=value" entries added to the environment of the template.
  std::vector<std::string> environment;
  /// Handed to each worker at its start, for the language's own setup (Python: sys.path and the
  /// working directory, pickled).
  std::string setup_payload;
};

struct LocalRuntimeOptions {
  Resources total;                      // Zero cpu: the cores that this process may use.
  std::int64_t object_store_bytes = 0;  // 0: 30 % of the machine's memory.
  std::string spill_directory;          // "": the system's temporary directory.
  WorkerOptions workers;
};

class ObjectStore;

/// The machine's share of a process: one object store, one thread pool, one pool of worker
/// processes, for all executions in it. Threads: all methods from any thread.
class LocalRuntime {
 public:
  static Result<std::shared_ptr<LocalRuntime>> Make(LocalRuntimeOptions options);
  /// Ends the workers and the template, removes spill files and shared memory.
  /// Requires: all backends are gone.
  virtual ~LocalRuntime() = default;

  /// Returns a backend for one execution. It keeps this runtime alive.
  virtual std::unique_ptr<Backend> NewBackend() = 0;
  /// The same, but everything runs in the thread that calls Wait(), one task at a time; functions
  /// through `functions`, which may be null for C++ only.
  virtual std::unique_ptr<Backend> NewInlineBackend(class FunctionRuntime* functions) = 0;

  /// Starts the template process now if it does not run: a plan with a Python function exists.
  /// Returns at once.
  virtual void WarmUp() = 0;

  /// Changes what new workers get at their start, and retires idle workers that had another.
  virtual void SetWorkerSetup(std::string setup_payload) = 0;

  virtual ObjectStore& store() = 0;
  virtual const LocalRuntimeOptions& options() const = 0;

  /// False in a process that was forked from the one that made this runtime: it is the parent's,
  /// its threads do not exist here, and nothing of it may be used. A new one may be made.
  virtual bool usable() const = 0;

  /// Process ids of the template and the workers, for tests.
  virtual std::vector<std::int64_t> worker_pids() const = 0;
};

/// The worker's side: serves the driver over the socket `fd` until it is closed. Called in a
/// process forked from the template. Returns the exit code.
int RunWorker(int fd, class FunctionRuntime* functions);

}  // namespace headrace
