#include "headrace/data/transform/text_match.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/compute/api_scalar.h>
#include <arrow/datum.h>
#include <arrow/type.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/bitmap_ops.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace headrace {

namespace cp = arrow::compute;

namespace {

// A part to be looked for: where its last byte would be, the text tells by that byte how far the
// part is away at least (Horspool).
class Part {
 public:
  explicit Part(std::string_view text) : text_(text) {
    const std::size_t last = text_.size() - 1;
    skips_.fill(static_cast<std::uint8_t>(std::min<std::size_t>(text_.size(), UINT8_MAX)));
    for (std::size_t i = 0; i < last; ++i) {
      skips_[static_cast<std::uint8_t>(text_[i])] =
          static_cast<std::uint8_t>(std::min<std::size_t>(last - i, UINT8_MAX));
    }
  }

  /// Returns the end of its first place in [begin, end), or null.
  const char* FindEnd(const char* begin, const char* end) const {
    const std::size_t size = text_.size();
    if (static_cast<std::size_t>(end - begin) < size) return nullptr;
    const char last = text_.back();
    for (const char* at = begin + size - 1; at < end;) {
      if (*at == last && std::memcmp(at - size + 1, text_.data(), size - 1) == 0) return at + 1;
      const std::size_t skip = skips_[static_cast<std::uint8_t>(*at)];
      if (skip >= static_cast<std::size_t>(end - at)) return nullptr;
      at += skip;
    }
    return nullptr;
  }

 private:
  std::string text_;
  std::array<std::uint8_t, 256> skips_;
};

// A pattern of parts with anything between them.
struct Parts {
  std::string first;         // What the text starts with,
  std::string last;          // and ends with.
  std::vector<Part> inside;  // In this order between these.
};

std::optional<Parts> PartsOf(const std::string& function, const std::string& pattern) {
  Parts parts;
  if (function == "match_substring") {
    if (pattern.empty()) return std::nullopt;
    parts.inside.emplace_back(pattern);
    return parts;
  }
  if (pattern.find_first_of("_\\") != std::string::npos) return std::nullopt;
  std::size_t begin = pattern.find('%');
  if (begin == std::string::npos) return std::nullopt;
  parts.first = pattern.substr(0, begin);
  while (true) {
    const std::size_t end = pattern.find('%', ++begin);
    if (end == std::string::npos) break;
    if (end > begin)
      parts.inside.emplace_back(std::string_view(pattern).substr(begin, end - begin));
    begin = end;
  }
  parts.last = pattern.substr(begin);
  if (parts.inside.empty() && (parts.first.empty() || parts.last.empty())) return std::nullopt;
  return parts;
}

bool Matches(const Parts& parts, std::string_view text) {
  if (text.size() < parts.first.size() + parts.last.size()) return false;
  if (!text.starts_with(parts.first) || !text.ends_with(parts.last)) return false;
  const char* at = text.data() + parts.first.size();
  const char* const end = text.data() + text.size() - parts.last.size();
  for (const Part& part : parts.inside) {
    at = part.FindEnd(at, end);
    if (at == nullptr) return false;
  }
  return true;
}

template <class Array>
Result<std::optional<arrow::Datum>> MatchAll(const Parts& parts, const arrow::Array& array,
                                             arrow::MemoryPool* pool) {
  const auto& texts = static_cast<const Array&>(array);
  const std::int64_t rows = texts.length();
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> bits,
                        arrow::AllocateEmptyBitmap(rows, pool));
  std::uint8_t* out = bits->mutable_data();
  for (std::int64_t i = 0; i < rows; ++i) {
    if (Matches(parts, texts.GetView(i))) arrow::bit_util::SetBit(out, i);
  }
  std::shared_ptr<arrow::Buffer> validity;
  if (texts.null_count() > 0) {
    ARROW_ASSIGN_OR_RAISE(validity, arrow::internal::CopyBitmap(pool, texts.null_bitmap_data(),
                                                                texts.offset(), rows));
  }
  return arrow::Datum(
      arrow::ArrayData::Make(arrow::boolean(), rows, {std::move(validity), std::move(bits)}));
}

}  // namespace

bool IsTextMatch(const std::string& function) {
  return function == "match_like" || function == "match_substring";
}

Result<std::optional<arrow::Datum>> MatchText(const std::string& function,
                                              const arrow::Datum& texts,
                                              const cp::FunctionOptions* options,
                                              arrow::MemoryPool* pool) {
  const auto* match = dynamic_cast<const cp::MatchSubstringOptions*>(options);
  if (match == nullptr || match->ignore_case || !texts.is_array()) return std::nullopt;
  const auto parts = PartsOf(function, match->pattern);
  if (!parts) return std::nullopt;
  const auto array = texts.make_array();
  switch (array->type_id()) {
    case arrow::Type::STRING:
      return MatchAll<arrow::StringArray>(*parts, *array, pool);
    case arrow::Type::LARGE_STRING:
      return MatchAll<arrow::LargeStringArray>(*parts, *array, pool);
    case arrow::Type::BINARY:
      return MatchAll<arrow::BinaryArray>(*parts, *array, pool);
    case arrow::Type::LARGE_BINARY:
      return MatchAll<arrow::LargeBinaryArray>(*parts, *array, pool);
    default:
      return std::nullopt;
  }
}

}  // namespace headrace
