#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace headrace {

/// A vector of plain values whose first `N` stand in the object itself: lists that are nearly
/// always short cost no allocation. Otherwise it is used as a std::vector; iterators are pointers,
/// and a move may change them.
template <class T, std::uint32_t N>
class SmallVector {
  static_assert(std::is_trivially_copyable_v<T> && N > 0);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() noexcept {}
  SmallVector(std::initializer_list<T> values) { append(values.begin(), values.end()); }
  template <std::input_iterator It>
  SmallVector(It first, It last) {
    append(first, last);
  }
  SmallVector(const std::vector<T>& values) : SmallVector(values.begin(), values.end()) {}
  SmallVector(const SmallVector& other) {
    if (other.is_inline()) {
      size_ = other.size_;
      std::memcpy(static_cast<void*>(&inline_), &other.inline_, kInlineBytes);
    } else {
      append(other.begin(), other.end());
    }
  }
  SmallVector(SmallVector&& other) noexcept { Take(&other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) {
      size_ = 0;
      append(other.begin(), other.end());
    }
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      Free();
      Take(&other);
    }
    return *this;
  }
  ~SmallVector() { Free(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return is_inline() ? inline_ : heap_; }
  const T* data() const { return is_inline() ? inline_ : heap_; }
  iterator begin() { return data(); }
  iterator end() { return data() + size_; }
  const_iterator begin() const { return data(); }
  const_iterator end() const { return data() + size_; }
  T& operator[](std::size_t i) { return data()[i]; }
  const T& operator[](std::size_t i) const { return data()[i]; }
  /// Require: not empty.
  T& front() { return data()[0]; }
  const T& front() const { return data()[0]; }
  T& back() { return data()[size_ - 1]; }
  const T& back() const { return data()[size_ - 1]; }

  void clear() { size_ = 0; }
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) Grow(static_cast<std::uint32_t>(capacity));
  }
  /// New elements are zero.
  void resize(std::size_t size) {
    reserve(size);
    if (size > size_) std::fill(end(), data() + size, T{});
    size_ = static_cast<std::uint32_t>(size);
  }
  /// Requires: not empty.
  void pop_back() { --size_; }
  void push_back(T value) {
    if (size_ == capacity_) Grow(2 * capacity_);
    data()[size_++] = value;
  }
  template <std::input_iterator It>
  void append(It first, It last) {
    if constexpr (std::forward_iterator<It>) {
      reserve(size_ + static_cast<std::size_t>(std::distance(first, last)));
    }
    for (; first != last; ++first) push_back(*first);
  }
  void insert(const_iterator at, T value) {
    const std::ptrdiff_t index = at - begin();
    push_back(value);
    std::rotate(begin() + index, end() - 1, end());
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend auto operator<=>(const SmallVector& a, const SmallVector& b) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  bool is_inline() const { return capacity_ == N; }

  void Grow(std::uint32_t capacity) {
    T* values = std::allocator<T>().allocate(capacity);
    std::memcpy(static_cast<void*>(values), data(), size_ * sizeof(T));
    Free();
    heap_ = values;
    capacity_ = capacity;
  }
  void Free() {
    if (!is_inline()) std::allocator<T>().deallocate(heap_, capacity_);
    capacity_ = N;
  }
  // Requires: nothing of its own on the heap.
  void Take(SmallVector* other) {
    size_ = std::exchange(other->size_, 0);
    capacity_ = std::exchange(other->capacity_, N);
    // All of it, whatever is there: a fixed size takes no call.
    std::memcpy(static_cast<void*>(&inline_), &other->inline_, kInlineBytes);
  }

  static constexpr std::size_t kInlineBytes = std::max(N * sizeof(T), sizeof(T*));

  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = N;  // N: the values stand in inline_.
  union {
    T inline_[N] = {};
    T* heap_;
  };
};

}  // namespace headrace
