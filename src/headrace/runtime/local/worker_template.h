#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/runtime/local/local_runtime.h"
#include "headrace/runtime/local/template_protocol.h"

namespace headrace {

/// The driver's side of the template process: see template_protocol.h. It is started when it is
/// first needed, and again after it died. Not thread-safe.
class WorkerTemplate {
 public:
  explicit WorkerTemplate(WorkerOptions options) : options_(std::move(options)) {}
  /// Ends the template and with it every worker, and waits for that.
  ~WorkerTemplate();

  /// Starts the template if it does not run. Does not wait for it to be ready.
  Status Start();

  /// Asks for a worker on `descriptor`, which stays the caller's. Requires: it runs.
  Status Request(int descriptor);

  /// The control socket, readable when Poll() has something; -1: it does not run.
  int descriptor() const { return socket_; }
  std::int64_t pid() const { return pid_; }

  /// Returns the answers that are there. When the template has died, descriptor() is -1 afterwards
  /// and last_error() says so, until it is started again.
  std::vector<TemplateReply> Poll();
  const std::string& last_error() const { return last_error_; }
  /// Returns true if it has answered since its last start: it could work.
  bool served() const { return served_; }

 private:
  void Close();
  /// Waits for the process; returns its status as text.
  std::string Reap();

  const WorkerOptions options_;
  int socket_ = -1;
  std::int64_t pid_ = -1;
  std::string last_error_;
  bool served_ = false;
};

/// Returns "was killed by signal 9 (Killed)" or "exited with status 3" for a wait status.
std::string DescribeWaitStatus(std::int64_t status);

}  // namespace headrace
