#include "headrace/runtime/local/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "headrace/runtime/steady_nanos.h"

namespace headrace {

namespace {

constexpr std::int64_t kFreshNanos = 1'000'000;

}  // namespace

HeapMeter::HeapMeter()
    : descriptor_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      page_bytes_(::sysconf(_SC_PAGE_SIZE)) {}

HeapMeter::~HeapMeter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t HeapMeter::Measure() {
  const std::int64_t now = SteadyNanos();
  if (descriptor_ < 0 || now - measured_nanos_ < kFreshNanos) return bytes_;
  measured_nanos_ = now;
  char text[128] = {};
  if (::pread(descriptor_, text, sizeof text - 1, 0) <= 0) return bytes_;
  long long total = 0;
  long long resident = 0;
  long long shared = 0;
  if (std::sscanf(text, "%lld %lld %lld", &total, &resident, &shared) == 3) {
    bytes_ = std::max<std::int64_t>(0, resident - shared) * page_bytes_;
  }
  return bytes_;
}

}  // namespace headrace
