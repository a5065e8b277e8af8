#include "headrace/runtime/local/heap_pool.h"

#include <arrow/memory_pool.h>
#include <arrow/status.h>

#include <cstdlib>

namespace headrace {
namespace {

arrow::MemoryPool* ChoosePool() {
  arrow::MemoryPool* pool = nullptr;
  const char* chosen = std::getenv("ARROW_DEFAULT_MEMORY_POOL");
  const bool free = chosen == nullptr || *chosen == '\0';
  return free && arrow::jemalloc_memory_pool(&pool).ok() ? pool : arrow::default_memory_pool();
}

}  // namespace

arrow::MemoryPool* HeapPool() {
  static arrow::MemoryPool* const pool = ChoosePool();
  return pool;
}

}  // namespace headrace
