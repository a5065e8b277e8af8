#include "headrace/data/read/options.h"

#include <utility>

namespace headrace {

namespace {

template <class T>
const T* Find(const OptionMap& options, std::string_view name) {
  const auto found = options.find(name);
  return found == options.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

bool HasOption(const OptionMap& options, std::string_view name) {
  const auto found = options.find(name);
  return found != options.end() && !std::holds_alternative<std::monostate>(found->second);
}

bool GetBool(const OptionMap& options, std::string_view name, bool otherwise) {
  if (const auto* value = Find<bool>(options, name)) return *value;
  if (const auto* value = Find<std::int64_t>(options, name)) return *value != 0;
  return otherwise;
}

std::int64_t GetInt(const OptionMap& options, std::string_view name, std::int64_t otherwise) {
  const auto* value = Find<std::int64_t>(options, name);
  return value ? *value : otherwise;
}

std::string GetString(const OptionMap& options, std::string_view name, std::string otherwise) {
  const auto* value = Find<std::string>(options, name);
  return value ? *value : std::move(otherwise);
}

std::vector<std::string> GetStrings(const OptionMap& options, std::string_view name) {
  if (const auto* values = Find<std::vector<std::string>>(options, name)) return *values;
  if (const auto* value = Find<std::string>(options, name)) return {*value};
  return {};
}

}  // namespace headrace
