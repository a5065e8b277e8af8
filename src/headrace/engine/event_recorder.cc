#include "headrace/engine/event_recorder.h"

#include <arrow/util/io_util.h>

#include <cerrno>

#include "headrace/observe/event_log.h"

namespace headrace {

Result<std::unique_ptr<EventRecorder>> EventRecorder::Make(const std::string& path,
                                                           const PhysicalPlan& plan,
                                                           const ExecutionOptions& options,
                                                           const BackendTraits& traits) {
  std::FILE* file = std::fopen(path.c_str(), "wbe");
  if (file == nullptr) {
    return arrow::internal::IOErrorFromErrno(errno, "cannot write the event log '", path, "'");
  }
  std::unique_ptr<EventRecorder> recorder(new EventRecorder(path, file));
  recorder->Write(EventLogEncoder::Header(plan, options, traits));
  return recorder;
}

void EventRecorder::Record(Instant now, const Event& event) {
  Write(EventLogEncoder::Record(now, event));
}

void EventRecorder::Record(const Action& action) { Write(EventLogEncoder::Record(action)); }

void EventRecorder::Write(const std::string& bytes) {
  if (file_ == nullptr || !status_.ok()) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size()) return;
  status_ = arrow::internal::IOErrorFromErrno(errno, "cannot write the event log '", path_, "'");
}

Status EventRecorder::Close() {
  if (file_ != nullptr && std::fclose(file_.release()) != 0 && status_.ok()) {
    status_ = arrow::internal::IOErrorFromErrno(errno, "cannot write the event log '", path_, "'");
  }
  return status_;
}

}  // namespace headrace
