#include "headrace/data/transform/arrow_init.h"

#include <arrow/compute/initialize.h>
#include <arrow/dataset/plan.h>

namespace headrace {

Status InitializeArrow() {
  static const Status status = [] {
    ARROW_RETURN_NOT_OK(arrow::compute::Initialize());
    arrow::dataset::internal::Initialize();
    return Status::OK();
  }();
  return status;
}

}  // namespace headrace
