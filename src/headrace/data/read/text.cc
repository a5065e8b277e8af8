#include <arrow/array.h>
#include <arrow/array/builder_binary.h>
#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/utf8.h>
#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "headrace/data/read/files.h"
#include "headrace/data/read/options.h"
#include "headrace/data/read/readers.h"
#include "headrace/data/transform/step.h"

// Text, one unit a file: column "text", a row per line, without its end. Lines end as those of
// Python's str.splitlines() do: by "\n", "\r\n" and "\r", and by the rarer U+000B, U+000C, U+001C
// to U+001E, U+0085, U+2028 and U+2029.
//
// Options: encoding (default "utf-8"; others as iconv knows them, read as a whole file), and
// drop_empty_lines (default true: lines of white space only vanish); compression, see
// data/read/files.h.

namespace headrace {

namespace {

// Pieces grow from the first to the last size, so that a small file costs little memory.
constexpr std::size_t kFirstPieceBytes = 16 << 10;
constexpr std::size_t kReadBytes = 4 << 20;

bool IsUtf8(std::string encoding) {
  std::erase_if(encoding, [](char c) { return c == '-' || c == '_'; });
  std::transform(encoding.begin(), encoding.end(), encoding.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return encoding == "utf8" || encoding == "ascii" || encoding == "usascii";
}

// Of this code, so that it becomes Python's UnicodeDecodeError.
Status NotText(std::int64_t at, const std::string& encoding) {
  return Status::SerializationError("the bytes at ", at, " are not text in encoding '", encoding,
                                    "'; say encoding=, or use read_binary_files");
}

Result<std::string> ToUtf8(const arrow::Buffer& bytes, const std::string& encoding) {
  iconv_t converter = iconv_open("UTF-8", encoding.c_str());
  if (converter == reinterpret_cast<iconv_t>(-1)) {
    return Status::Invalid("unknown encoding '", encoding, "'");
  }
  std::string text;
  auto* in = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
  auto in_left = static_cast<std::size_t>(bytes.size());
  std::string piece(1 << 16, '\0');
  bool failed = false;
  while (in_left > 0 && !failed) {
    char* out = piece.data();
    std::size_t out_left = piece.size();
    failed = iconv(converter, &in, &in_left, &out, &out_left) == static_cast<std::size_t>(-1) &&
             errno != E2BIG;
    text.append(piece.data(), piece.size() - out_left);
  }
  iconv_close(converter);
  if (failed) {
    return NotText(bytes.size() - static_cast<std::int64_t>(in_left), encoding);
  }
  return text;
}

// Requires: `text` is not UTF-8. Prefixes cut inside a character are not either: goes by lines
// first.
std::int64_t FirstNonUtf8(std::string_view text) {
  std::size_t line = 0;
  while (true) {
    const std::size_t end = std::min(text.find('\n', line), text.size() - 1) + 1;
    if (!arrow::util::ValidateUTF8(text.substr(line, end - line))) break;
    line = end;
  }
  std::size_t at = line;
  for (std::size_t size = 1; at + size <= text.size();) {
    if (arrow::util::ValidateUTF8(text.substr(at, size))) {
      at += size;
      size = 1;
    } else if (++size > 4) {
      break;
    }
  }
  return static_cast<std::int64_t>(at);
}

// The bytes with which ends of lines begin; those above 0x7f begin others, too.
constexpr std::array<bool, 256> kMayEndLine = [] {
  std::array<bool, 256> may{};
  for (const int byte : {0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0xc2, 0xe2}) may[byte] = true;
  return may;
}();

// The bytes of the end of a line with which `text`, not empty, begins; 0 if with none.
std::size_t LineEndSize(std::string_view text) {
  if (text.front() == '\r') return text.starts_with("\r\n") ? 2 : 1;
  if (text.front() == '\xc2') return text.starts_with("\xc2\x85") ? 2 : 0;
  if (text.front() != '\xe2') return 1;
  return text.starts_with("\xe2\x80\xa8") || text.starts_with("\xe2\x80\xa9") ? 3 : 0;
}

// White space beyond ASCII (Unicode's property), without the ends of lines.
constexpr std::string_view kWideSpaces[] = {
    "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005",
    "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u202f", "\u205f", "\u3000"};

bool IsBlank(std::string_view line) {
  while (!line.empty()) {
    const auto byte = static_cast<unsigned char>(line.front());
    if (byte == ' ' || byte == '\t' || byte == 0x1f) {
      line.remove_prefix(1);
      continue;
    }
    if (byte < 0x80) return false;
    const auto* space =
        std::find_if(std::begin(kWideSpaces), std::end(kWideSpaces),
                     [&](std::string_view space) { return line.starts_with(space); });
    if (space == std::end(kWideSpaces)) return false;
    line.remove_prefix(space->size());
  }
  return true;
}

class TextStream : public BatchStream {
 public:
  TextStream(std::shared_ptr<arrow::io::InputStream> input, bool drop_empty_lines,
             arrow::MemoryPool* pool)
      : input_(std::move(input)), drop_empty_lines_(drop_empty_lines), lines_(pool) {
    arrow::util::InitializeUTF8();
  }

  /// Reads from `text` instead, which is all there is.
  TextStream(std::string text, bool drop_empty_lines, arrow::MemoryPool* pool)
      : drop_empty_lines_(drop_empty_lines), rest_(std::move(text)), lines_(pool) {
    arrow::util::InitializeUTF8();
  }

  Result<std::optional<Batch>> Next() override {
    if (ended_) return std::nullopt;
    bool more = input_ != nullptr;
    while (more) {
      const std::size_t size = rest_.size();
      rest_.resize(size + piece_bytes_);
      ARROW_ASSIGN_OR_RAISE(
          const std::int64_t read,
          input_->Read(static_cast<std::int64_t>(piece_bytes_), rest_.data() + size));
      rest_.resize(size + static_cast<std::size_t>(read));
      piece_bytes_ = std::min(piece_bytes_ * 4, kReadBytes);
      more = read > 0;
      if (more && memrchr(rest_.data() + size, '\n', static_cast<std::size_t>(read))) break;
    }
    std::string_view text = rest_;
    ended_ = !more;
    if (!ended_) text = text.substr(0, text.rfind('\n') + 1);
    ARROW_RETURN_NOT_OK(Split(text));
    rest_.erase(0, text.size());
    ARROW_ASSIGN_OR_RAISE(auto array, lines_.Finish());
    static const auto schema = arrow::schema({arrow::field("text", arrow::utf8())});
    return Batch{Block(arrow::Table::Make(schema, {std::move(array)}), -1), {}, nullptr};
  }

 private:
  // What stands behind the last end of a line is a line too, unless it is empty.
  Status Split(std::string_view text) {
    if (!arrow::util::ValidateUTF8(text)) return NotText(begin_ + FirstNonUtf8(text), "utf-8");
    begin_ += static_cast<std::int64_t>(text.size());
    std::size_t line = 0;
    for (std::size_t i = 0; i < text.size();) {
      const bool may_end = kMayEndLine[static_cast<unsigned char>(text[i])];
      const std::size_t end = may_end ? LineEndSize(text.substr(i)) : 0;
      if (end > 0) {
        ARROW_RETURN_NOT_OK(Append(text.substr(line, i - line)));
        line = i + end;
      }
      i += std::max<std::size_t>(end, 1);
    }
    return line < text.size() ? Append(text.substr(line)) : Status::OK();
  }

  Status Append(std::string_view line) {
    if (drop_empty_lines_ && IsBlank(line)) return Status::OK();
    return lines_.Append(line);
  }

  const std::shared_ptr<arrow::io::InputStream> input_;
  const bool drop_empty_lines_;
  std::string rest_;
  std::int64_t begin_ = 0;  // Where the rest begins in the file.
  std::size_t piece_bytes_ = kFirstPieceBytes;
  arrow::StringBuilder lines_;
  bool ended_ = false;
};

class TextReaderImpl : public Reader {
 public:
  Result<StreamPtr> Open(const ReadStep& step, const ReadUnit& unit,
                         const TaskContext& context) const override {
    arrow::MemoryPool* pool = context.pool ? context.pool : arrow::default_memory_pool();
    const bool drop = GetBool(step.source->options, "drop_empty_lines", true);
    const std::string encoding = GetString(step.source->options, "encoding", "utf-8");
    if (IsUtf8(encoding)) {
      ARROW_ASSIGN_OR_RAISE(auto input, OpenStream(*step.source, unit.path, context));
      return std::make_unique<TextStream>(std::move(input), drop, pool);
    }
    ARROW_ASSIGN_OR_RAISE(auto bytes, ReadWholeFile(*step.source, unit.path, true, context));
    ARROW_ASSIGN_OR_RAISE(std::string text, ToUtf8(*bytes, encoding));
    return std::make_unique<TextStream>(std::move(text), drop, pool);
  }
};

}  // namespace

const Reader& TextReader() {
  static const TextReaderImpl reader;
  return reader;
}

}  // namespace headrace
