#include "headrace/control/schedule/scheduler.h"

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/exchange_plan.h"
#include "headrace/control/schedule/liveness.h"
#include "headrace/control/schedule/scheduler_impl.h"
#include "headrace/control/schedule/stream_operators.h"

namespace headrace {
namespace {

/// Returns `limit` with the amounts that it leaves at zero taken from `there_is`, and no more
/// than that.
Resources Limited(const Resources& there_is, const std::optional<Resources>& limit) {
  if (!limit) return there_is;
  Resources out = there_is;
  const auto bound = [](std::int64_t* amount, std::int64_t most) {
    if (most > 0) *amount = std::min(*amount, most);
  };
  bound(&out.cpu_milli, limit->cpu_milli);
  bound(&out.gpu_milli, limit->gpu_milli);
  bound(&out.memory_bytes, limit->memory_bytes);
  for (auto& [name, amount] : out.custom_milli) {
    for (const auto& [other, most] : limit->custom_milli) {
      if (name == other) bound(&amount, most);
    }
  }
  return out;
}

Status CheckExchange(const OperatorSpec& spec) {
  const auto* exchange = spec.As<ExchangeOperator>();
  if (exchange == nullptr) return Status::OK();
  const bool aligns =
      exchange->kind == ExchangeKind::kAligned || exchange->kind == ExchangeKind::kBroadcast;
  const bool takes_two = aligns || exchange->kind == ExchangeKind::kBuckets;
  if (spec.inputs.empty() || spec.inputs.size() > (takes_two ? 2U : 1U) ||
      (aligns && spec.inputs.size() != 2)) {
    return Status::Invalid("operator ", spec.name, " has ", spec.inputs.size(), " inputs");
  }
  if (exchange->small_input < 0 || exchange->small_input > 1) {
    return Status::Invalid("operator ", spec.name, " has no input ", exchange->small_input);
  }
  if ((exchange->program == nullptr) != (exchange->kind == ExchangeKind::kPermuted)) {
    return Status::Invalid("operator ", spec.name, " has no program, or one too many");
  }
  if (exchange->kind == ExchangeKind::kRowBatches && exchange->rows_per_partition <= 0) {
    return Status::Invalid("operator ", spec.name, " makes batches of ",
                           exchange->rows_per_partition, " rows");
  }
  if (exchange->broadcast_bytes > 0 && (exchange->kind != ExchangeKind::kBuckets ||
                                        exchange->small_input != 1 || spec.inputs.size() != 2)) {
    return Status::Invalid("operator ", spec.name, " has no right side to broadcast");
  }
  return Status::OK();
}

/// Checks that the operators form a tree with the last one as its root.
Status CheckShape(const PhysicalPlan& plan) {
  if (plan.operators.empty()) return Status::Invalid("a plan needs at least one operator");
  std::vector<int> consumers(plan.operators.size(), 0);
  for (std::size_t i = 0; i < plan.operators.size(); ++i) {
    const OperatorSpec& spec = plan.operators[i];
    for (const OperatorId input : spec.inputs) {
      if (input.value < 0 || static_cast<std::size_t>(input.value) >= i) {
        return Status::Invalid("operator ", spec.name, " has an input that does not precede it");
      }
      ++consumers[static_cast<std::size_t>(input.value)];
    }
    const bool is_limit = spec.As<LimitOperator>() != nullptr;
    const bool is_input = spec.As<InputOperator>() != nullptr;
    const bool is_task = spec.As<TaskOperator>() != nullptr;
    ARROW_RETURN_NOT_OK(CheckExchange(spec));
    if ((is_limit && spec.inputs.size() != 1) || (is_input && !spec.inputs.empty()) ||
        (is_task && spec.inputs.size() > 1)) {
      return Status::Invalid("operator ", spec.name, " has ", spec.inputs.size(), " inputs");
    }
    if (is_limit && spec.As<LimitOperator>()->cut_program == nullptr) {
      return Status::Invalid("operator ", spec.name, " has no program to cut blocks with");
    }
  }
  for (std::size_t i = 0; i < plan.operators.size(); ++i) {
    const int expected = i + 1 == plan.operators.size() ? 0 : 1;
    if (consumers[i] != expected) {
      return Status::Invalid("output of operator ", plan.operators[i].name, " is used ",
                             consumers[i], " times");
    }
  }
  return Status::OK();
}

Division DivisionOf(const ExecutionOptions& options) {
  return options.budget_policy == BudgetPolicy::kEqual ? Division::kEqual : Division::kByNeed;
}

std::vector<std::int32_t> ConsumerIds(const PhysicalPlan& plan) {
  std::vector<std::int32_t> consumers(plan.operators.size(), -1);
  for (std::size_t i = 0; i < plan.operators.size(); ++i) {
    for (const OperatorId input : plan.operators[i].inputs) {
      consumers[static_cast<std::size_t>(input.value)] = static_cast<std::int32_t>(i);
    }
  }
  return consumers;
}

std::vector<std::optional<std::int32_t>> CapsOf(const PhysicalPlan& plan) {
  std::vector<std::optional<std::int32_t>> caps;
  for (const OperatorSpec& spec : plan.operators) {
    const auto* task = spec.As<TaskOperator>();
    const auto* pool = task == nullptr ? nullptr : std::get_if<TaskPool>(&task->compute);
    caps.push_back(pool == nullptr ? std::nullopt : pool->max_tasks);
  }
  return caps;
}

}  // namespace

std::int64_t BlockBudget(const ExecutionOptions& options, const BackendTraits& traits) {
  const std::int64_t budget =
      options.object_store_bytes > 0 ? options.object_store_bytes : traits.object_store_bytes;
  if (options.memory_limit_bytes <= 0) return budget;
  const std::int64_t most = std::max(traits.memory_free_bytes / 2, traits.memory_bytes / 8);
  return std::min(budget, std::max<std::int64_t>(1, most));
}

std::int64_t ExchangeBudget(const ExecutionOptions& options, const BackendTraits& traits) {
  const std::int64_t budget =
      options.object_store_bytes > 0 ? options.object_store_bytes : traits.object_store_bytes;
  return options.memory_limit_bytes <= 0 ? budget
                                         : std::min(budget, options.memory_limit_bytes / 4);
}

// ---- SchedulerImpl ----------------------------------------------------------------------------

SchedulerImpl::SchedulerImpl(PhysicalPlan plan, ExecutionOptions options, BackendTraits traits,
                             std::vector<std::unique_ptr<BackpressurePolicy>> policies)
    : plan_(std::move(plan)),
      options_(std::move(options)),
      traits_(std::move(traits)),
      errored_blocks_max_(plan_.max_errored_blocks != 0 ? plan_.max_errored_blocks
                                                        : options_.max_errored_blocks),
      ledger_(static_cast<int>(plan_.operators.size())),
      memory_(&ledger_, options_.memory_limit_bytes > 0, traits_.memory_free_bytes),
      reservation_(&ledger_, BlockBudget(options_, traits_), options_.reservation_ratio,
                   DivisionOf(options_), ConsumerIds(plan_)),
      caps_(CapsOf(plan_)),
      policies_(std::move(policies)),
      loads_(plan_.operators.size()),
      total_(Limited(traits_.total, options_.resource_limits)) {
  const std::vector<OutputOrder> orders = OutputOrders(plan_);
  const ExchangePlace place{std::max<std::int64_t>(1, total_.cpu_milli / 1000),
                            ExchangeBudget(options_, traits_), traits_.task_bytes};
  runs_.resize(plan_.operators.size());
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    OperatorRun& run = runs_[i];
    run.id = OperatorId{static_cast<std::int32_t>(i)};
    run.spec = &plan_.operators[i];
    run.task_spec = run.spec->As<TaskOperator>();
    run.stats.name = run.spec->name;
    loads_[i].name = run.spec->name;
    for (std::size_t input = 0; input < run.spec->inputs.size(); ++input) {
      OperatorRun& above = runs_[static_cast<std::size_t>(run.spec->inputs[input].value)];
      above.consumer = run.id.value;
      above.consumer_input = static_cast<std::int32_t>(input);
    }
    run.op = MakeOperator(*run.spec, orders[i], place, &ledger_);
    const auto* mix = run.spec->As<MixOperator>();
    const bool may_stop = mix != nullptr && mix->stop_on_shortest;
    if (may_stop || run.spec->As<LimitOperator>() != nullptr) limits_.push_back(i);
    run.max_attempts = options_.max_task_attempts;
    if ((run.exchange = run.spec->As<ExchangeOperator>()) != nullptr) {
      exchanges_.push_back(i);
      run.runs_tasks = run.exchange->program != nullptr;
      run.max_attempts = run.exchange->max_attempts;
      if (run.runs_tasks) loads_[i].cost = run.task_cost = run.exchange->cost;
    }
    if (memory_.limited()) FindHeap(run);
    if (run.task_spec == nullptr) continue;
    run.runs_tasks = true;
    loads_[i].cost = run.task_spec->cost;
    run.max_attempts = run.task_spec->max_attempts;
    reservation_.SetEligible(run.id, true);
    if (const auto* pool = std::get_if<ActorPool>(&run.task_spec->compute)) {
      run.pool.emplace(*pool);
    } else {
      run.task_cost = run.task_spec->cost;
    }
  }
  FindSideJoins();
  FindLineage();
}

