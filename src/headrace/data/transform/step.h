#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/data/transform/function.h"
#include "headrace/protocol/program.h"

// The steps between reading and writing, as pull iterators over batches.
//
// Each maker takes the stream that it pulls from. A C++ step yields at least one batch, perhaps
// without rows, if its input yields one: so the schema reaches the end of the task. Streams are
// driven by one thread at a time and do nothing before the first Next().

namespace headrace {

using StreamPtr = std::unique_ptr<BatchStream>;

/// Keeps the rows for which `predicate` is true. With `keep`, only these columns of the input are
/// filtered and passed on, in this order. `plain`: a schema whose text columns may come as codes
/// (codes.h), and leave as such; null: there are none.
StreamPtr MakeFilterStream(StreamPtr input, ExprPtr predicate,
                           std::optional<std::vector<std::string>> keep, const TaskContext& context,
                           std::shared_ptr<arrow::Schema> plain = nullptr);

/// Makes columns; see ProjectStep.
StreamPtr MakeProjectStream(StreamPtr input, ProjectStep step, const TaskContext& context);

/// Passes the first `rows` rows and then pulls no more.
StreamPtr MakeLimitStream(StreamPtr input, std::int64_t rows);

/// Calls the user's function on each batch: C++ ones directly, others through `context.functions`.
/// The time inside it is added to `*stats`, which must outlive the stream, as must `context`.
StreamPtr MakeMapStream(StreamPtr input, FunctionPtr function, const TaskContext& context,
                        TaskStats* stats);

/// Slices and joins to batches of exactly `rows` rows, the last one smaller. Batches without rows
/// vanish. Requires: rows > 0.
StreamPtr MakeRebatchStream(StreamPtr input, std::int64_t rows, const TaskContext& context);

/// Joins batches until they have `target_min_bytes` together (0: passes each as it is). Batches
/// without rows vanish.
StreamPtr MakeJoinStream(StreamPtr input, std::int64_t target_min_bytes,
                         const TaskContext& context);

/// Returns the origin of the rows of all, which follow each other. Requires: not empty.
Origin MergeOrigins(const std::vector<Origin>& parts);

/// Returns the origin of rows [begin, end) of a batch of `rows` rows that has this origin.
Origin SliceOrigin(const Origin& origin, std::int64_t rows, std::int64_t begin, std::int64_t end);

}  // namespace headrace
