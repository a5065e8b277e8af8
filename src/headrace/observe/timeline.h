#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/time.h"
#include "headrace/control/schedule/scheduler.h"
#include "headrace/observe/event_log.h"

namespace headrace {

/// What one operator did and held in one slice of a run's time.
struct TimelineSlice {
  double tasks_running = 0;           // On average over the slice.
  std::int64_t tasks_parked_max = 0;  // Waiting for credit.
  std::int64_t input_blocks_max = 0;  // In its input queue.
  std::int64_t held_bytes_max = 0;    // Charged to it: its credit, and its outputs until they go.
  std::array<double, kNumWaitReasons> waits{};  // By WaitReason: its share of the slice.
};

/// Cuts a replayed run into slices of equal time, and prints what it saw:
///
///   1 ReadRange->Map(f)
///      time     running            queued            memory               waits for
///      0ns      3.9 ########         0               12MiB   ####         no cpu 80%
///
/// and then the totals, as RenderStatistics() has them. The bars of a column have one scale over
/// all operators; the last column has the reason for which no task started in the most of the
/// slice, unless that was none.
class Timeline final : public ReplayObserver {
 public:
  /// Requires: `slices` > 0.
  Timeline(const EventLog& log, int slices);

  void OnEvent(Instant at, const Event& event, const Scheduler& scheduler) override;
  void OnAction(Instant at, const Action& action) override {}

  std::string Render() const;

  Duration elapsed() const { return end_ - begin_; }
  const std::vector<OperatorState>& operators() const { return now_; }
  std::int64_t peak_charged_bytes() const { return peak_charged_bytes_; }
  /// By operator, then by slice.
  const std::vector<std::vector<TimelineSlice>>& slices() const { return slices_; }

 private:
  std::int64_t SliceOf(Instant at) const;
  std::string RenderOperator(std::size_t op, double running_most, double queued_most,
                             double held_most) const;
  void Pass(Instant to);

  const Instant begin_;
  const Instant end_;
  const std::int64_t num_slices_;
  const std::int64_t budget_bytes_;
  std::vector<std::vector<TimelineSlice>> slices_;
  std::vector<OperatorState> now_;  // After the last event.
  Instant last_;
  std::int64_t peak_charged_bytes_ = 0;
};

}  // namespace headrace
