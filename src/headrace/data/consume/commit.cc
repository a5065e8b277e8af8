#include "headrace/data/consume/commit.h"

#include <arrow/array.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "headrace/data/consume/owner.h"
#include "headrace/data/consume/record_log.h"

namespace headrace {

namespace fs = arrow::fs;

namespace {

constexpr std::string_view kPrefix = ".headrace-";
constexpr const char* kCommit = "/commit";
constexpr const char* kCommitted = "/committed";

struct Move {
  std::string from;
  std::string to;
};

// What a commit does: the list that outlives its driver.
struct Commit {
  std::vector<Move> moves;
  std::vector<std::string> old_files;
};

Result<std::vector<Move>> MovesOf(const std::vector<Block>& results) {
  std::vector<Move> moves;
  for (const Block& block : results) {
    const auto& table = block.table();
    const auto to = table->GetColumnByName("path");
    const auto from = table->GetColumnByName("temporary_path");
    if (!to || !from) return Status::Invalid("not the results of a write: no path columns");
    for (std::int64_t row = 0; row < table->num_rows(); ++row) {
      ARROW_ASSIGN_OR_RAISE(auto to_path, to->GetScalar(row));
      ARROW_ASSIGN_OR_RAISE(auto from_path, from->GetScalar(row));
      moves.push_back({from_path->ToString(), to_path->ToString()});
    }
  }
  return moves;
}

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// Returns what is below `directory`, without temporary files of any run.
Result<std::vector<fs::FileInfo>> ListBelow(fs::FileSystem* file_system,
                                            const std::string& directory) {
  fs::FileSelector selector;
  selector.base_dir = directory;
  selector.recursive = true;
  selector.allow_not_found = true;
  ARROW_ASSIGN_OR_RAISE(auto infos, file_system->GetFileInfo(selector));
  std::erase_if(infos, [&](const fs::FileInfo& info) {
    return info.path().find("/.headrace-", ParentOf(directory).size()) != std::string::npos;
  });
  return infos;
}

Status MoveFile(fs::FileSystem* file_system, const Move& move, std::set<std::string>* parents) {
  const std::string parent = ParentOf(move.to);
  if (parents->insert(parent).second) {
    ARROW_RETURN_NOT_OK(file_system->CreateDir(parent, /*recursive=*/true));
  }
  const Status moved = file_system->Move(move.from, move.to);
  if (moved.ok()) return moved;
  // An earlier commit of the same run may have got this far.
  ARROW_ASSIGN_OR_RAISE(auto from, file_system->GetFileInfo(move.from));
  ARROW_ASSIGN_OR_RAISE(auto to, file_system->GetFileInfo(move.to));
  return from.type() == fs::FileType::NotFound && to.IsFile() ? Status::OK() : moved;
}

std::string ToText(const Commit& commit) {
  std::vector<LogRecord> records;
  for (const Move& move : commit.moves) records.push_back({"move", move.from, move.to});
  for (const std::string& path : commit.old_files) records.push_back({"remove", path});
  return EncodeRecordLog(records);
}

// Writes the list beside its place first, so that it is whole there or not at all.
Status WriteCommit(fs::FileSystem* file_system, const std::string& temporary,
                   const Commit& commit) {
  ARROW_RETURN_NOT_OK(file_system->CreateDir(temporary, /*recursive=*/true));
  const std::string path = temporary + kCommit;
  ARROW_ASSIGN_OR_RAISE(auto file, file_system->OpenOutputStream(path + ".new"));
  ARROW_RETURN_NOT_OK(file->Write(ToText(commit)));
  ARROW_RETURN_NOT_OK(file->Close());
  return file_system->Move(path + ".new", path);
}

struct ReadCommitResult {
  Commit commit;
  bool moved = false;  // All files stand under their names.
};

// Returns the list in a temporary directory, or nothing if there is none.
Result<std::optional<ReadCommitResult>> ReadCommit(fs::FileSystem* file_system,
                                                   const std::string& temporary) {
  // In this order: a driver that lives may rename the one to the other meanwhile.
  ReadCommitResult result;
  std::string path = temporary + kCommit;
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(path));
  if (!info.IsFile()) {
    result.moved = true;
    path = temporary + kCommitted;
    ARROW_ASSIGN_OR_RAISE(info, file_system->GetFileInfo(path));
    if (!info.IsFile()) return std::nullopt;
  }
  ARROW_ASSIGN_OR_RAISE(auto file, file_system->OpenInputFile(path));
  ARROW_ASSIGN_OR_RAISE(const std::int64_t size, file->GetSize());
  ARROW_ASSIGN_OR_RAISE(auto bytes, file->ReadAt(0, size));
  ARROW_ASSIGN_OR_RAISE(auto contents, ParseRecordLog(bytes->ToString()));
  for (LogRecord& record : contents.records) {
    if (record.size() == 3 && record[0] == "move") {
      result.commit.moves.push_back({std::move(record[1]), std::move(record[2])});
    } else if (record.size() == 2 && record[0] == "remove") {
      result.commit.old_files.push_back(std::move(record[1]));
    } else {
      return Status::Invalid("the list of a commit in ", temporary, " is damaged");
    }
  }
  return result;
}

// Removes directories that nothing is in any more, the deepest first.
Status RemoveEmpty(fs::FileSystem* file_system, const std::string& directory) {
  ARROW_ASSIGN_OR_RAISE(auto infos, ListBelow(file_system, directory));
  std::sort(infos.begin(), infos.end(), fs::FileInfo::ByPath{});
  for (auto info = infos.rbegin(); info != infos.rend(); ++info) {
    if (!info->IsDirectory()) continue;
    fs::FileSelector selector;
    selector.base_dir = info->path();
    selector.allow_not_found = true;
    ARROW_ASSIGN_OR_RAISE(auto below, file_system->GetFileInfo(selector));
    if (below.empty()) (void)file_system->DeleteDir(info->path());
  }
  return Status::OK();
}

Status RemoveFile(fs::FileSystem* file_system, const std::string& path) {
  const Status removed = file_system->DeleteFile(path);
  if (removed.ok()) return removed;
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(path));
  return info.type() == fs::FileType::NotFound ? Status::OK() : removed;
}

