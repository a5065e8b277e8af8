#include "headrace/runtime/local/process_memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace headrace {
namespace {

constexpr std::int64_t kBytes = 64 << 20;
constexpr std::int64_t kSlack = 4 << 20;

/// Memory that the kernel gives, touched, and takes back at the end.
class Pages {
 public:
  explicit Pages(int flags)
      : data_(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0)) {
    std::memset(data_, 1, kBytes);
  }
  ~Pages() { ::munmap(data_, kBytes); }

 private:
  void* data_;
};

TEST(HeapMeterTest, MeasuresAllOrWhatCameSince) {
  const Pages first(MAP_PRIVATE);
  HeapMeter all(/*beyond_first=*/false);
  HeapMeter since(/*beyond_first=*/true);
  const Pages second(MAP_PRIVATE);
  const Pages shared(MAP_SHARED);
  EXPECT_NEAR(static_cast<double>(since.Measure()), kBytes, kSlack);
  EXPECT_GE(all.Measure(), 2 * kBytes - kSlack);
}

TEST(ProcessMeterTest, SeesWhatAProcessGetsAndGivesBack) {
  ProcessMeter meter(0);
  meter.Calibrate(1);
  const std::int64_t before = meter.Measure();
  EXPECT_GT(before, 0);
  {
    const Pages pages(MAP_PRIVATE);
    EXPECT_NEAR(static_cast<double>(meter.Measure() - before), kBytes, kSlack);
  }
  EXPECT_NEAR(static_cast<double>(meter.Measure() - before), 0, kSlack);
}

TEST(ProcessMeterTest, LeavesOutSharedMemory) {
  ProcessMeter meter(0);
  meter.Calibrate(1);
  const std::int64_t before = meter.Measure();
  const Pages pages(MAP_SHARED);
  EXPECT_NEAR(static_cast<double>(meter.Measure() - before), 0, kSlack);
  ProcessMeter fresh(0);
  fresh.Calibrate(1);
  EXPECT_NEAR(static_cast<double>(fresh.Measure() - before), 0, kSlack);
}

TEST(ProcessMeterTest, NothingIsHeldByWhoIsGone) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  ProcessMeter meter(child);
  meter.Calibrate(1);
  EXPECT_GT(meter.Measure(), 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(meter.Measure(), 0);
}

TEST(ProcessMeterTest, AFileInMemoryTakesWhatWasWritten) {
  const int file = ::memfd_create("test", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, 1 << 30), 0);
  EXPECT_EQ(MemoryFileBytes(file), 0);
  const std::string data(1 << 20, 'x');
  ASSERT_EQ(::pwrite(file, data.data(), data.size(), 100 << 20), 1 << 20);
  EXPECT_EQ(MemoryFileBytes(file), 1 << 20);
  ::close(file);
}

}  // namespace
}  // namespace headrace
