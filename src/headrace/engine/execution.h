#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/control/plan/physical_plan.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/protocol/event.h"

namespace headrace {

class Backend;

/// One run of one plan: the loop that joins scheduler and backend, in a thread of its own (or,
/// with an inline backend, in the thread that calls Next()).
///
/// Threads: Next() from one consumer at a time; the rest from any thread. With an inline backend
/// Stop() too is the consumer's alone.
class Execution {
 public:
  static Result<std::unique_ptr<Execution>> Start(PhysicalPlan plan, ExecutionOptions options,
                                                  std::shared_ptr<Backend> backend);
  /// Stops, waits for running tasks to end, and returns all memory. In the run's own driver, where
  /// a policy let go of the last reference, another thread does so.
  ~Execution();

  /// Waits for the next output block, and hands over the reference to it: the caller must give it
  /// to Backend::Release() some day. Nothing at the end. `prefetch` is how many more blocks may
  /// be made ready meanwhile. Calling Next() again also says that the consumer let go of the
  /// previous block, as far as the budget goes.
  Result<std::optional<BlockHandle>> Next(std::int64_t prefetch = 1);

  /// Like Next(), but waits for `timeout` at most; unset `block` and false `end`: nothing yet.
  struct Polled {
    std::optional<BlockHandle> block;
    bool end = false;
  };
  Result<Polled> Poll(Duration timeout, std::int64_t prefetch = 1);

  /// Gives the positions of the pieces that have ended since the last call and whose blocks Next()
  /// has all given. Empty unless the plan reports its pieces; see control/plan/pieces.h.
  std::vector<Position> TakeEndedPieces();

  /// What a task told that ended well; see TaskStats::letters.
  struct Letter {
    Position piece;  // That the task is of. Empty unless the plan reports its pieces.
    std::string record;
  };
  /// Gives the letters of the tasks that have ended well since the last call: at least those of the
  /// pieces that TakeEndedPieces() gave before.
  std::vector<Letter> TakeLetters();

  /// Ends the run early. Idempotent. Returns when no task runs; at once in the run's own driver.
  void Stop();

  /// Why the run failed, once Next() returned an error.
  std::optional<Failure> failure() const;

  std::vector<OperatorState> Snapshot() const;
  Duration elapsed() const;
  std::int64_t peak_charged_bytes() const;
  Backend& backend();

 private:
  class Impl;
  explicit Execution(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
