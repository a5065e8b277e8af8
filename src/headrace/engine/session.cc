#include "headrace/engine/session.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "headrace/engine/seeds.h"
#include "headrace/runtime/backend.h"

namespace headrace {
namespace {

/// Gives its objects back to the store when the last plan that reads them is gone.
struct StoredBlocks {
  std::shared_ptr<Backend> storage;
  std::vector<ObjectId> objects;

  ~StoredBlocks() {
    if (!objects.empty()) storage->Release(objects);
  }
};

// Blocks of at most this part of the memory limit: several are in memory for each task.
constexpr std::int64_t kBlockPart = 32;

/// Returns the options with what follows from them.
ExecutionOptions Completed(ExecutionOptions options) {
  if (options.memory_limit_bytes > 0) {
    const std::int64_t most =
        std::max(options.memory_limit_bytes / kBlockPart, options.target_min_block_bytes);
    options.target_max_block_bytes = std::min(options.target_max_block_bytes, most);
  }
  return options;
}

}  // namespace

std::uint64_t NextFunctionId() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

Session::Session(std::shared_ptr<LocalRuntime> runtime, std::shared_ptr<BackendSource> cluster,
                 std::shared_ptr<Backend> storage)
    : runtime_(std::move(runtime)), cluster_(std::move(cluster)), storage_(std::move(storage)) {}

Result<std::shared_ptr<Session>> Session::Make(LocalRuntimeOptions options,
                                               std::shared_ptr<BackendSource> cluster) {
  ARROW_ASSIGN_OR_RAISE(auto runtime, LocalRuntime::Make(std::move(options)));
  std::shared_ptr<Backend> storage;
  if (cluster == nullptr) {
    storage = runtime->NewBackend();
  } else {
    ARROW_ASSIGN_OR_RAISE(storage, cluster->NewBackend(""));
  }
  return std::shared_ptr<Session>(
      new Session(std::move(runtime), std::move(cluster), std::move(storage)));
}

Result<Resources> Session::Capacity(const std::string& cluster) const {
  return cluster_ == nullptr ? runtime_->options().total : cluster_->Capacity(cluster);
}

Result<std::int64_t> Session::StoreBytes(const std::string& cluster) const {
  if (cluster_ == nullptr) return runtime_->options().object_store_bytes;
  return cluster_->StoreBytes(cluster);
}

Result<std::shared_ptr<Session>> Session::Default() {
  static Result<std::shared_ptr<Session>> session = Make({});
  return session;
}

Result<PlanStages> Session::Plan(const LogicalPtr& plan, const ExecutionOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const Resources capacity, Capacity(options.cluster));
  std::lock_guard lock(mutex_);
  LoweringContext context;
  context.options = Completed(options);
  context.capacity = capacity;
  context.next_program_id = next_program_id_;
  auto stages = PlanQuery(plan, optimizer_, &context);
  next_program_id_ = context.next_program_id;
  return stages;
}

Result<std::vector<std::pair<std::string, std::string>>> Session::DescribePlan(
    const LogicalPtr& plan, const ExecutionOptions& options) {
  ARROW_ASSIGN_OR_RAISE(const PlanStages stages, Plan(plan, options));
  return DescribeOutputs(stages.optimized_physical);
}

Result<std::vector<Position>> Session::PlanPieces(const LogicalPtr& plan,
                                                  const ExecutionOptions& options) {
  ARROW_ASSIGN_OR_RAISE(PlanStages stages, Plan(plan, options));
  ARROW_RETURN_NOT_OK(SplitIntoPieces(&stages.optimized_physical));
  std::vector<Position> positions;
  for (Piece& piece : ListPieces(stages.optimized_physical)) {
    positions.push_back(std::move(piece.position));
  }
  return positions;
}

Result<std::unique_ptr<Execution>> Session::Run(const LogicalPtr& plan,
                                                const ExecutionOptions& options,
                                                std::shared_ptr<Backend> backend,
                                                const std::set<Position>* done) {
  ARROW_ASSIGN_OR_RAISE(PlanStages stages, Plan(DrawSeeds(plan), options));
  PhysicalPlan& physical = stages.optimized_physical;
  if (done != nullptr) {
    ARROW_RETURN_NOT_OK(SplitIntoPieces(&physical));
    TakeOutPieces(*done, &physical);
  }
  return Execution::Start(std::move(physical), Completed(options), std::move(backend));
}

Result<std::unique_ptr<Execution>> Session::Execute(const LogicalPtr& plan,
                                                    const ExecutionOptions& options,
                                                    const std::set<Position>* done) {
  if (cluster_ == nullptr) return Run(plan, options, runtime_->NewBackend(), done);
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<Backend> backend, cluster_->NewBackend(options.cluster));
  return Run(plan, options, std::move(backend), done);
}

Result<std::unique_ptr<Execution>> Session::ExecuteInline(const LogicalPtr& plan,
                                                          const ExecutionOptions& options,
                                                          FunctionRuntime* functions,
                                                          const std::set<Position>* done) {
  if (cluster_ != nullptr) {
    return Status::NotImplemented(
        "inline_mode runs everything in this process, but the backend of this one is a cluster; "
        "use the local backend for it");
  }
  return Run(plan, options, runtime_->NewInlineBackend(functions), done);
}

Result<logical::InputData> Session::Store(const std::vector<Block>& blocks) {
  auto stored = std::make_shared<StoredBlocks>();
  stored->storage = storage_;
  logical::InputData input;
  for (const Block& block : blocks) {
    ARROW_ASSIGN_OR_RAISE(BlockHandle handle, storage_->Put(block));
    stored->objects.push_back(handle.object);
    handle.info.position = Position{{static_cast<std::uint32_t>(input.blocks.size())}};
    input.blocks.push_back(std::move(handle));
  }
  input.keep_alive = std::move(stored);
  return input;
}

Result<logical::InputData> Session::Keep(Execution& execution) {
  auto stored = std::make_shared<StoredBlocks>();
  stored->storage = storage_;
  logical::InputData input;
  while (true) {
    ARROW_ASSIGN_OR_RAISE(std::optional<BlockHandle> handle, execution.Next());
    if (!handle) break;
    storage_->Retain({&handle->object, 1});
    execution.backend().Release({&handle->object, 1});
    stored->objects.push_back(handle->object);
    input.blocks.push_back(*std::move(handle));
  }
  std::sort(
      input.blocks.begin(), input.blocks.end(),
      [](const BlockHandle& a, const BlockHandle& b) { return a.info.position < b.info.position; });
  for (std::size_t i = 0; i < input.blocks.size(); ++i) {
    input.blocks[i].info.position = Position{{static_cast<std::uint32_t>(i)}};
  }
  input.keep_alive = std::move(stored);
  return input;
}

void Session::AddRule(std::shared_ptr<const Rule> rule) {
  std::lock_guard lock(mutex_);
  optimizer_.AddRule(std::move(rule));
}

void Session::AddRule(std::shared_ptr<const PhysicalRule> rule) {
  std::lock_guard lock(mutex_);
  optimizer_.AddRule(std::move(rule));
}

bool Session::RemoveRule(std::string_view name) {
  std::lock_guard lock(mutex_);
  return optimizer_.RemoveRule(name);
}

}  // namespace headrace
