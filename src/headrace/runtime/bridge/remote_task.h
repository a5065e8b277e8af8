#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/protocol/program.h"

namespace headrace {

class FunctionRuntime;

/// A task on the far side of a bridge: runs a program over tables that were handed to it.
///
/// It knows no credit: who pulls it stops pulling. The same order gives the same outputs in any
/// process. Threads: one at a time, but Cancel() from any.
class RemoteTask {
 public:
  /// `functions` may be null: C++ functions only; it must outlive this. `order` is that of
  /// EncodeOrder(), and `inputs` are its blocks. What is wrong with them shows in Next().
  RemoteTask(ProgramPtr program, std::string_view order,
             std::vector<std::shared_ptr<arrow::Table>> inputs, FunctionRuntime* functions);
  ~RemoteTask();
  RemoteTask(const RemoteTask&) = delete;
  RemoteTask& operator=(const RemoteTask&) = delete;

  /// One output, or the end.
  struct Step {
    std::shared_ptr<arrow::Table> table;  // Null at the end.
    std::int64_t num_bytes = 0;           // Of its rows.
    std::string bytes;                    // EncodeOutput(), or EncodeReport() at the end.
  };

  /// Computes the next output that is not to be skipped. Not called again after the end.
  Step Next();

  void Cancel();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Reads a program that WriteProgram() wrote.
Result<ProgramPtr> ReadRemoteProgram(std::string_view bytes);

/// Makes the instances of the classes that `program` calls. Returns EncodeFailure(), "" if it
/// went well.
std::string StartRemoteActor(const TaskProgram& program, FunctionRuntime* functions);

}  // namespace headrace
