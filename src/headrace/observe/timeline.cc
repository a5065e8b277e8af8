#include "headrace/observe/timeline.h"

#include <algorithm>
#include <cstdio>

#include "headrace/base/check.h"
#include "headrace/observe/statistics.h"

namespace headrace {
namespace {

constexpr int kBarColumns = 16;

/// Returns `amount` as a bar of `most`; what is there at all has one mark at least.
std::string Bar(double amount, double most) {
  if (amount <= 0 || most <= 0) return "";
  const int marks = static_cast<int>(amount / most * kBarColumns + 0.5);
  return std::string(static_cast<std::size_t>(std::clamp(marks, 1, kBarColumns)), '#');
}

std::string Decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

/// Returns what held the operator back longest, with its share of the slice if it is not all.
std::string WaitText(const TimelineSlice& slice) {
  const auto longest = std::max_element(slice.waits.begin(), slice.waits.end());
  const auto reason = static_cast<WaitReason>(longest - slice.waits.begin());
  if (*longest <= 0 || reason == WaitReason::kNone) return "";
  const int percent = static_cast<int>(*longest * 100 + 0.5);
  return std::string(ToString(reason)) + (percent < 100 ? " " + std::to_string(percent) + "%" : "");
}

std::string Column(const std::string& number, const std::string& bar) {
  char text[96];
  std::snprintf(text, sizeof text, "%9s %-*s", number.c_str(), kBarColumns, bar.c_str());
  return text;
}

}  // namespace

Timeline::Timeline(const EventLog& log, int slices)
    : begin_(log.begin()),
      end_(log.end()),
      num_slices_(slices),
      budget_bytes_(BlockBudget(log.options, log.traits)),
      slices_(log.plan.operators.size(),
              std::vector<TimelineSlice>(static_cast<std::size_t>(slices))),
      last_(begin_) {
  HEADRACE_CHECK(slices > 0);
}

std::int64_t Timeline::SliceOf(Instant at) const {
  const std::int64_t span = std::max<std::int64_t>(1, (end_ - begin_).nanos);
  const double share = static_cast<double>((at - begin_).nanos) / static_cast<double>(span);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(share * num_slices_), 0,
                                  num_slices_ - 1);
}

/// Enters what stood from `last_` to `to`.
void Timeline::Pass(Instant to) {
  const double width = std::max(1.0, static_cast<double>((end_ - begin_).nanos)) / num_slices_;
  const double from_nanos = static_cast<double>((last_ - begin_).nanos);
  const double to_nanos = static_cast<double>((to - begin_).nanos);
  const std::int64_t last_slice = SliceOf(to);
  for (std::int64_t slice = SliceOf(last_); slice <= last_slice; ++slice) {
    const double low = std::max(from_nanos, width * static_cast<double>(slice));
    const double high = std::min(to_nanos, width * static_cast<double>(slice + 1));
    const double share = std::max(0.0, high - low) / width;
    for (std::size_t op = 0; op < now_.size(); ++op) {
      const OperatorState& state = now_[op];
      TimelineSlice& seen = slices_[op][static_cast<std::size_t>(slice)];
      seen.tasks_running += share * static_cast<double>(state.tasks_running);
      seen.tasks_parked_max = std::max(seen.tasks_parked_max, state.tasks_parked);
      seen.input_blocks_max = std::max(seen.input_blocks_max, state.input_blocks);
      seen.held_bytes_max = std::max(seen.held_bytes_max, state.held_bytes);
      seen.waits[static_cast<std::size_t>(state.waits_for)] += share;
    }
  }
}

void Timeline::OnEvent(Instant at, const Event& event, const Scheduler& scheduler) {
  Pass(at);
  last_ = at;
  now_ = scheduler.Snapshot();
  peak_charged_bytes_ = scheduler.peak_charged_bytes();
  Pass(at);  // What lasts no time is seen too.
}

std::string Timeline::RenderOperator(std::size_t op, double running_most, double queued_most,
                                     double held_most) const {
  char line[160];
  std::snprintf(line, sizeof line, "  %9s %9s %-16s %9s %-16s %9s %-16s %s\n", "time", "running",
                "", "queued", "", "memory", "", "waits for");
  std::string text = std::to_string(op + 1) + " " + now_[op].name + "\n" + line;
  const double width = static_cast<double>(elapsed().nanos) / static_cast<double>(num_slices_);
  for (std::size_t i = 0; i < slices_[op].size(); ++i) {
    const TimelineSlice& slice = slices_[op][i];
    const auto queued = static_cast<double>(slice.input_blocks_max);
    const auto held = static_cast<double>(slice.held_bytes_max);
    std::snprintf(line, sizeof line, "  %9s ",
                  RenderDuration(width * static_cast<double>(i)).c_str());
    text += line + Column(Decimal(slice.tasks_running), Bar(slice.tasks_running, running_most)) +
            " " + Column(std::to_string(slice.input_blocks_max), Bar(queued, queued_most)) + " " +
            Column(RenderBytes(held), Bar(held, held_most)) + " " + WaitText(slice) + "\n";
  }
  return text + "\n";
}

std::string Timeline::Render() const {
  double running_most = 0, queued_most = 0, held_most = 0;
  for (const auto& slices : slices_) {
    for (const TimelineSlice& slice : slices) {
      running_most = std::max(running_most, slice.tasks_running);
      queued_most = std::max(queued_most, static_cast<double>(slice.input_blocks_max));
      held_most = std::max(held_most, static_cast<double>(slice.held_bytes_max));
    }
  }
  std::string text = std::to_string(slices_.size()) + " operators, " +
                     RenderDuration(static_cast<double>(elapsed().nanos)) + ", a budget of " +
                     RenderBytes(static_cast<double>(budget_bytes_)) + "\n\n";
  for (std::size_t op = 0; op < now_.size(); ++op) {
    text += RenderOperator(op, running_most, queued_most, held_most);
  }
  return text + RenderStatistics(now_, {elapsed(), peak_charged_bytes_});
}

}  // namespace headrace
