#include "headrace/runtime/local/local_runtime.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "headrace/runtime/local/inline_backend.h"
#include "headrace/runtime/local/local_backend.h"
#include "headrace/runtime/local/memory_watch.h"
#include "headrace/runtime/local/thread_lane.h"
#include "headrace/runtime/local/worker_pool.h"
#include "headrace/runtime/store/fork_guard.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {

namespace {

int CountCores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
}

std::int64_t MachineMemory() {
  return static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::int64_t>(::sysconf(_SC_PAGE_SIZE));
}

int WholeCpus(const Resources& total) {
  return static_cast<int>(std::max<std::int64_t>(1, (total.cpu_milli + 999) / 1000));
}

class Runtime : public LocalRuntime, public std::enable_shared_from_this<Runtime> {
 public:
  explicit Runtime(LocalRuntimeOptions options)
      : options_(std::move(options)),
        generation_(ForkGeneration()),
        store_(std::make_shared<LocalStore>(
            LocalStoreOptions{options_.object_store_bytes, options_.spill_directory})),
        lane_(std::make_unique<ThreadLane>(WholeCpus(options_.total))),
        workers_(
            std::make_unique<WorkerPool>(options_.workers, WholeCpus(options_.total), lane_.get())),
        memory_(std::make_unique<MemoryWatch>(workers_.get())) {}

  ~Runtime() override {
    if (!usable()) {
      // The parent's threads and sockets: leave them all alone.
      [[maybe_unused]] auto* memory = memory_.release();
      [[maybe_unused]] auto* workers = workers_.release();
      [[maybe_unused]] auto* lane = lane_.release();
      [[maybe_unused]] auto* store = new std::shared_ptr<LocalStore>(std::move(store_));
      return;
    }
    lane_.reset();  // Its last jobs may still use the pool.
    memory_.reset();
    workers_.reset();
    if (auto arena = Arena::ForProcess(); arena.ok()) (*arena)->ReleaseUnused();
  }

  std::unique_ptr<Backend> NewBackend() override {
    return std::make_unique<LocalBackend>(shared_from_this(), store_, lane_.get(), workers_.get(),
                                          memory_.get());
  }

  std::unique_ptr<Backend> NewInlineBackend(FunctionRuntime* functions) override {
    return std::make_unique<InlineBackend>(shared_from_this(), store_, functions, memory_.get());
  }

  void WarmUp() override {
    if (usable()) workers_->WarmUp();
  }
  void SetWorkerSetup(std::string setup_payload) override {
    if (usable()) workers_->SetSetup(std::move(setup_payload));
  }
  ObjectStore& store() override { return *store_; }
  const LocalRuntimeOptions& options() const override { return options_; }
  bool usable() const override { return ForkGeneration() == generation_; }
  std::vector<std::int64_t> worker_pids() const override {
    return usable() ? workers_->pids() : std::vector<std::int64_t>{};
  }

 private:
  const LocalRuntimeOptions options_;
  const std::uint64_t generation_;
  std::shared_ptr<LocalStore> store_;
  std::unique_ptr<ThreadLane> lane_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<MemoryWatch> memory_;
};

}  // namespace

Result<std::shared_ptr<LocalRuntime>> LocalRuntime::Make(LocalRuntimeOptions options) {
  if (options.total.cpu_milli < 0 || options.total.memory_bytes < 0 ||
      options.object_store_bytes < 0) {
    return Status::Invalid("amounts of resources must not be negative");
  }
  if (options.total.cpu_milli == 0) options.total.cpu_milli = 1000 * CountCores();
  if (options.total.memory_bytes == 0) options.total.memory_bytes = MachineMemory() / 10 * 7;
  if (options.object_store_bytes == 0) options.object_store_bytes = MachineMemory() / 10 * 3;
  return std::make_shared<Runtime>(std::move(options));
}

}  // namespace headrace
