#include "headrace/runtime/local/process_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "headrace/runtime/steady_nanos.h"

namespace headrace {

namespace {

constexpr std::int64_t kFreshNanos = 1'000'000;
constexpr std::int64_t kFirstGapNanos = 50'000'000;
constexpr std::int64_t kLastGapNanos = 3'200'000'000;
constexpr std::int64_t kBlock = 512;  // Of st_blocks.

int OpenOf(std::int64_t pid, const char* name) {
  const std::string who = pid == 0 ? "self" : std::to_string(pid);
  return ::open(("/proc/" + who + "/" + name).c_str(), O_RDONLY | O_CLOEXEC);
}

/// Bytes of the process that are neither a file's nor shared memory; -1: unknown.
std::int64_t AnonymousBytes(int statm) {
  static const std::int64_t page_bytes = ::sysconf(_SC_PAGE_SIZE);
  char text[128] = {};
  if (statm < 0 || ::pread(statm, text, sizeof text - 1, 0) <= 0) return -1;
  long long total = 0;
  long long resident = 0;
  long long shared = 0;
  if (std::sscanf(text, "%lld %lld %lld", &total, &resident, &shared) != 3) return -1;
  return std::max<std::int64_t>(0, resident - shared) * page_bytes;
}

/// The number of kB in the line of `name`, in bytes; 0 if there is none.
std::int64_t FieldOf(const char* text, const char* name) {
  const char* line = std::strstr(text, name);
  long long kilobytes = 0;
  if (line == nullptr || std::sscanf(line + std::strlen(name), "%lld", &kilobytes) != 1) return 0;
  return kilobytes * 1024;
}

}  // namespace

HeapMeter::HeapMeter(bool beyond_first)
    : descriptor_(OpenOf(0, "statm")),
      first_bytes_(beyond_first ? std::max<std::int64_t>(0, AnonymousBytes(descriptor_)) : 0) {}

HeapMeter::~HeapMeter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t HeapMeter::Measure() {
  const std::int64_t now = SteadyNanos();
  if (now - measured_nanos_.load() < kFreshNanos) return bytes_.load();
  measured_nanos_.store(now);
  const std::int64_t anonymous = AnonymousBytes(descriptor_);
  if (anonymous >= 0) bytes_.store(std::max<std::int64_t>(0, anonymous - first_bytes_));
  return bytes_.load();
}

ProcessMeter::ProcessMeter(std::int64_t pid)
    : pid_(pid),
      descriptor_(OpenOf(pid, "statm")),
      first_anonymous_(std::max<std::int64_t>(0, AnonymousBytes(descriptor_))),
      anonymous_then_(first_anonymous_),
      calibrate_gap_nanos_(kFirstGapNanos) {}

ProcessMeter::~ProcessMeter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t ProcessMeter::Measure() {
  const std::int64_t anonymous = AnonymousBytes(descriptor_);
  if (anonymous < 0) return 0;
  return std::max<std::int64_t>(0, exact_bytes_ + anonymous - anonymous_then_);
}

void ProcessMeter::Calibrate(std::int64_t now_nanos) {
  if (now_nanos < calibrate_at_nanos_) return;
  calibrate_at_nanos_ = now_nanos + calibrate_gap_nanos_;
  calibrate_gap_nanos_ = std::min(4 * calibrate_gap_nanos_, kLastGapNanos);
  const int rollup = OpenOf(pid_, "smaps_rollup");
  if (rollup < 0) return;
  char text[2048] = {};
  const ssize_t size = ::read(rollup, text, sizeof text - 1);
  ::close(rollup);
  const std::int64_t anonymous = AnonymousBytes(descriptor_);
  if (size <= 0 || anonymous < 0) return;
  exact_bytes_ = FieldOf(text, "\nPss:") - FieldOf(text, "\nPss_Shmem:");
  anonymous_then_ = anonymous;
}

std::int64_t MemoryFileBytes(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? status.st_blocks * kBlock : 0;
}

}  // namespace headrace
