#include "headrace/base/resources.h"

#include <algorithm>

namespace headrace {
namespace {

using Named = std::vector<std::pair<std::string, std::int64_t>>;

void AddNamed(Named* into, const Named& from, std::int64_t sign) {
  for (const auto& [name, amount] : from) {
    auto at = std::lower_bound(
        into->begin(), into->end(), name,
        [](const auto& entry, const std::string& key) { return entry.first < key; });
    if (at == into->end() || at->first != name) at = into->insert(at, {name, 0});
    at->second += sign * amount;
    if (at->second == 0) into->erase(at);
  }
}

std::int64_t NamedAmount(const Named& named, const std::string& name) {
  for (const auto& [key, amount] : named) {
    if (key == name) return amount;
  }
  return 0;
}

void PrintMilli(std::string* out, const std::string& name, std::int64_t milli) {
  if (milli == 0) return;
  if (!out->empty()) *out += ' ';
  *out += name + "=" + std::to_string(milli / 1000);
  if (milli % 1000 == 0) return;
  std::string fraction = std::to_string(1000 + milli % 1000).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  *out += "." + fraction;
}

}  // namespace

Resources& Resources::operator+=(const Resources& other) {
  cpu_milli += other.cpu_milli;
  gpu_milli += other.gpu_milli;
  memory_bytes += other.memory_bytes;
  if (!other.custom_milli.empty()) AddNamed(&custom_milli, other.custom_milli, 1);
  return *this;
}

Resources& Resources::operator-=(const Resources& other) {
  cpu_milli -= other.cpu_milli;
  gpu_milli -= other.gpu_milli;
  memory_bytes -= other.memory_bytes;
  if (!other.custom_milli.empty()) AddNamed(&custom_milli, other.custom_milli, -1);
  return *this;
}

bool Resources::FitsIn(const Resources& available) const {
  if (cpu_milli > available.cpu_milli || gpu_milli > available.gpu_milli ||
      memory_bytes > available.memory_bytes) {
    return false;
  }
  return std::all_of(custom_milli.begin(), custom_milli.end(), [&](const auto& entry) {
    return entry.second <= NamedAmount(available.custom_milli, entry.first);
  });
}

std::string Resources::FirstShortage(const Resources& available) const {
  if (cpu_milli > available.cpu_milli) return "CPU";
  if (gpu_milli > available.gpu_milli) return "GPU";
  if (memory_bytes > available.memory_bytes) return "memory";
  for (const auto& [name, amount] : custom_milli) {
    if (amount > NamedAmount(available.custom_milli, name)) return name;
  }
  return "";
}

std::string Resources::ToString() const {
  std::string out;
  PrintMilli(&out, "cpu", cpu_milli);
  PrintMilli(&out, "gpu", gpu_milli);
  if (memory_bytes != 0)
    out += (out.empty() ? "memory=" : " memory=") + std::to_string(memory_bytes);
  for (const auto& [name, amount] : custom_milli) PrintMilli(&out, name, amount);
  return out.empty() ? "none" : out;
}

}  // namespace headrace
