#include "headrace/data/consume/owner.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

namespace headrace {
namespace {

// Field 22 of /proc/pid/stat, in clock ticks since boot.
constexpr int kStartField = 22;

// Returns when the process started, "" for one that is dead but not yet forgotten, or nothing if
// that cannot be seen.
std::optional<std::string> StartOf(std::string_view pid) {
  std::ifstream file("/proc/" + std::string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(')');  // The name, field 2, may have any character.
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= kStartField; ++number) {
    if (!(fields >> field)) return std::nullopt;
    if (number == 3 && (field == "Z" || field == "X")) return "";
  }
  return field;
}

std::string MakePlace() {
  std::array<char, 256> host{};
  std::string place;
  if (::gethostname(host.data(), host.size() - 1) == 0) place = host.data();
  std::ifstream machine("/etc/machine-id");  // Names of hosts are often not their own.
  std::string id;
  if (machine >> id) place += "_" + id + "_";
  std::array<char, 64> space{};
  if (::readlink("/proc/self/ns/pid", space.data(), space.size() - 1) > 0) place += space.data();
  std::string clean;
  for (const char c : place) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain || (!clean.empty() && clean.back() != '_')) clean += plain ? c : '_';
  }
  return clean;
}

// Takes what stands behind the last "-" off `name`.
std::string_view TakeLast(std::string_view* name) {
  const std::size_t dash = name->rfind('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view last = name->substr(dash + 1);
  name->remove_suffix(name->size() - dash);
  return last;
}

}  // namespace

std::string OwnerPlace() {
  static const std::string place = MakePlace();
  return place;
}

std::string OwnerTag() {
  const std::string pid = std::to_string(::getpid());
  return OwnerPlace() + "-" + pid + "-" + StartOf(pid).value_or("unknown");
}

bool OwnerIsGone(std::string_view name) {
  const std::string_view start = TakeLast(&name);
  const std::string_view pid = TakeLast(&name);
  int number = 0;
  const auto parsed = std::from_chars(pid.data(), pid.data() + pid.size(), number);
  if (pid.empty() || parsed.ec != std::errc{} || parsed.ptr != pid.data() + pid.size()) {
    return false;
  }
  if (start.empty() || start == "unknown" || TakeLast(&name) != OwnerPlace()) return false;
  if (::kill(number, 0) != 0 && errno == ESRCH) return true;
  const auto now = StartOf(pid);  // Another user's may be hidden: then it is taken to live.
  return now.has_value() && *now != start;
}

}  // namespace headrace
