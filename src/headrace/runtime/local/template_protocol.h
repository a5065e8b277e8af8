#pragma once

#include <cstdint>

// How the driver asks the template process for workers.
//
// The template is a clean interpreter with the slow imports done. It is spawned with
// `template_command`, followed by one argument: the number of the descriptor of its control
// socket (AF_UNIX, SOCK_SEQPACKET: one send is one message, so no message is ever split or joined).
//
//   driver ──"F" + 1 descriptor (SCM_RIGHTS)──▶ template ──fork──▶ worker on that descriptor
//   driver ◀──"F", pid, 0───────────────────── template            (answers come in order)
//   driver ◀──"X", pid, wait status─────────── template            (whenever a worker has ended)
//
// A request is the single byte "F" with exactly one descriptor. An answer is 17 bytes, packed and
// little-endian (Python: struct "<cqq"): the kind, a process id, and a number:
//   "F": the forked process, 0; or if fork failed: -1, errno (the template closes the descriptor).
//   "X": the process that ended, its status as waitpid() gives it (not decoded).
//
// What the template does:
//   - ignores SIGINT, before it says or does anything else, and has a single thread when it forks;
//   - on "F": forks. The parent closes its copy of the descriptor and answers. The child closes the
//     control socket, restores SIGCHLD, reads the setup (below) from the descriptor, applies it,
//     and calls run_worker(descriptor, runtime), then leaves by os._exit(returned code). It must
//     not return into the template's loop, whatever is raised;
//   - reaps its children (SIGCHLD with a wakeup descriptor, or the end of a short poll) and reports
//     each one by "X";
//   - at the end of the control socket (the driver closed it or died): kills its children with
//     SIGKILL, waits for them, and exits with status 0. Nothing but this ends it.
//
// The setup: the first bytes on a worker's own socket (AF_UNIX, SOCK_STREAM) are an unsigned
// 64-bit little-endian length and as many bytes: WorkerOptions::setup_payload as it was when the
// worker was asked for. The host of the worker reads exactly these before run_worker(); they may
// be empty. All that follows belongs to run_worker().
//
// run_worker() itself asks the kernel to kill the worker when the template dies, ignores SIGINT,
// and never closes the descriptor that it was given.

namespace headrace {

inline constexpr char kTemplateFork = 'F';
inline constexpr char kTemplateExit = 'X';

/// One answer of the template.
struct __attribute__((packed)) TemplateReply {
  char kind = 0;
  std::int64_t pid = 0;
  std::int64_t status = 0;
};
static_assert(sizeof(TemplateReply) == 17);

}  // namespace headrace