SchedulerImpl::~SchedulerImpl() = default;

void SchedulerImpl::Begin() {
  for (OperatorRun& run : runs_) {
    const auto* input = run.spec->As<InputOperator>();
    if (input == nullptr) continue;
    ledger_.SetBorrowed(run.id);
    auto* blocks = static_cast<InputBlocks*>(run.op.get());
    std::uint32_t number = 0;
    for (const BlockHandle& block : input->blocks) {
      RefBundle::Item item{refs_.Adopt(block.object, block.info.num_bytes), block.info, run.id,
                           static_cast<std::uint32_t>(&block - input->blocks.data())};
      // Those of a plan in pieces have their numbers already: some may be missing.
      if (!plan_.reports_pieces) item.info.position.path = {number++};
      ledger_.Charge(run.id, Place::kOutputQueue, block.info.num_bytes);
      run.stats.output_rows += block.info.num_rows;
      run.stats.output_bytes += block.info.num_bytes;
      ++run.stats.output_blocks;
      blocks->Add(std::move(item));
    }
  }
  for (OperatorRun& run : runs_) {
    Flush(run);
    CheckFinished(run);
  }
  Decide();
}

void SchedulerImpl::AdvanceTime(Instant now) {
  // The first event tells the time: the backend's time line began before the run.
  const std::int64_t nanos = now_ ? (now - *now_).nanos : 0;
  HEADRACE_CHECK(nanos >= 0);
  now_ = now;
  if (nanos == 0) return;
  for (OperatorRun& run : runs_) {
    run.stats.wait_nanos[static_cast<std::size_t>(run.waits_for)] += nanos;
  }
}

