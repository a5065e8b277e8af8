#pragma once

#include <pthread.h>

#include <mutex>

namespace headrace {

/// A mutex for sections of a few dozen instructions that several threads enter for each task: who
/// finds it taken looks again for about a microsecond before it sleeps, for to sleep and be woken
/// costs the two threads far more than the section does. Goes wherever a std::mutex does,
/// std::condition_variable included.
class ShortMutex : public std::mutex {
 public:
  ShortMutex() {
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    *native_handle() = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#endif
  }
};

}  // namespace headrace
