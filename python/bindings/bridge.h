#pragma once

// A cluster that Python knows: headrace._internal.ray_backend.bridge.Bridge, called from the
// engine's threads, and the far side of it, the tasks that its workers run.

#include <memory>

namespace headrace {
class BackendSource;
}

namespace headrace::python {

/// Returns the source of backends on the cluster that headrace._internal.runtime.connect() gives;
/// null if it gives none. Raises what that raises. Requires: the GIL.
std::shared_ptr<BackendSource> ConnectBridge();

}  // namespace headrace::python