void SchedulerImpl::Step(std::span<Event> events, Instant now) {
  AdvanceTime(now);
  for (Event& event : events) {
    std::visit([this](auto& e) { On(e); }, event);
    // At once: what is above a limit that has its rows may fail without harm.
    if (!limits_.empty()) CloseAboveLimits();
  }
  Decide();
}

void SchedulerImpl::Decide() {
  Deliver();
  if (!stopping_) {
    if (remakes_.has_waiting()) StartRemakes(/*force=*/false);
    if (needs_stale_) RefreshNeeds();
    ScalePools();
    do {
      if (num_parked_ > 0) GrantParked();
      while (StartOne()) {
      }
      OrderSpills();
    } while (Liveness(this).Override());
    if (!remakes_.lost.empty() && Liveness(this).Stuck()) GiveUpRemakes();
    CheckPolicies();
  }
  if (last().finished && !remakes_.idle()) CloseRemakes();
  ReleaseObjects();
  if (!unwanted_.empty()) Push(action::ReleaseObjects{std::exchange(unwanted_, {})});
  FinishIfDone();
}

/// A policy that failed ends the run.
void SchedulerImpl::CheckPolicies() {
  for (const auto& policy : policies_) {
    if (std::optional<Failure> failure = policy->failure()) return FailRun(last(), *failure);
  }
}

