#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "headrace/engine/execution.h"
#include "process.h"
#include "store.h"

namespace headrace {
class FunctionRuntime;
}

namespace headrace::python {

/// One run, as the consumer holds it. Destroying it stops the run.
class PyExecution final : public SessionRun {
 public:
  /// `functions` serves an inline run and must outlive it; else null.
  PyExecution(SessionPtr session, std::unique_ptr<Execution> run,
              std::unique_ptr<FunctionRuntime> functions);
  ~PyExecution() override;
  PyExecution(const PyExecution&) = delete;
  PyExecution& operator=(const PyExecution&) = delete;

  /// Waits at most `timeout_seconds` for a block; the flag says that the run has ended. Releases
  /// the GIL, and answers signals at least every 50 ms. Raises what failed.
  std::pair<BlockRefPtr, bool> Poll(double timeout_seconds, std::int64_t prefetch);

  /// See Execution::TakeLetters().
  std::vector<std::pair<std::vector<std::uint32_t>, nanobind::bytes>> TakeLetters();
  /// See Execution::TakeEndedPieces().
  std::vector<std::vector<std::uint32_t>> TakeEndedPieces();

  void Stop();
  void End() override;
  void Forget() override;

  // After the session's end these say how things stood then.
  std::vector<OperatorState> Snapshot() const;
  Duration elapsed() const;
  std::int64_t peak_charged_bytes() const;

 private:
  SessionPtr session_;
  std::unique_ptr<FunctionRuntime> functions_;
  // Null after the session's end. Shared, because another thread may be in Poll() at that time.
  std::shared_ptr<Execution> run_;
  std::vector<OperatorState> last_snapshot_;
  Duration last_elapsed_;
  std::int64_t last_peak_bytes_ = 0;
};

}  // namespace headrace::python
