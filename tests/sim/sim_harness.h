#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "headrace/control/schedule/scheduler.h"
#include "headrace/observe/event_log.h"
#include "headrace/runtime/sim/sim_backend.h"
#include "sim_oracle.h"

// Runs one case: the loop of engine/execution.cc in virtual time, and a consumer.

namespace headrace::simtest {

/// How a run went.
struct Outcome {
  bool finished = false;
  std::optional<Failure> failure;
  std::vector<Row> blocks;  // As delivered.
  bool stopped = false;     // The consumer stopped it.
  std::string log;          // Bytes of the event log.
  std::vector<std::string> violations;
  std::int64_t steps = 0;
  double seconds = 0;  // Of virtual time, to the last event.
  std::int64_t peak_charged_bytes = 0;
  std::int64_t charged_at_end = 0;
  std::int64_t live_objects_at_end = 0;
  std::int64_t largest_block_bytes = 0;
  std::int64_t tasks_running_max = 0;
  std::int64_t overrides = 0;
  std::int64_t spilled_objects = 0;
  std::int64_t lost_objects = 0;
  std::int64_t peak_held_bytes = 0;  // Blocks and heaps together.
  std::int64_t largest_heap_bytes = 0;
  std::int64_t memory_stops = 0;
  bool last_stop_was_alone = false;
  std::vector<OperatorState> states;
};

class SimRun {
 public:
  explicit SimRun(const Case& c) : case_(c), backend_(c.sim), rng_(c.sim.seed ^ 0xC0FFEE) {
    plan_ = c.plan;
    for (std::size_t i = 0; i < plan_.operators.size(); ++i) {
      auto* input = std::get_if<InputOperator>(&plan_.operators[i].kind);
      if (input == nullptr) continue;
      for (const auto& block : c.input_blocks[i]) {
        input->blocks.push_back(backend_.MakeObject(block.num_rows, block.num_bytes, {}));
      }
    }
    traits_ = {c.sim.capacity, c.sim.object_store_bytes, c.sim.parks_waiting_tasks};
    if (c.sim.memory_limit_bytes > 0) {
      traits_.memory_bytes = c.sim.memory_limit_bytes - backend_.held_bytes();
      traits_.memory_free_bytes = traits_.memory_bytes;
    }
  }

  const PhysicalPlan& plan() const { return plan_; }
  const BackendTraits& traits() const { return traits_; }

  Instant now() const { return backend_.Now(); }

  /// Runs to the end. `check`: compare the books after every event. `policies`: besides the case's.
  Outcome Go(bool check, Policies policies = {}) {
    if (case_.policy.seed != 0) policies.push_back(std::make_unique<RandomPolicy>(case_.policy));
    std::vector<std::string> names;
    for (const auto& policy : policies) names.emplace_back(policy->name());
    auto made = Scheduler::Make(plan_, case_.options, traits_, Tape(std::move(policies), tape_));
    if (!made.ok()) {
      out_.violations.push_back(made.status().ToString());
      return std::move(out_);
    }
    scheduler_ = *std::move(made);
    out_.log = encoder_.Header(plan_, case_.options, traits_, names);
    backend_.PostAt(Instant{0}, event::OutputWanted{0, case_.prefetch});
    if (case_.stop_after == 0) Stop();
    Perform();
    std::vector<Event> events;
    while (true) {
      events.clear();
      backend_.Wait(kNever, &events);
      if (events.empty()) break;  // Over, or stalled for ever.
      // Events that come together are one step, or some steps one behind the other.
      for (std::span<Event> rest = events; !rest.empty();) {
        const std::size_t count = rng_.Chance(0.5) ? rest.size() : 1;
        Step(rest.first(count));
        if (check) scheduler_->CheckInvariants();
        rest = rest.subspan(count);
        if ((out_.steps += static_cast<std::int64_t>(count)) > kStepsMax) {
          return Close("does not end");
        }
        Perform();
      }
    }
    return Close("");
  }

 private:
  /// Far above what the largest random case needs (some 200,000, where an exchange of a store of
  /// 512 bytes makes hundreds of partitions), yet reached in seconds by a run that goes in circles.
  static constexpr std::int64_t kStepsMax = 5'000'000;

