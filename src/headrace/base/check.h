#pragma once

#include <cstdio>
#include <cstdlib>

// Stops the process when one of our own invariants is broken, in release builds too.
//
// For mistakes of this library only. Bad input and failing user code are Status values.

namespace headrace::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "headrace: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace headrace::internal

#define HEADRACE_CHECK(condition)                                        \
  do {                                                                   \
    if (!(condition)) [[unlikely]]                                       \
      ::headrace::internal::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)
