#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "headrace/base/status.h"
#include "headrace/block/block.h"
#include "headrace/protocol/event.h"
#include "headrace/protocol/program.h"

// How a step reaches the user's function, whatever its language.

namespace arrow {
class MemoryPool;
class RecordBatch;
}  // namespace arrow

namespace headrace {

class FunctionRuntime;
class JoinSides;

/// What a task may use of the place where it runs, and which task it is. What it points to outlives
/// the pipeline.
struct TaskContext {
  arrow::MemoryPool* pool = nullptr;             // For outputs and scratch. Null: the default pool.
  FunctionRuntime* functions = nullptr;          // Null: C++ functions only.
  const std::atomic<bool>* cancelled = nullptr;  // Checked between batches. Null: never.
  JoinSides* sides = nullptr;  // Right sides of joins that tasks share. Null: each has its own.

  // Which task it is; set by the pipeline.
  Position position;
  std::uint64_t task_number = 0;  // Among those of its operator: the same in every attempt.
  std::uint64_t seed = 0;         // Of the run.
  std::string_view run_name;      // See TaskProgram.
};

/// Where rows came from, as far as it is known: for error messages.
struct Origin {
  FileList files;               // Null: not from files.
  std::int64_t first_row = -1;  // In the (only) file, or else in the task's input. -1: unknown.
  std::int64_t end_row = -1;    // One after the last row that these may come from. The range has
                                // more rows than the batch where rows were filtered out.
  bool rows_of_file = false;    // True: the range counts rows of the file.
};

/// Rows on their way through a task.
struct Batch {
  Block block;  // Unmeasured between steps: num_bytes() may be -1.
  Origin origin;
  std::shared_ptr<const std::string> payload;  // Of the read unit; for kRead functions only.
  std::shared_ptr<const BlockIndex> index{};   // After the last step of an exchange's map side.
};

/// A pull iterator over batches. After an error or the end, Next() is not called again.
class BatchStream {
 public:
  virtual ~BatchStream() = default;
  /// Returns the next batch, or nothing at the end.
  virtual Result<std::optional<Batch>> Next() = 0;
};

/// A function ready to be called: a stream of batches in, a stream of batches out.
///
/// The runner pulls `input`, whose batches have the size that the function asked for (or are
/// whole blocks), as its own output is pulled: nothing is computed ahead, except that an async
/// function may keep several batches in the air. Failing user code gives a status that carries a
/// FailureDetail (below).
class FunctionRunner {
 public:
  virtual ~FunctionRunner() = default;
  /// `stats` outlives the stream; functions tell it of rows that they left out. Null: nobody asks.
  virtual Result<std::unique_ptr<BatchStream>> Run(std::unique_ptr<BatchStream> input,
                                                   const TaskContext& context,
                                                   TaskStats* stats) = 0;
};

/// Makes runners for functions that are not C++; python/ implements it for its own.
class FunctionRuntime {
 public:
  virtual ~FunctionRuntime() = default;
  /// Returns the runner of `function`. The instance of a class is made at the first call and
  /// kept for the life of this runtime: that is what an actor is.
  virtual Result<std::shared_ptr<FunctionRunner>> Resolve(const FunctionPtr& function) = 0;
  /// Returns a file system that came by its pickled form.
  virtual Result<std::shared_ptr<arrow::fs::FileSystem>> ResolveFileSystem(
      const FileSystemRef& file_system) = 0;
};

/// A C++ function of the user.
class NativeFunction {
 public:
  using BatchFunction = std::function<Result<std::shared_ptr<arrow::RecordBatch>>(
      std::shared_ptr<arrow::RecordBatch>)>;
  explicit NativeFunction(BatchFunction function) : function_(std::move(function)) {}
  const BatchFunction& function() const { return function_; }

 private:
  BatchFunction function_;
};

/// Rides on a Status from user code so that the exception survives until it is raised again.
class FailureDetail : public arrow::StatusDetail {
 public:
  explicit FailureDetail(Failure failure) : failure_(std::move(failure)) {}
  const char* type_id() const override { return "headrace::FailureDetail"; }
  std::string ToString() const override { return failure_.context; }
  const Failure& failure() const { return failure_; }

 private:
  Failure failure_;
};

/// Returns a status that carries `failure`.
Status MakeFailureStatus(Failure failure);

/// Returns the failure that `status` carries, or one made from its text as a data error.
Failure FailureOf(const Status& status);

}  // namespace headrace
