#pragma once

#include <string>
#include <string_view>

namespace headrace {

/// Returns a name for this process that no other one has, at any time, on any host: the host, the
/// name space of its process ids, the process id and its start. Letters, digits, "_" and "-".
std::string OwnerTag();

/// Returns the first part of the tag: equal in all processes of this host and name space.
std::string OwnerPlace();

/// Returns true if `name` ends with the tag of a process of this host that has ended. Of processes
/// of other hosts, or other name spaces, nothing can be known: false.
bool OwnerIsGone(std::string_view name);

}  // namespace headrace
