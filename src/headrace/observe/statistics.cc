#include "headrace/observe/statistics.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace headrace {
namespace {

/// Prints with at most `digits` decimals, without trailing zeros.
std::string Number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  std::string out = text;
  if (out.find('.') == std::string::npos) return out;
  out.erase(out.find_last_not_of('0') + 1);
  if (out.back() == '.') out.pop_back();
  return out;
}

std::string Times(const char* what, const Spread& spread) {
  return std::string("* ") + what + ": " + RenderDuration(static_cast<double>(spread.min)) +
         " min, " + RenderDuration(static_cast<double>(spread.max)) + " max, " +
         RenderDuration(spread.mean()) + " mean, " +
         RenderDuration(static_cast<double>(spread.total)) + " total\n";
}

std::string Amounts(const char* what, const Spread& spread, const std::string& end) {
  return std::string("* ") + what + ": " + std::to_string(spread.min) + " min, " +
         std::to_string(spread.max) + " max, " + Number(spread.mean(), 0) + " mean, " + end + "\n";
}

std::string PerSecond(std::int64_t rows, double nanos) {
  return Number(nanos <= 0 ? 0 : static_cast<double>(rows) * 1e9 / nanos, 1) + " rows/s";
}

/// Renders the reasons for which the operator waited, the longest first.
std::string Waits(const OperatorState& state) {
  std::vector<std::pair<std::int64_t, WaitReason>> waits;
  std::int64_t total = 0;
  for (int i = 0; i < kNumWaitReasons; ++i) {
    const auto reason = static_cast<WaitReason>(i);
    const std::int64_t nanos = state.wait_nanos[i];
    if (nanos <= 0 || reason == WaitReason::kNone || reason == WaitReason::kFinished) continue;
    waits.emplace_back(nanos, reason);
    total += nanos;
  }
  if (waits.empty()) return "";
  std::stable_sort(waits.begin(), waits.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text = "* Waited for:";
  for (std::size_t i = 0; i < waits.size(); ++i) {
    const double share = static_cast<double>(waits[i].first) / static_cast<double>(total);
    text += std::string(i == 0 ? " " : ", ") + std::string(ToString(waits[i].second)) + " " +
            RenderDuration(static_cast<double>(waits[i].first)) + " (" + Number(100 * share, 0) +
            "%)";
  }
  return text + "\n";
}

std::string RenderOperator(int number, const OperatorState& state) {
  const std::int64_t executed = state.tasks_done;
  std::string text = "Operator " + std::to_string(number) + " " + state.name + ": " +
                     std::to_string(executed) + " tasks executed, " +
                     std::to_string(state.output_blocks) + " blocks produced in " +
                     Number(static_cast<double>(state.active_nanos) * 1e-9, 2) + "s\n";
  if (state.tasks_retried > 0 || state.tasks_failed > 0) {
    text += "* Tasks failed: " + std::to_string(state.tasks_failed) +
            ", of these run again: " + std::to_string(state.tasks_retried) + "\n";
  }
  if (executed > 0) {
    text += Times("Remote wall time", state.task_wall_nanos);
    text += Times("Remote cpu time", state.task_cpu_nanos);
    if (state.function_nanos > 0) text += Times("UDF time", state.task_function_nanos);
    if (state.peak_heap_bytes > 0) {
      text +=
          "* Peak heap memory usage: " + RenderBytes(static_cast<double>(state.peak_heap_bytes)) +
          " max\n";
    }
  }
  if (state.block_rows.count > 0) {
    text += Amounts("Output num rows per block", state.block_rows,
                    std::to_string(state.block_rows.total) + " total");
    text += Amounts("Output size bytes per block", state.block_bytes,
                    std::to_string(state.block_bytes.total) + " total");
  }
  if (executed > 0) {
    text +=
        Amounts("Output rows per task", state.task_rows, std::to_string(executed) + " tasks used");
    text += "* Operator throughput:\n";
    text += "\t* Total input num rows: " + std::to_string(state.input_rows) + " rows\n";
    text += "\t* Total output num rows: " + std::to_string(state.output_rows) + " rows\n";
    text +=
        "\t* Throughput: " + PerSecond(state.output_rows, static_cast<double>(state.active_nanos)) +
        "\n";
    text += "\t* Estimated single task throughput: " +
            PerSecond(state.output_rows, static_cast<double>(state.wall_nanos)) + "\n";
  }
  if (state.errored_rows > 0) {
    text += "* Rows left out by on_error: " + std::to_string(state.errored_rows) + ", of these " +
            std::to_string(state.letter_rows) + " kept as dead letters\n";
  }
  if (state.spilled_bytes > 0) {
    text +=
        "* Input spilled to disk: " + RenderBytes(static_cast<double>(state.spilled_bytes)) + "\n";
  }
  if (state.blocks_remade > 0) {
    text += "* Blocks lost on disk and made again: " + std::to_string(state.blocks_remade) + "\n";
  }
  return text + Waits(state);
}

}  // namespace

std::string RenderDuration(double nanos) {
  if (nanos < 1e3) return Number(nanos, 0) + "ns";
  if (nanos < 1e6) return Number(nanos * 1e-3, 2) + "us";
  if (nanos < 1e9) return Number(nanos * 1e-6, 2) + "ms";
  return Number(nanos * 1e-9, 2) + "s";
}

std::string RenderBytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < std::size(units)) {
    bytes /= 1024;
    ++unit;
  }
  return Number(bytes, 1) + units[unit];
}

std::string RenderStatistics(const std::vector<OperatorState>& operators, const RunTotals& totals) {
  if (operators.empty()) return "";
  std::string text;
  int number = 0;
  for (const OperatorState& state : operators) text += RenderOperator(++number, state) + "\n";
  const std::int64_t rows = operators.back().output_rows;
  text += "Dataset throughput:\n\t* Throughput: " +
          PerSecond(rows, static_cast<double>(totals.elapsed.nanos)) + "\n";
  text += "* Total time: " + RenderDuration(static_cast<double>(totals.elapsed.nanos)) + "\n";
  text +=
      "* Peak object store use: " + RenderBytes(static_cast<double>(totals.peak_charged_bytes)) +
      "\n";
  return text;
}

}  // namespace headrace
