#include "headrace/data/read/commit_list.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>

#include <utility>

#include "headrace/data/read/record_log.h"

namespace headrace {

namespace fs = arrow::fs;

namespace {

// Paths below `directory` begin with kBelow, others stay as they are.
constexpr std::string_view kBelow = "./";

std::string Relative(const std::string& path, const std::string& directory) {
  if (!path.starts_with(directory + "/")) return path;
  return std::string(kBelow) + path.substr(directory.size() + 1);
}

std::string Absolute(const std::string& path, const std::string& directory) {
  return path.starts_with(kBelow) ? directory + "/" + path.substr(kBelow.size()) : path;
}

}  // namespace

std::string EncodeCommitList(const CommitList& list, const std::string& directory) {
  std::vector<LogRecord> records;
  for (const FileMove& move : list.moves) {
    records.push_back({"move", Relative(move.from, directory), Relative(move.to, directory)});
  }
  for (const std::string& path : list.old_files) {
    records.push_back({"remove", Relative(path, directory)});
  }
  records.push_back({"end"});
  return EncodeRecordLog(records);
}

Result<std::optional<CommitList>> ReadCommitList(fs::FileSystem* file_system,
                                                 const std::string& temporary) {
  // In this order: a driver that lives may rename the one to the other meanwhile.
  CommitList list;
  std::string path = temporary + "/" + kCommitName;
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(path));
  if (!info.IsFile()) {
    list.moved = true;
    path = temporary + "/" + kCommittedName;
    ARROW_ASSIGN_OR_RAISE(info, file_system->GetFileInfo(path));
    if (!info.IsFile()) return std::nullopt;
  }
  ARROW_ASSIGN_OR_RAISE(auto file, file_system->OpenInputFile(path));
  ARROW_ASSIGN_OR_RAISE(const std::int64_t size, file->GetSize());
  ARROW_ASSIGN_OR_RAISE(auto bytes, file->ReadAt(0, size));
  ARROW_ASSIGN_OR_RAISE(auto contents, ParseRecordLog(bytes->ToString()));
  const std::string directory = temporary.substr(0, temporary.rfind('/'));
  bool ended = false;
  for (const LogRecord& record : contents.records) {
    if (record.size() == 3 && record[0] == "move") {
      list.moves.push_back({Absolute(record[1], directory), Absolute(record[2], directory)});
    } else if (record.size() == 2 && record[0] == "remove") {
      list.old_files.push_back(Absolute(record[1], directory));
    } else if (record.size() == 1 && record[0] == "end") {
      ended = true;
    } else {
      return Status::Invalid("the list of a commit in ", temporary, " is damaged");
    }
  }
  if (!ended && !list.moved) return std::nullopt;  // The machine stopped before it was written.
  if (!ended) return Status::Invalid("the list of a commit in ", temporary, " is cut off");
  return list;
}

Result<std::optional<std::set<std::string>>> HiddenByCommits(
    fs::FileSystem* file_system, const std::vector<fs::FileInfo>& infos) {
  std::set<std::string> hidden;
  for (const fs::FileInfo& info : infos) {
    if (!info.IsDirectory() || !info.base_name().starts_with(kTemporaryPrefix)) continue;
    auto begun = ReadCommitList(file_system, info.path());
    if (!begun.ok()) begun = ReadCommitList(file_system, info.path());  // It was just renamed.
    ARROW_ASSIGN_OR_RAISE(const auto now, file_system->GetFileInfo(info.path()));
    if (!now.IsDirectory()) return std::nullopt;
    ARROW_RETURN_NOT_OK(begun.status());
    if (!*begun) continue;
    if ((*begun)->moved) {
      hidden.insert((*begun)->old_files.begin(), (*begun)->old_files.end());
    } else {
      for (FileMove& move : (*begun)->moves) hidden.insert(std::move(move.to));
    }
  }
  return hidden;
}

}  // namespace headrace
