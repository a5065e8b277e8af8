#include "headrace/data/transform/failure.h"

#include <utility>

namespace headrace {

std::string DescribeOrigin(const Origin& origin) {
  std::string rows;
  if (origin.first_row >= 0) {
    rows = "rows " + std::to_string(origin.first_row);
    if (origin.end_row > origin.first_row + 1) rows += "–" + std::to_string(origin.end_row - 1);
    if (origin.end_row == origin.first_row + 1) rows.erase(3, 1);  // "row 5"
    if (origin.end_row < 0) rows += " and after";
  }
  if (!origin.files || origin.files->empty()) return rows;
  std::string files = origin.files->front();
  if (const std::size_t more = origin.files->size() - 1; more > 0) {
    files += " and " + std::to_string(more) + (more > 1 ? " more files" : " more file");
  }
  if (origin.rows_of_file || rows.empty()) {
    return "file " + files + (rows.empty() ? "" : ", " + rows);
  }
  return rows + " of the task's input, from " + files;
}

Failure MakeFailure(FailureKind kind, const Status& status, std::string context) {
  Failure failure = Failure::FromStatus(kind, status, std::move(context));
  if (status.detail()) failure.message += ": " + status.detail()->ToString();
  return failure;
}

Status AddOrigin(const Status& status, FailureKind kind, const Origin& origin) {
  if (status.ok() || status.IsCancelled()) return status;
  if (dynamic_cast<const FailureDetail*>(status.detail().get()) == nullptr) {
    return MakeFailureStatus(MakeFailure(kind, status, DescribeOrigin(origin)));
  }
  Failure failure = FailureOf(status);
  if (!failure.context.empty()) return status;
  failure.context = DescribeOrigin(origin);
  return MakeFailureStatus(std::move(failure));
}

Status AddOperator(const Status& status, const std::string& name) {
  if (status.ok() || status.IsCancelled()) return status;
  Failure failure = FailureOf(status);
  std::string context = "operator " + name;
  // What knows no rows begins with a line of its own.
  const bool is_line = failure.context.empty() || failure.context.starts_with('\n');
  context += (is_line ? "" : ", ") + failure.context;
  failure.context = std::move(context);
  return MakeFailureStatus(std::move(failure));
}

}  // namespace headrace
