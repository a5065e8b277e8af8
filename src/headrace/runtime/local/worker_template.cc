#include "headrace/runtime/local/worker_template.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "headrace/runtime/store/fork_guard.h"

extern char** environ;

namespace headrace {

namespace {

constexpr int kControlInChild = 3;
constexpr int kEndMillis = 3000;

std::vector<std::string> MergeEnvironment(const std::vector<std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view name =
        std::string_view(*entry).substr(0, std::string_view(*entry).find('='));
    bool replaced = false;
    for (const std::string& other : added) {
      replaced |= other.size() > name.size() && other[name.size()] == '=' &&
                  other.compare(0, name.size(), name) == 0;
    }
    if (!replaced) merged.emplace_back(*entry);
  }
  merged.insert(merged.end(), added.begin(), added.end());
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Spawns `command` with `socket` as descriptor 3, nothing to read, and nothing else open.
Result<pid_t> SpawnTemplate(std::vector<std::string> command,
                            const std::vector<std::string>& environment, int socket) {
  command.push_back(std::to_string(kControlInChild));
  std::vector<std::string> merged = MergeEnvironment(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, socket, kControlInChild);
#if __GLIBC_PREREQ(2, 34)
  posix_spawn_file_actions_addclosefrom_np(&actions, kControlInChild + 1);
#endif
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // A group of its own: Ctrl-C is for the driver alone, which decides what ends.
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, command[0].c_str(), &actions, &attributes,
                                   Pointers(command).data(), Pointers(merged).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return Status::IOError("cannot start the worker template '", command[0],
                           "': ", std::strerror(error));
  }
  return pid;
}

}  // namespace

std::string DescribeWaitStatus(std::int64_t status) {
  const int s = static_cast<int>(status);
  if (WIFSIGNALED(s)) {
    return "was killed by signal " + std::to_string(WTERMSIG(s)) + " (" + ::strsignal(WTERMSIG(s)) +
           ")";
  }
  return "exited with status " + std::to_string(WEXITSTATUS(s));
}

WorkerTemplate::~WorkerTemplate() {
  if (socket_ < 0) return;
  Close();
  Reap();
}

Status WorkerTemplate::Start() {
  if (socket_ >= 0) return Status::OK();
  if (options_.template_command.empty()) {
    return Status::NotImplemented("this runtime has no worker processes");
  }
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return Status::IOError("cannot make a socket: ", std::strerror(errno));
  }
  auto pid = SpawnTemplate(options_.template_command, options_.environment, sockets[1]);
  ::close(sockets[1]);
  if (!pid.ok()) {
    ::close(sockets[0]);
    return pid.status();
  }
  socket_ = sockets[0];
  pid_ = *pid;
  last_error_.clear();
  served_ = false;
  CloseInForkedChild(socket_);
  return Status::OK();
}

Status WorkerTemplate::Request(int descriptor) {
  char kind = kTemplateFork;
  iovec part{&kind, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  while (::sendmsg(socket_, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    return Status::IOError("the worker template is gone: ", std::strerror(errno));
  }
  return Status::OK();
}

std::vector<TemplateReply> WorkerTemplate::Poll() {
  std::vector<TemplateReply> replies;
  while (socket_ >= 0) {
    TemplateReply reply;
    const ssize_t size = ::recv(socket_, &reply, sizeof reply, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (size == sizeof reply) {
      replies.push_back(reply);
      served_ = true;
      continue;
    }
    Close();
    last_error_ = "was lost, as its template " + Reap() + ",";
  }
  return replies;
}

void WorkerTemplate::Close() {
  ForgetInForkedChild(socket_);
  ::shutdown(socket_, SHUT_RDWR);
  ::close(socket_);
  socket_ = -1;
}

std::string WorkerTemplate::Reap() {
  const auto pid = static_cast<pid_t>(pid_);
  pid_ = -1;
  int status = 0;
  for (int waited = 0;; ++waited) {
    const pid_t ended = ::waitpid(pid, &status, waited < kEndMillis ? WNOHANG : 0);
    if (ended == pid) return DescribeWaitStatus(status);
    if (ended < 0 && errno != EINTR) return "ended";  // Someone else has reaped it.
    if (waited == kEndMillis - 1) ::kill(pid, SIGKILL);
    const timespec millisecond{0, 1'000'000};
    ::nanosleep(&millisecond, nullptr);
  }
}

}  // namespace headrace