  Outcome Close(const char* problem) {
    if (*problem != 0) out_.violations.push_back(problem);
    out_.finished = scheduler_->finished();
    out_.seconds = (backend_.Now() - Instant{}).seconds();
    for (const std::string& violation : backend_.violations()) out_.violations.push_back(violation);
    out_.peak_charged_bytes = scheduler_->peak_charged_bytes();
    out_.charged_at_end = scheduler_->charged_bytes();
    out_.live_objects_at_end = backend_.live_objects();
    out_.largest_block_bytes = backend_.largest_block_bytes();
    out_.tasks_running_max = backend_.tasks_running_max();
    out_.spilled_objects = backend_.spilled_objects();
    out_.lost_objects = backend_.lost_objects();
    out_.peak_held_bytes = backend_.peak_held_bytes();
    out_.largest_heap_bytes = backend_.largest_heap_bytes();
    out_.memory_stops = backend_.memory_stops();
    out_.last_stop_was_alone = backend_.last_stop_was_alone();
    out_.overrides = scheduler_->liveness_overrides();
    out_.states = scheduler_->Snapshot();
    return std::move(out_);
  }

  void Stop() {
    out_.stopped = true;
    backend_.Post(event::StopRequested{});
  }

  void Step(std::span<Event> events) {
    step_at_ = std::max(backend_.Now(), step_at_ + Duration{1});
    for (const Event& event : events) out_.log += encoder_.Record(step_at_, event);
    scheduler_->Step(events, step_at_);
  }

  void Perform() {
    out_.log += encoder_.RecordAnswers(tape_->Take());
    for (Action& next : scheduler_->TakeActions()) {
      Action* action = &next;
      if (out_.finished) out_.violations.push_back("an action after Finish");
      out_.log += encoder_.Record(*action);
      if (auto* a = std::get_if<action::StartTask>(&*action)) {
        backend_.StartTask(a->task, a->order);
      } else if (auto* a = std::get_if<action::GrantCredit>(&*action)) {
        backend_.GrantCredit(a->task, a->credit_bytes);
      } else if (auto* a = std::get_if<action::CancelTask>(&*action)) {
        backend_.CancelTask(a->task);
      } else if (auto* a = std::get_if<action::StartActor>(&*action)) {
        backend_.StartActor(a->actor, a->order);
      } else if (auto* a = std::get_if<action::StopActor>(&*action)) {
        backend_.StopActor(a->actor);
      } else if (auto* a = std::get_if<action::ReleaseObjects>(&*action)) {
        backend_.Release(a->objects);
      } else if (auto* a = std::get_if<action::SpillObjects>(&*action)) {
        backend_.SpillObjects(a->objects);
      } else if (auto* a = std::get_if<action::DeliverOutput>(&*action)) {
        Consume(*a);
      } else if (auto* a = std::get_if<action::Finish>(&*action)) {
        out_.failure = a->failure;
      }
    }
  }

  /// Takes delivered blocks: thinks about each, lets go of it and asks for more.
  void Consume(const action::DeliverOutput& delivered) {
    for (const BlockHandle& block : delivered.blocks) {
      out_.blocks.push_back({block.info.position, block.info.num_rows});
      const ObjectId object[] = {block.object};
      backend_.Release(object);
      const bool burst = rng_.Chance(case_.burst_chance);
      const auto drawn = static_cast<std::int64_t>(
          rng_.Below(static_cast<std::uint64_t>(case_.think_max.nanos) + 1));
      free_at_ = std::max(free_at_, backend_.Now()) + case_.think + Duration{burst ? 0 : drawn};
      const bool is_silent = case_.silence_chance > 0 && rng_.Chance(case_.silence_chance);
      if (is_silent) free_at_ = free_at_ + case_.silence;
      backend_.PostAt(free_at_, event::OutputConsumed{0, block.info.num_bytes});
      backend_.PostAt(free_at_, event::OutputWanted{0, 1});
      if (case_.stop_after == static_cast<std::int64_t>(out_.blocks.size())) Stop();
    }
  }

