#include "headrace/runtime/store/fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>

namespace headrace {

namespace {

// Plain atomics: the child may take no lock.
std::atomic<std::uint64_t> generation{0};
std::array<std::atomic<int>, 4096> descriptors{};  // descriptor + 1; 0: free.

void InChild() {
  generation.fetch_add(1, std::memory_order_relaxed);
  for (std::atomic<int>& slot : descriptors) {
    const int value = slot.exchange(0, std::memory_order_relaxed);
    if (value > 0) ::close(value - 1);
  }
}

void Install() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, InChild); });
}

}  // namespace

std::uint64_t ForkGeneration() {
  Install();
  return generation.load(std::memory_order_relaxed);
}

void CloseInForkedChild(int descriptor) {
  Install();
  for (std::atomic<int>& slot : descriptors) {
    int expected = 0;
    if (slot.compare_exchange_strong(expected, descriptor + 1)) return;
  }
}

void ForgetInForkedChild(int descriptor) {
  for (std::atomic<int>& slot : descriptors) {
    int expected = descriptor + 1;
    if (slot.compare_exchange_strong(expected, 0)) return;
  }
}

}  // namespace headrace
