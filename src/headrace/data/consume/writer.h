#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "headrace/data/transform/step.h"
#include "headrace/protocol/program.h"

namespace headrace {

/// Writes all batches of `input` at its first Next(), and yields one batch of results, see
/// WriteStep. A task without rows writes no file and yields results without rows.
///
/// A file is written as {directory}/.headrace-{temporary}/{name} and stays there until the driver
/// commits the run (data/consume/commit.h). Its name is made of the run and the task's position,
/// so a retried task writes the same names: {run_id}_{position}_{index}.{extension}, under
/// "key=value" directories where the rows are partitioned.
///
/// Options of all formats: min_rows_per_file (rows of a task that go into one file at least) and
/// max_rows_per_file (at most; 0: no limit); max_bytes_per_file (a file that has these on the disk
/// is the last for its rows; 0: no limit). Those of one format stand at its writer.
StreamPtr MakeWriteStream(StreamPtr input, std::shared_ptr<const WriteTarget> target,
                          const TaskContext& context, TaskStats* stats);

}  // namespace headrace
