#pragma once

#include <cstdint>
#include <string_view>

#include "headrace/control/plan/physical_plan.h"

// Fusion makes one task of neighbouring operators, so that blocks between them are never stored,
// moved or waited for.

namespace headrace {

/// Why two neighbours stay two operators.
enum class FusionBarrier : std::uint8_t {
  kNone,         // They fuse.
  kKind,         // One is no task operator.
  kConsumers,    // The upper's output has other consumers too.
  kCompute,      // Actors before tasks: the tasks would be bound to the pool.
  kPool,         // A user's function before a single actor: it would run there one at a time.
  kClass,        // Each has a class of its own: an actor keeps the instances of one operator.
  kConcurrency,  // The upstream's tasks are capped at another number.
  kResources,    // They ask for different resources.
  kPlace,        // The downstream asks for workers that the upstream does not ask for.
  kLane,         // A user's function after an exchange, whose tasks are C++ alone.
  kBundle,       // The downstream joins blocks first, and the upstream would change their rows.
};
std::string_view ToString(FusionBarrier barrier);

// An exchange's tasks take C++ steps after their own: the upstream of such a pair may be an
// exchange. Before it, its map side is an operator like any other; but that of a left side that may
// join instead of scattering (ExchangeOperator::broadcast_bytes) stays apart from functions of the
// user, for such tasks are native, and functions need not wait for the right side.

/// Returns what keeps `down` from running in the tasks of its only input `up`, which has
/// `consumers` consumers.
///
///   compute       tasks into tasks, tasks into actors, actors into actors of the same function;
///                 but a user's function stays before a pool of one: there it would run one at a
///                 time and keep the actor from its own work, to save a hand-over of microseconds
///   concurrency   upstream uncapped, or the same cap
///   resources     equal; or, for tasks, one side asks for the default and the other for cpus or
///                 memory: the larger of each. A gpu or named resource is held only by who asks
///                 for it, and an actor, which holds its own for the whole run, by no more.
///   bundles       see BundleRows in the source: batches may form inside a read's task that has
///                 rows for one, files of a minimum size may not
FusionBarrier FindFusionBarrier(const OperatorSpec& up, const OperatorSpec& down, int consumers);

}  // namespace headrace