// Puts back what was moved, and forgets the list.
Status Undo(fs::FileSystem* file_system, const std::string& temporary, const Commit& commit) {
  for (const Move& move : commit.moves) {
    ARROW_ASSIGN_OR_RAISE(const auto from, file_system->GetFileInfo(move.from));
    if (from.IsFile()) continue;
    ARROW_RETURN_NOT_OK(file_system->Move(move.to, move.from));
  }
  return file_system->DeleteFile(temporary + kCommit);
}

Status MoveAll(fs::FileSystem* file_system, const std::vector<Move>& moves) {
  std::set<std::string> parents;
  for (const Move& move : moves) ARROW_RETURN_NOT_OK(MoveFile(file_system, move, &parents));
  return Status::OK();
}

// Does what the list in `temporary` says, from wherever an earlier driver came to.
Status Perform(fs::FileSystem* file_system, const std::string& directory,
               const std::string& temporary, const Commit& commit, bool moved) {
  if (!moved) {
    if (const Status status = MoveAll(file_system, commit.moves); !status.ok()) {
      // Where that fails too, the list stays and says what is to be read.
      (void)Undo(file_system, temporary, commit);
      return status;
    }
    ARROW_RETURN_NOT_OK(file_system->Move(temporary + kCommit, temporary + kCommitted));
  }
  for (const std::string& path : commit.old_files) {
    ARROW_RETURN_NOT_OK(RemoveFile(file_system, path));
  }
  if (!commit.old_files.empty()) ARROW_RETURN_NOT_OK(RemoveEmpty(file_system, directory));
  return file_system->DeleteDir(temporary);
}

std::string_view NameOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string TemporaryDirectory(const std::string& directory, const std::string& temporary) {
  return directory + "/" + std::string(kPrefix) + temporary;
}

const std::shared_ptr<arrow::Schema>& WriteResultSchema() {
  static const auto schema = arrow::schema(
      {arrow::field("path", arrow::utf8()), arrow::field("temporary_path", arrow::utf8()),
       arrow::field("num_rows", arrow::int64()), arrow::field("num_bytes", arrow::int64())});
  return schema;
}

Result<bool> PrepareWrite(fs::FileSystem* file_system, const std::string& directory,
                          WriteMode mode) {
  if (mode == WriteMode::kAppend || mode == WriteMode::kOverwrite) return true;
  ARROW_ASSIGN_OR_RAISE(auto infos, ListBelow(file_system, directory));
  for (const fs::FileInfo& info : infos) {
    if (!info.IsFile()) continue;
    if (mode == WriteMode::kIgnore) return false;
    return Status::AlreadyExists("there are files in ", directory, " already, such as ",
                                 info.path());
  }
  return true;
}

