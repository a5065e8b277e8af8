#pragma once

#include <arrow/type_fwd.h>

#include <cstdint>
#include <memory>

#include "headrace/base/status.h"

// Keys of at most 8 bytes as whole numbers: equal ones have equal bits.

namespace headrace::group_table {

enum class BitsKind : std::uint8_t { kNone, kBool, k8, k16, k32, k64, kHalf, kFloat, kDouble };

/// Returns kNone for types of more than 8 bytes, and such as are more than their bits.
BitsKind BitsKindOf(const arrow::DataType& type);

/// Returns how many low bits a value of the kind may set.
int WidthOf(BitsKind kind);

/// Writes the bits of values [begin, begin + rows); those of nulls are any. All nan are one, and
/// 0.0 is -0.0.
void LoadBits(BitsKind kind, const arrow::ArrayData& data, std::int64_t begin, std::int64_t rows,
              std::uint64_t* out);

/// Makes the array again. `validity`: may be null.
Result<std::shared_ptr<arrow::Array>> ArrayOfBits(std::shared_ptr<arrow::DataType> type,
                                                  BitsKind kind, const std::uint64_t* values,
                                                  std::int64_t rows,
                                                  std::shared_ptr<arrow::Buffer> validity,
                                                  arrow::MemoryPool* pool);

}  // namespace headrace::group_table
