#include "headrace/runtime/store/spill_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <string_view>

#include "headrace/runtime/store/fork_guard.h"

namespace headrace {

namespace {

constexpr std::string_view kPrefix = "headrace-spill-";
constexpr const char* kLock = "lock";
// A younger directory without a locked file may still be in the making.
constexpr std::time_t kYoungSeconds = 60;

// Returns true for "headrace-spill-<pid>-<six characters>".
bool IsSpillDirectoryName(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  return digits > 0 && name.size() == digits + 7 && name[digits] == '-';
}

void RemoveIfStale(const std::filesystem::path& directory) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return;
  if (std::time(nullptr) - info.st_mtime < kYoungSeconds) return;
  const int lock = ::open((directory / kLock).c_str(), O_RDWR | O_CLOEXEC);
  if (lock < 0) {
    // Its process died before it made the lock, and so left nothing in it: else it is not ours.
    if (errno == ENOENT) ::rmdir(directory.c_str());
    return;
  }
  const bool stale = ::flock(lock, LOCK_EX | LOCK_NB) == 0;
  ::close(lock);
  std::error_code ignored;
  if (stale) std::filesystem::remove_all(directory, ignored);
}

}  // namespace

SpillDirectory::SpillDirectory(std::string parent) : parent_(std::move(parent)) {
  if (!parent_.empty()) return;
  const char* temporary = std::getenv("TMPDIR");
  parent_ = temporary != nullptr && *temporary != '\0' ? temporary : "/tmp";
}

SpillDirectory::~SpillDirectory() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  ForgetInForkedChild(lock_);
  ::close(lock_);
}

void SpillDirectory::RemoveStale() const {
  std::error_code error;
  std::filesystem::directory_iterator entries(parent_, error);
  if (error) return;
  for (const auto& entry : entries) {
    if (IsSpillDirectoryName(entry.path().filename().string())) RemoveIfStale(entry.path());
  }
}

Status SpillDirectory::Create() {
  std::error_code error;
  std::filesystem::create_directories(parent_, error);
  std::string path = parent_ + "/" + std::string(kPrefix) + std::to_string(::getpid()) + "-XXXXXX";
  if (error || ::mkdtemp(path.data()) == nullptr) {
    return Status::IOError("cannot make a spill directory in ", parent_, ": ",
                           error ? error.message() : std::strerror(errno));
  }
  lock_ = ::open((path + "/" + kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0 || ::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    if (lock_ >= 0) ::close(lock_);
    std::filesystem::remove_all(path, error);
    return Status::IOError("cannot lock the spill directory ", path, ": ", std::strerror(reason));
  }
  CloseInForkedChild(lock_);
  path_ = path;
  return Status::OK();
}

Result<std::string> SpillDirectory::NextPath() {
  std::lock_guard lock(mutex_);
  if (path_.empty()) ARROW_RETURN_NOT_OK(Create());
  return path_ + "/" + std::to_string(next_++) + ".arrow";
}

Result<std::shared_ptr<SpillFile>> SpillDirectory::Write(const arrow::Table& table) {
  ARROW_ASSIGN_OR_RAISE(const std::string path, NextPath());
  auto file = SpillFile::Write(table, path);
  if (file.ok()) return file;
  ::unlink(path.c_str());
  const Status& status = file.status();
  const std::string reason = status.detail() ? ": " + status.detail()->ToString() : "";
  return Status::IOError("cannot spill a block to ", parent_, ": ", status.message(), reason);
}

}  // namespace headrace
