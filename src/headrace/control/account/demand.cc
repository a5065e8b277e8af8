#include "headrace/control/account/demand.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace headrace {
namespace {

constexpr int kBisections = 20;  // To a millionth.

// Tasks that it takes to keep so many busy on average: what is left of a whole one after that is
// taken as a fault of the means.
double TasksIn(double busy) { return std::ceil(busy - 0.05); }

double BytesOfTask(const OperatorDemand& op) {
  return static_cast<double>(op.means.held_bytes) + static_cast<double>(op.block_bytes);
}

// Returns the tasks that each operator keeps busy at a flow of `rate`, of which whole ones are to
// fit into `left` bytes: of the largest flow up to it for which they do. Fractions of tasks if not
// even one of each fits. `busy`: task seconds for each byte that flows.
std::vector<double> TasksWithin(std::span<const OperatorDemand> operators,
                                std::span<const double> busy, double rate, double left) {
  std::vector<double> tasks(busy.size(), 0);
  const auto fits = [&](double flow) {
    double bytes = 0;
    for (std::size_t i = 0; i < busy.size(); ++i) {
      if (busy[i] == 0) continue;
      tasks[i] = std::max(1.0, TasksIn(flow * busy[i]));
      bytes += tasks[i] * BytesOfTask(operators[i]);
    }
    return bytes <= left;
  };
  if (fits(rate)) return tasks;
  if (!fits(0)) {
    for (std::size_t i = 0; i < busy.size(); ++i) tasks[i] = rate * busy[i];
    return tasks;
  }
  double low = 0, high = rate;
  for (int step = 0; step < kBisections; ++step) {
    const double middle = (low + high) / 2;
    (fits(middle) ? low : high) = middle;
  }
  fits(low);
  return tasks;
}

}  // namespace

void TaskMeans::Add(std::int64_t task_nanos, std::int64_t task_held, std::int64_t task_output) {
  samples = std::min(samples + 1, kWindow);
  nanos += (task_nanos - nanos) / samples;
  held_bytes += (task_held - held_bytes) / samples;
  output_bytes += (task_output - output_bytes) / samples;
}

std::vector<std::int64_t> CreditNeeds(std::span<const OperatorDemand> operators,
                                      std::int64_t budget_bytes, std::int64_t unknown_bytes,
                                      const Resources& total) {
  std::vector<double> flow_in(operators.size(), 0);  // Bytes for each that a source makes.
  std::vector<double> busy(operators.size(), 0);     // Seconds of tasks for each such byte.
  double memory = 0, cpu = 0, gpu = 0;               // Each times seconds for each such byte.
  double left = static_cast<double>(budget_bytes);
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const OperatorDemand& op = operators[i];
    double out = op.gathers ? 0 : flow_in[i];
    if (op.runs_tasks && op.means.samples == 0) {
      left -= static_cast<double>(unknown_bytes);
      if (op.starts_flow) out = 1;
    } else if (op.runs_tasks) {
      const auto held = static_cast<double>(op.means.held_bytes);
      const auto made = static_cast<double>(op.means.output_bytes);
      double tasks = 0;  // For each byte of a source.
      if (op.starts_flow) {
        tasks = made > 0 ? 1 / made : 0;
      } else {
        tasks = held > 0 ? flow_in[i] / held : 0;
      }
      out = tasks * made;
      busy[i] = tasks * static_cast<double>(op.means.nanos) * 1e-9;
      memory += busy[i] * BytesOfTask(op);
      cpu += busy[i] * static_cast<double>(op.cost.cpu_milli);
      gpu += busy[i] * static_cast<double>(op.cost.gpu_milli);
    }
    if (op.consumer >= 0) flow_in[static_cast<std::size_t>(op.consumer)] += out;
  }
  double rate = std::numeric_limits<double>::infinity();
  const auto bound = [&rate](double there_is, double needed) {
    if (needed > 0) rate = std::min(rate, std::max(there_is, 0.0) / needed);
  };
  bound(left, memory);
  bound(static_cast<double>(total.cpu_milli), cpu);
  bound(static_cast<double>(total.gpu_milli), gpu);
  const std::vector<double> tasks = TasksWithin(operators, busy, rate, left);
  std::vector<std::int64_t> needs(operators.size(), 0);
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const OperatorDemand& op = operators[i];
    if (!op.runs_tasks) continue;
    if (op.means.samples == 0) {
      needs[i] = unknown_bytes;
    } else if (busy[i] > 0) {
      needs[i] = static_cast<std::int64_t>(tasks[i] * static_cast<double>(op.block_bytes));
    }
  }
  return needs;
}

}  // namespace headrace
