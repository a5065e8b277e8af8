#pragma once

#include <memory>
#include <vector>

#include "headrace/data/read/source.h"
#include "headrace/data/transform/step.h"

namespace headrace {

/// Reads `units` of the step's source in order and does what readers leave over: adds the columns
/// "path" and of Hive partitions, fits the columns to the source's schema, filters, selects,
/// limits, and adds the file and row numbers to batches and errors. If no unit gives a batch but
/// the source's schema is known, yields one batch without rows. Checks `context.cancelled` before
/// each batch. `step` must outlive the stream.
///
/// Columns of `coded` may leave as codes of text (data/transform/codes.h), batch by batch.
StreamPtr MakeReadStream(const ReadStep& step, std::vector<ReadUnit> units,
                         const TaskContext& context, std::vector<std::string> coded = {});

/// Returns the names of the source's columns that `step` needs: asked for or filtered by. Unset:
/// all of them.
std::optional<std::vector<std::string>> NeededColumns(const ReadStep& step);

/// Name of the column that `include_paths` adds.
inline constexpr const char* kPathColumn = "path";

}  // namespace headrace
