#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/protocol/program.h"

// Typed reads of option maps. A missing option, or one that is None, gives the default; so does
// one of a wrong type, except that a whole number serves as a bool or a double, and a single string
// as a list.

namespace headrace {

bool HasOption(const OptionMap& options, std::string_view name);
bool GetBool(const OptionMap& options, std::string_view name, bool otherwise);
std::int64_t GetInt(const OptionMap& options, std::string_view name, std::int64_t otherwise);
std::string GetString(const OptionMap& options, std::string_view name, std::string otherwise);
std::vector<std::string> GetStrings(const OptionMap& options, std::string_view name);

}  // namespace headrace
