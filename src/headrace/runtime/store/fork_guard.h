#pragma once

#include <cstdint>

namespace headrace {

/// Returns how often this process was forked since its ancestor loaded the library: 0 in the
/// ancestor, one more in each child. An object made in another generation belongs to the parent
/// process: its threads do not exist here, and its locks may be held for ever.
std::uint64_t ForkGeneration();

/// Closes `descriptor` in every child that is forked from now on, so that the parent's sockets end
/// when the parent closes them. For descriptors that exec() already closes.
void CloseInForkedChild(int descriptor);

/// To be called before the descriptor is closed here.
void ForgetInForkedChild(int descriptor);

}  // namespace headrace
