#pragma once

#include <mutex>

namespace headrace {

/// A value that whoever asks first computes, for all. Thread-safe; a recursive one deadlocks.
template <class T>
class Memo {
 public:
  template <class Compute>
  const T& Get(const Compute& compute) const {
    std::call_once(once_, [&] { value_ = compute(); });
    return value_;
  }

 private:
  mutable std::once_flag once_;
  mutable T value_{};
};

}  // namespace headrace
