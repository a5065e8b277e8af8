#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <type_traits>

#include "headrace/base/check.h"

namespace headrace {

/// A vector of plain values that may get long: the system moves its pages where std::vector would
/// copy them, and so they are neither read nor zeroed again.
template <class T>
class Growing {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  Growing() = default;
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;
  ~Growing() { std::free(data_); }

  std::size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  const T* begin() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

  void push_back(T value) {
    Reserve(size_ + 1);
    data_[size_++] = value;
  }

  /// Makes it longer. Requires: size >= size().
  void resize(std::size_t size, T value = T()) {
    Reserve(size);
    std::fill(data_ + size_, data_ + size, value);
    size_ = size;
  }

 private:
  void Reserve(std::size_t size) {
    if (size <= capacity_) return;
    capacity_ = std::max(size, 2 * capacity_);
    data_ = static_cast<T*>(std::realloc(static_cast<void*>(data_), capacity_ * sizeof(T)));
    HEADRACE_CHECK(data_ != nullptr);
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace headrace
