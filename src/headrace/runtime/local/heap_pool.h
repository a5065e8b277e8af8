#pragma once

namespace arrow {
class MemoryPool;
}

namespace headrace {

/// Returns the pool of this process's heap that tasks of the thread lane allocate from: Arrow's
/// jemalloc where it is there and the user has not chosen a pool (ARROW_DEFAULT_MEMORY_POOL), else
/// Arrow's default.
///
/// Buffers of tasks are large and live shortly. The default, mimalloc, gives their pages back to
/// the system within 10 ms, which must then clear others for the next ones; jemalloc keeps them
/// for a second.
arrow::MemoryPool* HeapPool();

}  // namespace headrace
