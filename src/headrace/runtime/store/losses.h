#pragma once

#include <vector>

#include "headrace/base/id.h"
#include "headrace/base/status.h"

namespace headrace {

/// Objects whose bytes are gone, as statuses say it. A reader goes on to its other inputs, so that
/// all that it lacks is known at once.
class Losses {
 public:
  /// Returns `why`, saying that it is of `object`.
  static Status Of(ObjectId object, const Status& why);

  /// Adds what `status` says is lost; returns false if it says nothing of the kind.
  bool Add(const Status& status);

  const std::vector<ObjectId>& objects() const { return objects_; }
  /// Returns the first status, saying that it is of all objects; OK if there are none.
  Status status() const;

 private:
  std::vector<ObjectId> objects_;
  Status first_;
};

}  // namespace headrace
