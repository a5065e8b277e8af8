#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "headrace/base/status.h"
#include "headrace/base/time.h"
#include "headrace/control/schedule/scheduler.h"

namespace headrace {

/// Writes the event log of one run to a file, as it happens; see observe/event_log.h. After a
/// write error it writes no more and keeps the error. Threads: one.
class EventRecorder {
 public:
  /// Creates or replaces the file and writes the log's header.
  static Result<std::unique_ptr<EventRecorder>> Make(const std::string& path,
                                                     const PhysicalPlan& plan,
                                                     const ExecutionOptions& options,
                                                     const BackendTraits& traits);
  void Record(Instant now, const Event& event);
  void Record(const Action& action);

  /// Writes what is buffered and returns the first error that there was. Later records are dropped.
  Status Close();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit EventRecorder(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  void Write(const std::string& bytes);

  const std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  Status status_;
};

}  // namespace headrace
