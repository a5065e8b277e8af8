#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/observe/event_log.h"

namespace headrace {

/// Writes the event log of one run to a file, as it happens; see observe/event_log.h. After a
/// write error it writes no more and keeps the error. Threads: one.
///
/// The first run of a process that records to "run.log" writes that file, the n-th one
/// "run.n.log": "run.2.log", "run.3.log", ... Each replaces a file of an earlier process. In the
/// path, "{pid}" stands for the number of the process.
class EventRecorder {
 public:
  /// Creates or replaces the file and writes the log's header. What `policies` say from now on is
  /// recorded too: the run must use those that are put in their place.
  static Result<std::unique_ptr<EventRecorder>> Make(const std::string& path,
                                                     const PhysicalPlan& plan,
                                                     const ExecutionOptions& options,
                                                     const BackendTraits& traits,
                                                     Policies* policies);
  void Record(Instant now, const Event& event);
  void Record(const Action& action);

  /// Gives what was recorded to the system, so that it stays if the process dies.
  void Flush();

  /// Writes what is buffered and returns the first error that there was. Later records are dropped.
  Status Close();

  const std::string& path() const { return path_; }

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit EventRecorder(std::string path, std::FILE* file)
      : path_(std::move(path)), file_(file), tape_(std::make_shared<PolicyTape>()) {}
  void Write(const std::string& bytes);

  const std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  const std::shared_ptr<PolicyTape> tape_;
  EventLogEncoder encoder_;
  Status status_;
};

}  // namespace headrace
