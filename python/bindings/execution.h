#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "headrace/engine/execution.h"
#include "process.h"
#include "store.h"

namespace headrace {
class FunctionRuntime;
}

namespace headrace::python {

/// One run, as the consumer holds it. Destroying it stops the run.
class PyExecution {
 public:
  /// `functions` serves an inline run and must outlive it; else null.
  PyExecution(SessionPtr session, std::unique_ptr<Execution> run,
              std::unique_ptr<FunctionRuntime> functions);
  ~PyExecution();
  PyExecution(const PyExecution&) = delete;
  PyExecution& operator=(const PyExecution&) = delete;

  /// Waits at most `timeout_seconds` for a block; the flag says that the run has ended. Releases
  /// the GIL, and answers signals at least every 50 ms. Raises what failed.
  std::pair<BlockRefPtr, bool> Poll(double timeout_seconds, std::int64_t prefetch);

  void Stop();

  /// Returns the run. Raises an error after a shutdown.
  Execution& run() const;

 private:
  SessionPtr session_;
  std::unique_ptr<FunctionRuntime> functions_;
  std::unique_ptr<Execution> run_;
};

}  // namespace headrace::python