Status CommitWrite(fs::FileSystem* file_system, const std::string& directory,
                   const std::string& temporary_name, const std::vector<Block>& results,
                   WriteMode mode) {
  const std::string temporary = TemporaryDirectory(directory, temporary_name);
  Commit commit;
  ARROW_ASSIGN_OR_RAISE(commit.moves, MovesOf(results));
  if (mode == WriteMode::kOverwrite) {
    std::set<std::string> standing;
    for (const Move& move : commit.moves) standing.insert(move.to);
    ARROW_ASSIGN_OR_RAISE(const auto infos, ListBelow(file_system, directory));
    for (const fs::FileInfo& info : infos) {
      if (info.IsFile() && !standing.contains(info.path())) {
        commit.old_files.push_back(info.path());
      }
    }
  }
  if (commit.moves.empty() && commit.old_files.empty()) {
    return AbortWrite(file_system, directory, temporary_name);
  }
  ARROW_RETURN_NOT_OK(WriteCommit(file_system, temporary, commit));
  return Perform(file_system, directory, temporary, commit, /*moved=*/false);
}

Result<bool> FinishCommit(fs::FileSystem* file_system, const std::string& directory,
                          const std::string& temporary_name) {
  const std::string temporary = TemporaryDirectory(directory, temporary_name);
  ARROW_ASSIGN_OR_RAISE(const auto begun, ReadCommit(file_system, temporary));
  if (!begun) return false;
  ARROW_RETURN_NOT_OK(Perform(file_system, directory, temporary, begun->commit, begun->moved));
  return true;
}

Status AbortWrite(fs::FileSystem* file_system, const std::string& directory,
                  const std::string& temporary_name) {
  const std::string temporary = TemporaryDirectory(directory, temporary_name);
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(temporary));
  if (info.type() == fs::FileType::NotFound) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(const auto begun, ReadCommit(file_system, temporary));
  if (begun) {
    return Status::IOError("the commit in ", directory,
                           " has begun: the next write to it, or the checkpoint's, will end it");
  }
  return file_system->DeleteDir(temporary);
}

Status RecoverWrites(fs::FileSystem* file_system, const std::string& directory) {
  fs::FileSelector selector;
  selector.base_dir = directory;
  selector.allow_not_found = true;
  ARROW_ASSIGN_OR_RAISE(const auto infos, file_system->GetFileInfo(selector));
  bool any = false;
  for (const fs::FileInfo& info : infos) {
    const std::string_view name = NameOf(info.path());
    if (!info.IsDirectory() || !name.starts_with(kPrefix) || !OwnerIsGone(name)) continue;
    any = true;
    ARROW_ASSIGN_OR_RAISE(const auto begun, ReadCommit(file_system, info.path()));
    if (begun) {
      ARROW_RETURN_NOT_OK(
          Perform(file_system, directory, info.path(), begun->commit, begun->moved));
    } else {
      // Another user's may not be ours to remove; they do no harm.
      (void)file_system->DeleteDir(info.path());
    }
  }
  if (!any) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(const auto left, file_system->GetFileInfo(selector));
  return left.empty() ? file_system->DeleteDir(directory) : Status::OK();
}

Result<std::optional<std::set<std::string>>> HiddenByCommits(
    fs::FileSystem* file_system, const std::vector<fs::FileInfo>& infos) {
  std::set<std::string> hidden;
  for (const fs::FileInfo& info : infos) {
    if (!info.IsDirectory() || !NameOf(info.path()).starts_with(kPrefix)) continue;
    auto begun = ReadCommit(file_system, info.path());
    if (!begun.ok()) begun = ReadCommit(file_system, info.path());  // It was renamed meanwhile.
    ARROW_ASSIGN_OR_RAISE(const auto now, file_system->GetFileInfo(info.path()));
    if (!now.IsDirectory()) return std::nullopt;
    ARROW_RETURN_NOT_OK(begun.status());
    if (!*begun) continue;
    for (Move& move : (*begun)->commit.moves) {
      if (!(*begun)->moved) hidden.insert(std::move(move.to));
    }
    for (std::string& path : (*begun)->commit.old_files) {
      if ((*begun)->moved) hidden.insert(std::move(path));
    }
  }
  return hidden;
}

}  // namespace headrace
