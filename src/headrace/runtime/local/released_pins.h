#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "headrace/runtime/store/fork_guard.h"

// A worker's own: what it says to the driver about inputs that it no longer reads.

namespace headrace {

/// Inputs that nobody in this process reads any more. Outlives the worker's other state.
class ReleasedPins {
 public:
  explicit ReleasedPins(int wake) : generation_(ForkGeneration()), wake_(wake) {}
  void Add(std::uint64_t pin) {
    // In a process that the user's function forked; the lock may be held for ever.
    if (ForkGeneration() != generation_) return;
    std::lock_guard lock(mutex_);
    pins_.push_back(pin);
    if (pins_.size() > 1 || main_running_.load()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
  }
  std::vector<std::uint64_t> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(pins_, {});
  }
  /// While the main thread runs it looks here itself.
  void SetMainRunning(bool running) { main_running_.store(running); }

 private:
  std::mutex mutex_;
  std::vector<std::uint64_t> pins_;
  std::atomic<bool> main_running_{false};
  const std::uint64_t generation_;
  const int wake_;
};

/// What a task's input is held by; its end adds the input to the released ones.
struct InputHold {
  InputHold(std::shared_ptr<ReleasedPins> released, std::uint64_t pin)
      : released(std::move(released)), pin(pin) {}
  InputHold(const InputHold&) = delete;
  InputHold& operator=(const InputHold&) = delete;
  ~InputHold() { released->Add(pin); }

  const std::shared_ptr<ReleasedPins> released;
  const std::uint64_t pin;
};

}  // namespace headrace
