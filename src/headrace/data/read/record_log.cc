#include "headrace/data/read/record_log.h"

#include <arrow/util/io_util.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

namespace headrace {
namespace {

constexpr std::string_view kName = "headrace-records";
constexpr std::string_view kVersion = "1";
constexpr std::size_t kChecksumDigits = 8;

constexpr std::array<std::uint32_t, 256> MakeTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}

std::string Checksum(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = MakeTable();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU];
  }
  char text[kChecksumDigits + 1];
  std::snprintf(text, sizeof text, "%08x", crc ^ 0xFFFFFFFFU);
  return text;
}

void AppendLine(const LogRecord& record, std::string* out) {
  std::string line;
  for (const std::string& field : record) {
    for (const char c : field) {
      if (c == '\\') {
        line += "\\\\";
      } else if (c == '\t') {
        line += "\\t";
      } else if (c == '\n') {
        line += "\\n";
      } else {
        line += c;
      }
    }
    line += '\t';
  }
  *out += line + Checksum(line) + "\n";
}

// Returns nothing if the line is not what AppendLine() wrote.
std::optional<LogRecord> ParseLine(std::string_view line) {
  if (line.size() < kChecksumDigits + 1) return std::nullopt;
  const std::string_view body = line.substr(0, line.size() - kChecksumDigits);
  if (line.substr(body.size()) != Checksum(body)) return std::nullopt;
  LogRecord record;
  std::string field;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\t') {
      record.push_back(std::exchange(field, {}));
    } else if (body[i] == '\\' && i + 1 < body.size()) {
      const char escaped = body[++i];
      field += escaped == 't' ? '\t' : escaped == 'n' ? '\n' : escaped;
    } else {
      field += body[i];
    }
  }
  return record;
}

Status Failed(const std::string& what, const std::string& path) {
  return arrow::internal::IOErrorFromErrno(errno, "cannot ", what, " '", path, "'");
}

Status WriteAll(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return Status::OK();
}

Result<std::string> ReadAll(int descriptor, const std::string& path) {
  std::string bytes;
  std::array<char, 1 << 16> part{};
  while (true) {
    const ssize_t size = ::read(descriptor, part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Failed("read", path);
    if (size == 0) return bytes;
    bytes.append(part.data(), static_cast<std::size_t>(size));
  }
}

Status SyncParent(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int descriptor = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return Failed("open", parent);
  const bool synced = ::fsync(descriptor) == 0;
  ::close(descriptor);
  return synced ? Status::OK() : Failed("write", parent);
}

}  // namespace

std::string EncodeRecordLog(const std::vector<LogRecord>& records) {
  std::string bytes;
  AppendLine({std::string(kName), std::string(kVersion)}, &bytes);
  for (const LogRecord& record : records) AppendLine(record, &bytes);
  return bytes;
}

Result<RecordLogContents> ParseRecordLog(std::string_view bytes) {
  RecordLogContents contents;
  std::int64_t number = 0;
  while (!bytes.empty()) {
    ++number;
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;  // Torn.
    std::optional<LogRecord> record = ParseLine(bytes.substr(0, end));
    if (number == 1) {
      if (!bytes.starts_with(kName)) return Status::Invalid("not a file of records");
      if (!record || record->size() != 2) return Status::Invalid("line 1 is damaged");
      if ((*record)[1] != kVersion) {
        return Status::Invalid("written by another version of headrace: the file has version ",
                               (*record)[1], ", this is version ", kVersion);
      }
    } else if (!record) {
      if (end + 1 == bytes.size()) break;  // Torn: its blocks reached the disk in another order.
      return Status::Invalid("line ", number, " is damaged");
    } else {
      contents.records.push_back(*std::move(record));
    }
    bytes.remove_prefix(end + 1);
    contents.num_bytes += static_cast<std::int64_t>(end) + 1;
  }
  if (contents.num_bytes == 0) return Status::Invalid("not a file of records");
  return contents;
}

Result<std::unique_ptr<RecordLog>> RecordLog::Create(const std::string& path,
                                                     const std::vector<LogRecord>& records) {
  const std::string bytes = EncodeRecordLog(records);
  const std::string made = path + ".new";
  const int descriptor =
      ::open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) return Failed("create", made);
  std::unique_ptr<RecordLog> log(new RecordLog(path, descriptor));
  ARROW_RETURN_NOT_OK(WriteAll(descriptor, bytes, made));
  if (::fsync(descriptor) != 0) return Failed("write", made);
  if (::rename(made.c_str(), path.c_str()) != 0) return Failed("create", path);
  ARROW_RETURN_NOT_OK(SyncParent(path));
  return log;
}

Result<std::unique_ptr<RecordLog>> RecordLog::Open(const std::string& path,
                                                   RecordLogContents* contents) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  if (descriptor < 0) return Failed("open", path);
  std::unique_ptr<RecordLog> log(new RecordLog(path, descriptor));
  ARROW_ASSIGN_OR_RAISE(const std::string bytes, ReadAll(descriptor, path));
  Result<RecordLogContents> parsed = ParseRecordLog(bytes);
  if (!parsed.ok()) {
    return parsed.status().WithMessage("'", path, "': ", parsed.status().message());
  }
  *contents = *std::move(parsed);
  if (::ftruncate(descriptor, contents->num_bytes) != 0) return Failed("write", path);
  return log;
}

RecordLog::~RecordLog() { ::close(descriptor_); }

Status RecordLog::Append(const std::vector<LogRecord>& records) {
  std::string bytes;
  for (const LogRecord& record : records) AppendLine(record, &bytes);
  return WriteAll(descriptor_, bytes, path_);
}

Status RecordLog::Sync() {
  return ::fsync(descriptor_) == 0 ? Status::OK() : Failed("write", path_);
}

}  // namespace headrace
