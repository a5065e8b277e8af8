#pragma once

// The process's one session, and what becomes of it at shutdown and at fork.
//
// Everything that lives in the session's store or threads (block references, runs) holds a
// SessionHandle, not the session: shutdown() ends the runs and drops the session under them, and
// a fork of the user's process forgets it in the child, where its threads do not exist.
// Threads: all under the GIL, but for the session itself.

#include <memory>
#include <set>
#include <string>

#include "headrace/base/status.h"
#include "headrace/runtime/local/local_runtime.h"

namespace headrace {
class Rule;
class Session;
}  // namespace headrace

namespace headrace::python {

/// A run as the session's end finds it. Both calls leave it without an engine.
class SessionRun {
 public:
  virtual ~SessionRun() = default;
  /// Stops it and returns its memory. Requires: the GIL, which is released meanwhile.
  virtual void End() = 0;
  /// Leaves it to the parent of a forked process.
  virtual void Forget() = 0;
};

/// One life of the session. After shutdown or in a forked child `session` is null. Who uses it
/// without the GIL takes a copy of `session` before: see Share().
struct SessionHandle {
  std::shared_ptr<Session> session;
  /// Runs that somebody holds; each one takes itself out when it is destroyed.
  std::set<SessionRun*> runs;

  /// Returns the session, or an error if it was shut down.
  Result<Session*> Get() const;
  Result<std::shared_ptr<Session>> Share() const;
};
using SessionPtr = std::shared_ptr<SessionHandle>;

/// Returns the current session, made at the first call. Requires: the GIL.
Result<SessionPtr> CurrentSession();

/// Sets what the next session is made of; fails while one exists. Requires: the GIL.
Status ConfigureSession(LocalRuntimeOptions options);

/// Returns the name of the current session's backend, "" if there is no session.
std::string CurrentBackend();

/// Starts what the first Python function will need soon, where that is of this machine.
void WarmUpSession();

/// Sets what worker processes get at their start, in this session and later ones.
void SetWorkerSetup(std::string payload);

/// Ends all runs, the workers and the store. Requires: the GIL, which is released meanwhile.
void ShutdownSession();

/// Leaves the session to the parent of a forked process: frees nothing, joins nothing.
void ForgetSession();

/// Adds a rule to this session and all later ones; removes one by its name.
Status AddSessionRule(std::shared_ptr<const Rule> rule);
Result<bool> RemoveSessionRule(const std::string& name);

}  // namespace headrace::python
