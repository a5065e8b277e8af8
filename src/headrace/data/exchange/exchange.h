#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/block/block.h"
#include "headrace/data/transform/step.h"
#include "headrace/protocol/exchange.h"

// The steps of the exchange, as pull iterators like those of data/transform.
//
// Each works within the rows of its own task: the driver sees to it that they fit. Output is
// deterministic: equal input, step and seed give equal rows in equal order.

namespace headrace {

/// Orders rows by bucket and labels each batch with its index (Batch::index). A row's bucket is the
/// high part of a hash of its keys, the same for equal values of all types that can be unified (see
/// HashRows), so that blocks and both sides of a join agree. Equal floats (0.0 and -0.0, all nan)
/// and all nulls meet. Without keys, rows go to buckets at random by `rng`, in
/// random order within each. Joins small batches first.
StreamPtr MakeScatterStream(StreamPtr input, ScatterStep step, Rng rng, const TaskContext& context);

/// Sorts everything into one run; batches of it leave in order, each with an index.
StreamPtr MakeSortStream(StreamPtr input, SortStep step, const TaskContext& context);

/// Merges the runs `inputs` (each sorted by the keys; those of equal number in `keys->runs` follow
/// each other) within `keys`; all rows where that is unset. `files` of the inputs are for messages.
StreamPtr MakeMergeStream(std::vector<Block> inputs, std::optional<KeyRange> keys, MergeStep step,
                          const TaskContext& context, std::vector<FileList> files = {});

/// Gives all rows in random order.
StreamPtr MakeShuffleStream(StreamPtr input, Rng rng, const TaskContext& context);

/// Sorts by the keys; see GroupStep. Batches hold whole groups and about `target_bytes`, or one
/// group that is larger.
StreamPtr MakeGroupStream(StreamPtr input, GroupStep step, std::int64_t target_bytes,
                          const TaskContext& context);

/// Folds rows; see AggregateStep. Those of its keys that are in `coded` are text, which may come as
/// codes (data/transform/codes.h).
StreamPtr MakeAggregateStream(StreamPtr input, AggregateStep step, const TaskContext& context,
                              std::vector<std::string> coded = {});

/// Joins two sides; see JoinStep. `shared`: the objects that the right side is all of, where other
/// tasks join the same ones; then hashed once for all of them (TaskContext::sides). Not for kinds
/// of join that yield right rows which met nothing.
StreamPtr MakeJoinTablesStream(StreamPtr left, StreamPtr right, JoinStep step,
                               const TaskContext& context, std::vector<ObjectId> shared = {});

/// Puts two sides beside each other; see ZipStep.
StreamPtr MakeZipStream(StreamPtr left, StreamPtr right, const TaskContext& context);

}  // namespace headrace
