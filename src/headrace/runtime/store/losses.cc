#include "headrace/runtime/store/losses.h"

#include <memory>
#include <string>
#include <utility>

namespace headrace {
namespace {

class LossDetail final : public arrow::StatusDetail {
 public:
  explicit LossDetail(std::vector<ObjectId> objects) : objects_(std::move(objects)) {}
  const char* type_id() const override { return "headrace::LossDetail"; }
  std::string ToString() const override { return std::to_string(objects_.size()) + " blocks lost"; }
  const std::vector<ObjectId>& objects() const { return objects_; }

 private:
  const std::vector<ObjectId> objects_;
};

}  // namespace

Status Losses::Of(ObjectId object, const Status& why) {
  return why.WithDetail(std::make_shared<LossDetail>(std::vector{object}));
}

bool Losses::Add(const Status& status) {
  const auto* detail = dynamic_cast<const LossDetail*>(status.detail().get());
  if (detail == nullptr) return false;
  objects_.insert(objects_.end(), detail->objects().begin(), detail->objects().end());
  if (first_.ok()) first_ = status;
  return true;
}

Status Losses::status() const {
  return objects_.empty() ? Status::OK()
                          : first_.WithDetail(std::make_shared<LossDetail>(objects_));
}

}  // namespace headrace
