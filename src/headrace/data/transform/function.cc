#include "headrace/data/transform/function.h"

#include <utility>

#include "headrace/data/transform/failure.h"

namespace headrace {

Status MakeFailureStatus(Failure failure) {
  const arrow::StatusCode code =
      failure.code == arrow::StatusCode::OK ? arrow::StatusCode::UnknownError : failure.code;
  std::string message = failure.message;
  return Status(code, std::move(message), std::make_shared<FailureDetail>(std::move(failure)));
}

Failure FailureOf(const Status& status) {
  if (const auto* detail = dynamic_cast<const FailureDetail*>(status.detail().get())) {
    return detail->failure();
  }
  return MakeFailure(status.IsCancelled() ? FailureKind::kCancelled : FailureKind::kDataError,
                     status, "");
}

}  // namespace headrace
