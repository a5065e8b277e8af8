#pragma once

#include <atomic>
#include <memory>

namespace headrace {

/// A value that is computed when somebody first asks for it. Two who ask at once may both compute;
/// the value of one of them stands for all. Thread-safe.
template <class T>
class Memo {
 public:
  Memo() = default;
  Memo(const Memo&) = delete;
  Memo& operator=(const Memo&) = delete;
  ~Memo() { delete value_.load(std::memory_order_acquire); }

  template <class Compute>
  const T& Get(const Compute& compute) const {
    if (const T* known = value_.load(std::memory_order_acquire)) return *known;
    auto made = std::make_unique<const T>(compute());
    const T* first = nullptr;
    const bool is_first =
        value_.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel);
    return is_first ? *made.release() : *first;
  }

 private:
  mutable std::atomic<const T*> value_{nullptr};
};

}  // namespace headrace
