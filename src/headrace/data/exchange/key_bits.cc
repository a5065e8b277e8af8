#include "headrace/data/exchange/key_bits.h"

#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>
#include <arrow/util/bit_util.h>

#include <cstring>
#include <utility>

#include "headrace/base/check.h"

namespace headrace::group_table {

BitsKind BitsKindOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return BitsKind::kBool;
    case arrow::Type::HALF_FLOAT:
      return BitsKind::kHalf;
    case arrow::Type::FLOAT:
      return BitsKind::kFloat;
    case arrow::Type::DOUBLE:
      return BitsKind::kDouble;
    default:
      break;
  }
  const bool plain = arrow::is_integer(type.id()) || arrow::is_temporal(type.id()) ||
                     type.id() == arrow::Type::DURATION || type.id() == arrow::Type::DECIMAL32 ||
                     type.id() == arrow::Type::DECIMAL64;
  if (!plain) return BitsKind::kNone;
  switch (type.bit_width()) {
    case 8:
      return BitsKind::k8;
    case 16:
      return BitsKind::k16;
    case 32:
      return BitsKind::k32;
    default:
      return BitsKind::k64;
  }
}

int WidthOf(BitsKind kind) {
  switch (kind) {
    case BitsKind::kBool:
      return 1;
    case BitsKind::k8:
      return 8;
    case BitsKind::k16:
    case BitsKind::kHalf:
      return 16;
    case BitsKind::k32:
    case BitsKind::kFloat:
      return 32;
    case BitsKind::k64:
    case BitsKind::kDouble:
      return 64;
    case BitsKind::kNone:
      break;
  }
  HEADRACE_CHECK(false);
  return 0;
}

namespace {

template <class T>
void LoadPlain(const arrow::ArrayData& data, std::int64_t begin, std::int64_t rows,
               std::uint64_t* out) {
  const T* values = data.GetValues<T>(1) + begin;
  for (std::int64_t i = 0; i < rows; ++i) out[i] = values[i];
}

// `kExponent`: the bits that are all set in nan and infinity.
template <class T, T kExponent>
void LoadFloats(const arrow::ArrayData& data, std::int64_t begin, std::int64_t rows,
                std::uint64_t* out) {
  constexpr T kSign = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
  constexpr T kNan = static_cast<T>(kExponent | ((kExponent & -kExponent) >> 1));
  const T* values = data.GetValues<T>(1) + begin;
  for (std::int64_t i = 0; i < rows; ++i) {
    const T magnitude = static_cast<T>(values[i] & static_cast<T>(~kSign));
    out[i] = magnitude > kExponent ? kNan : magnitude == 0 ? T{0} : values[i];
  }
}

template <class T>
void StorePlain(const std::uint64_t* values, std::int64_t rows, std::uint8_t* out) {
  auto* typed = reinterpret_cast<T*>(out);
  for (std::int64_t i = 0; i < rows; ++i) typed[i] = static_cast<T>(values[i]);
}

}  // namespace

void LoadBits(BitsKind kind, const arrow::ArrayData& data, std::int64_t begin, std::int64_t rows,
              std::uint64_t* out) {
  switch (kind) {
    case BitsKind::kBool:
      for (std::int64_t i = 0; i < rows; ++i) {
        out[i] = arrow::bit_util::GetBit(data.buffers[1]->data(), data.offset + begin + i);
      }
      return;
    case BitsKind::k8:
      return LoadPlain<std::uint8_t>(data, begin, rows, out);
    case BitsKind::k16:
      return LoadPlain<std::uint16_t>(data, begin, rows, out);
    case BitsKind::k32:
      return LoadPlain<std::uint32_t>(data, begin, rows, out);
    case BitsKind::k64:
      return LoadPlain<std::uint64_t>(data, begin, rows, out);
    case BitsKind::kHalf:
      return LoadFloats<std::uint16_t, 0x7C00>(data, begin, rows, out);
    case BitsKind::kFloat:
      return LoadFloats<std::uint32_t, 0x7F800000U>(data, begin, rows, out);
    case BitsKind::kDouble:
      return LoadFloats<std::uint64_t, 0x7FF0000000000000ULL>(data, begin, rows, out);
    case BitsKind::kNone:
      HEADRACE_CHECK(false);
  }
}

Result<std::shared_ptr<arrow::Array>> ArrayOfBits(std::shared_ptr<arrow::DataType> type,
                                                  BitsKind kind, const std::uint64_t* values,
                                                  std::int64_t rows,
                                                  std::shared_ptr<arrow::Buffer> validity,
                                                  arrow::MemoryPool* pool) {
  std::shared_ptr<arrow::Buffer> made;
  if (kind == BitsKind::kBool) {
    ARROW_ASSIGN_OR_RAISE(made, arrow::AllocateEmptyBitmap(rows, pool));
    for (std::int64_t i = 0; i < rows; ++i) {
      arrow::bit_util::SetBitTo(made->mutable_data(), i, values[i] != 0);
    }
  } else {
    const int bytes = WidthOf(kind) / 8;
    ARROW_ASSIGN_OR_RAISE(made, arrow::AllocateBuffer(rows * bytes, pool));
    std::uint8_t* const out = made->mutable_data();
    if (bytes == 1) StorePlain<std::uint8_t>(values, rows, out);
    if (bytes == 2) StorePlain<std::uint16_t>(values, rows, out);
    if (bytes == 4) StorePlain<std::uint32_t>(values, rows, out);
    if (bytes == 8) StorePlain<std::uint64_t>(values, rows, out);
  }
  return arrow::MakeArray(
      arrow::ArrayData::Make(std::move(type), rows, {std::move(validity), std::move(made)}));
}

}  // namespace headrace::group_table
