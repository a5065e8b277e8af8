#include "headrace/data/consume/commit.h"

#include <arrow/array.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <set>
#include <utility>

namespace headrace {

namespace fs = arrow::fs;

namespace {

struct Move {
  std::string from;
  std::string to;
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

}  // namespace

std::string TemporaryDirectory(const std::string& directory, const std::string& run_id) {
  return directory + "/.headrace-" + run_id;
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
                   const std::string& run_id, const std::vector<Block>& results, WriteMode mode) {
  ARROW_ASSIGN_OR_RAISE(auto moves, MovesOf(results));
  std::vector<fs::FileInfo> old;
  if (mode == WriteMode::kOverwrite) {
    ARROW_ASSIGN_OR_RAISE(old, ListBelow(file_system, directory));
  }
  std::set<std::string> parents;
  std::set<std::string> standing;
  for (const Move& move : moves) {
    ARROW_RETURN_NOT_OK(MoveFile(file_system, move, &parents));
    standing.insert(move.to);
  }
  for (const fs::FileInfo& info : old) {
    if (info.IsFile() && !standing.contains(info.path())) {
      ARROW_RETURN_NOT_OK(file_system->DeleteFile(info.path()));
    }
  }
  // Old subdirectories go where nothing new is in them, the deepest first.
  for (auto info = old.rbegin(); info != old.rend(); ++info) {
    if (!info->IsDirectory()) continue;
    fs::FileSelector selector;
    selector.base_dir = info->path();
    selector.allow_not_found = true;
    ARROW_ASSIGN_OR_RAISE(auto below, file_system->GetFileInfo(selector));
    if (below.empty()) (void)file_system->DeleteDir(info->path());
  }
  return AbortWrite(file_system, directory, run_id);
}

Status AbortWrite(fs::FileSystem* file_system, const std::string& directory,
                  const std::string& run_id) {
  const std::string temporary = TemporaryDirectory(directory, run_id);
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(temporary));
  if (info.type() == fs::FileType::NotFound) return Status::OK();
  return file_system->DeleteDir(temporary);
}

}  // namespace headrace
