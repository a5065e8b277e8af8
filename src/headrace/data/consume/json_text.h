#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "headrace/base/status.h"

namespace arrow {
class Array;
}

namespace headrace {

/// Writes the values of one array as JSON, the way pandas' to_json does: times as whole
/// milliseconds since 1970, durations as milliseconds, times of day, decimals and bytes as strings,
/// maps as lists of pairs, tensors as nested lists; NaN and infinities as null. Unlike pandas,
/// whole numbers stay whole beside nulls, and floats keep all their digits.
class JsonColumn {
 public:
  /// A type that has no JSON form is an error that names it. Keeps `array` alive.
  static Result<std::unique_ptr<JsonColumn>> Make(const std::shared_ptr<arrow::Array>& array);
  virtual ~JsonColumn() = default;

  /// Appends value `row`.
  virtual Status Append(std::int64_t row, std::string* out) const = 0;
};

/// Appends `text` with quotes, escaped to ASCII. Text that is not UTF-8 is an error.
Status AppendJsonString(std::string_view text, std::string* out);

}  // namespace headrace