void SchedulerImpl::TakeActions(std::vector<Action>* actions) {
  actions->clear();
  std::swap(*actions, actions_);
}

void SchedulerImpl::On(event::OutputWanted& e) {
  if (e.output == 0 && e.blocks > 0) wanted_ += e.blocks;
}

void SchedulerImpl::On(event::OutputConsumed& e) {
  std::int64_t left = e.output == 0 ? e.bytes : 0;
  while (left > 0 && !delivered_.empty()) {
    auto& [owner, bytes] = delivered_.front();
    const std::int64_t taken = std::min(left, bytes);
    ledger_.Release(owner, Place::kConsumer, taken);
    left -= taken;
    bytes -= taken;
    if (bytes == 0) delivered_.pop_front();
  }
}

void SchedulerImpl::On(event::CapacityChanged& e) {
  total_ = Limited(e.total - options_.exclude_resources, options_.resource_limits);
  needs_stale_ = true;
}

void SchedulerImpl::On(event::StopRequested&) {
  if (stopping_) return;
  stopping_ = true;
  CloseAll();
}

// ---- Scheduler --------------------------------------------------------------------------------

Scheduler::Scheduler(std::unique_ptr<SchedulerImpl> impl) : impl_(std::move(impl)) {}
Scheduler::~Scheduler() = default;

Result<std::unique_ptr<Scheduler>> Scheduler::Make(
    PhysicalPlan plan, ExecutionOptions options, BackendTraits traits,
    std::vector<std::unique_ptr<BackpressurePolicy>> policies) {
  ARROW_RETURN_NOT_OK(CheckShape(plan));
  const Resources possible = traits.possible.value_or(traits.total);
  ARROW_RETURN_NOT_OK(CheckFeasible(plan, Limited(possible, options.resource_limits), options,
                                    traits.memory_bytes));
  auto impl = std::make_unique<SchedulerImpl>(std::move(plan), std::move(options),
                                              std::move(traits), std::move(policies));
  impl->Begin();
  return std::unique_ptr<Scheduler>(new Scheduler(std::move(impl)));
}

void Scheduler::Step(std::span<Event> events, Instant now) { impl_->Step(events, now); }
void Scheduler::TakeActions(std::vector<Action>* actions) { impl_->TakeActions(actions); }
std::optional<Instant> Scheduler::NextDeadline() const { return std::nullopt; }
bool Scheduler::finished() const { return impl_->finished(); }
std::vector<OperatorState> Scheduler::Snapshot() const { return impl_->Snapshot(); }
std::vector<ResourceDemand> Scheduler::Demands() const { return impl_->Demands(); }
std::int64_t Scheduler::charged_bytes() const { return impl_->ledger().charged(); }
std::int64_t Scheduler::peak_charged_bytes() const { return impl_->ledger().peak_charged(); }
std::int64_t Scheduler::charged_heap_bytes() const { return impl_->memory().charged(); }
std::int64_t Scheduler::liveness_overrides() const { return impl_->overrides(); }
void Scheduler::CheckInvariants() const { impl_->CheckInvariants(); }

}  // namespace headrace
