#include "headrace/engine/event_recorder.h"

#include <arrow/util/io_util.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <utility>

namespace headrace {
namespace {

constexpr std::string_view kPidMark = "{pid}";

/// Returns the path for the next run of this process that records to `path`.
std::string NumberedPath(std::string path) {
  static std::mutex mutex;
  static std::map<std::string, int> runs;
  for (std::size_t at; (at = path.find(kPidMark)) != std::string::npos;) {
    path.replace(at, kPidMark.size(), std::to_string(::getpid()));
  }
  int number;
  {
    std::lock_guard lock(mutex);
    number = ++runs[path];
  }
  if (number == 1) return path;
  const std::size_t name = path.rfind('/') + 1;  // 0 where there is no slash.
  std::size_t dot = path.rfind('.');
  if (dot == std::string::npos || dot <= name) dot = path.size();
  return path.insert(dot, "." + std::to_string(number));
}

Status WriteError(const std::string& path) {
  return arrow::internal::IOErrorFromErrno(errno, "cannot write the event log '", path, "'");
}

}  // namespace

Result<std::unique_ptr<EventRecorder>> EventRecorder::Make(const std::string& path,
                                                           const PhysicalPlan& plan,
                                                           const ExecutionOptions& options,
                                                           const BackendTraits& traits,
                                                           Policies* policies) {
  std::string numbered = NumberedPath(path);
  std::FILE* file = std::fopen(numbered.c_str(), "wbe");
  if (file == nullptr) return WriteError(numbered);
  std::unique_ptr<EventRecorder> recorder(new EventRecorder(std::move(numbered), file));
  std::vector<std::string> names;
  for (const auto& policy : *policies) names.emplace_back(policy->name());
  recorder->Write(recorder->encoder_.Header(plan, options, traits, names));
  *policies = Tape(std::move(*policies), recorder->tape_);
  return recorder;
}

void EventRecorder::Record(Instant now, const Event& event) {
  Write(encoder_.RecordAnswers(tape_->Take()));
  Write(encoder_.Record(now, event));
}

void EventRecorder::Record(const Action& action) {
  Write(encoder_.RecordAnswers(tape_->Take()));
  Write(encoder_.Record(action));
}

void EventRecorder::Write(const std::string& bytes) {
  if (file_ == nullptr || !status_.ok() || bytes.empty()) return;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size()) return;
  status_ = WriteError(path_);
}

void EventRecorder::Flush() {
  if (file_ == nullptr || !status_.ok()) return;
  if (std::fflush(file_.get()) != 0) status_ = WriteError(path_);
}

Status EventRecorder::Close() {
  if (file_ != nullptr && std::fclose(file_.release()) != 0 && status_.ok()) {
    status_ = WriteError(path_);
  }
  return status_;
}

}  // namespace headrace