  const Case& case_;
  PhysicalPlan plan_;
  BackendTraits traits_;
  SimBackend backend_;
  Rng rng_;
  EventLogEncoder encoder_;
  const std::shared_ptr<PolicyTape> tape_ = std::make_shared<PolicyTape>();
  std::unique_ptr<Scheduler> scheduler_;
  Instant free_at_;
  Instant step_at_;  // When the scheduler took its last step.
  Outcome out_;
};

/// Returns what is wrong with the outcome of `c`, or "".
inline std::string Judge(const Case& c, const Outcome& out) {
  if (!out.violations.empty()) return out.violations.front();
  if (!out.finished) return "stalled";
  if (out.live_objects_at_end != 0) {
    return std::to_string(out.live_objects_at_end) + " objects left in the store";
  }
  if (out.charged_at_end != 0) {
    return std::to_string(out.charged_at_end) + " bytes left in the ledger";
  }
  // A limit's cut is a slice of its input, and starts without room for it.
  const auto limits =
      std::count_if(c.plan.operators.begin(), c.plan.operators.end(),
                    [](const OperatorSpec& spec) { return spec.As<LimitOperator>() != nullptr; });
  const std::int64_t slack =
      (out.tasks_running_max + out.overrides + limits) * out.largest_block_bytes;
  if (out.peak_charged_bytes > c.sim.object_store_bytes + slack + out.overrides) {
    return "peak of " + std::to_string(out.peak_charged_bytes) + " bytes over a budget of " +
           std::to_string(c.sim.object_store_bytes) + " + " + std::to_string(slack);
  }
  if (c.sim.memory_limit_bytes > 0 && out.peak_held_bytes > c.sim.memory_limit_bytes +
                                                                out.largest_heap_bytes + slack +
                                                                out.overrides) {
    return "held " + std::to_string(out.peak_held_bytes) + " bytes with a limit of " +
           std::to_string(c.sim.memory_limit_bytes);
  }
  const auto operators = static_cast<std::int64_t>(c.plan.operators.size());
  const bool roomy = c.sim.object_store_bytes > 40 * operators * out.largest_block_bytes;
  // What makes lost blocks again goes before all else, by force where its share is used up.
  if (c.sim.parks_waiting_tasks && roomy && out.overrides > 0 && c.sim.queue_factor == 0 &&
      c.policy.seed == 0 && c.sim.memory_limit_bytes == 0 && out.lost_objects == 0) {
    return "overrides of credit where there was room";
  }
  for (const OperatorState& state : out.states) {
    if (state.tasks_running != 0 || state.tasks_parked != 0 || state.actors_ready != 0 ||
        state.actors_starting != 0) {
      return "work left in " + state.name;
    }
  }
  if (out.stopped) return "";
  const Expected expected = Oracle(c).Compute();
  if (out.failure) {
    // Runs that were merged before the last merge cannot be made again.
    const bool of_pass =
        expected.passes > 0 && out.failure->context.find("which are gone") != std::string::npos;
    const bool gave_up = out.failure->context.find("cannot be had") != std::string::npos;
    const bool by_loss = (c.sim.blocks_always_lost || of_pass || gave_up) && out.lost_objects > 0;
    const bool fatal = c.sim.workers_always_lost || c.sim.actors_never_start || by_loss;
    const bool by_error = c.plan.max_errored_blocks == 0 && c.sim.model.error_chance > 0;
    const bool by_policy = c.policy.fails_after >= 0 && out.failure->context == "policy random";
    const bool by_memory = out.failure->kind == FailureKind::kOverMemory && out.last_stop_was_alone;
    return fatal || by_error || by_policy || by_memory
               ? ""
               : "failed: " + out.failure->message + ": " + out.failure->context;
  }
  if (c.plan.max_errored_blocks == 0 && expected.errors > 0 && !expected.has_limit) {
    return "did not fail by user error";
  }
  std::vector<Row> want = expected.blocks;
  std::vector<Row> got = out.blocks;
  if (!c.plan.operators.back().keep_order) {
    std::sort(want.begin(), want.end());
    std::sort(got.begin(), got.end());
  }
  if (want != got) {
    return "delivered " + std::to_string(got.size()) + " blocks, other than the " +
           std::to_string(want.size()) + " expected";
  }
  return "";
}

}  // namespace headrace::simtest
