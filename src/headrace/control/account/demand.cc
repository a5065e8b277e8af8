#include "headrace/control/account/demand.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace headrace {
namespace {

// Tasks that it takes to keep so many busy on average: what is left of a whole one after that is
// taken as a fault of the means.
double TasksIn(double busy) { return std::ceil(busy - 0.05); }

double BytesOfTask(const OperatorDemand& op) {
  return static_cast<double>(op.means.held_bytes) + static_cast<double>(op.block_bytes);
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
  double whole = 0;  // What they hold and need if each keeps a whole number of tasks busy.
  for (std::size_t i = 0; i < operators.size(); ++i) {
    if (busy[i] > 0) whole += TasksIn(rate * busy[i]) * BytesOfTask(operators[i]);
  }
  std::vector<std::int64_t> needs(operators.size(), 0);
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const OperatorDemand& op = operators[i];
    if (!op.runs_tasks) continue;
    if (op.means.samples == 0) {
      needs[i] = unknown_bytes;
    } else if (busy[i] > 0) {
      const double tasks = whole <= left ? TasksIn(rate * busy[i]) : rate * busy[i];
      needs[i] = static_cast<std::int64_t>(tasks * static_cast<double>(op.block_bytes));
    }
  }
  return needs;
}

}  // namespace headrace
