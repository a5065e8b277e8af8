#include "headrace/data/consume/commit.h"

#include <arrow/array.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "headrace/data/consume/owner.h"
#include "headrace/data/read/commit_list.h"

namespace headrace {

namespace fs = arrow::fs;

namespace {

// Returns what is to be moved, as the tasks say.
Result<std::vector<FileMove>> MovesOf(const std::vector<Block>& results) {
  std::vector<FileMove> moves;
  for (const Block& block : results) {
    const auto& table = block.table();
    const auto to = table->GetColumnByName("path");
    const auto from = table->GetColumnByName("temporary_path");
    if (!to || !from) return Status::Invalid("not the results of a write: no path columns");
    for (std::int64_t row = 0; row < table->num_rows(); ++row) {
      ARROW_ASSIGN_OR_RAISE(auto to_path, to->GetScalar(row));
      ARROW_ASSIGN_OR_RAISE(auto from_path, from->GetScalar(row));
      moves.push_back({from_path->ToString(), to_path->ToString(), {}, {}});
    }
  }
  return moves;
}

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool IsLink(fs::FileSystem* file_system, const std::string& path) {
  std::error_code error;
  return file_system->type_name() == "local" && std::filesystem::is_symlink(path, error);
}

// Returns what is below `directory`, without temporary files of any run, and without what lies
// behind links to other directories: that is somebody else's.
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
  std::vector<std::string> links;
  for (const fs::FileInfo& info : infos) {
    if (info.IsDirectory() && IsLink(file_system, info.path())) links.push_back(info.path());
  }
  std::erase_if(infos, [&](const fs::FileInfo& info) {
    return std::any_of(links.begin(), links.end(), [&](const std::string& link) {
      return info.path() == link || info.path().starts_with(link + "/");
    });
  });
  return infos;
}

Result<bool> IsFile(fs::FileSystem* file_system, const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(const auto info, file_system->GetFileInfo(path));
  return info.IsFile();
}

// Notes what each file is, and which ones stand where others will: those go aside. A file that is
// at its place already was moved by an earlier commit of the run.
Status Look(fs::FileSystem* file_system, const std::string& temporary,
            std::vector<FileMove>* moves) {
  const bool keeps_times = file_system->type_name() == "local";
  for (std::size_t i = 0; i < moves->size(); ++i) {
    FileMove& move = (*moves)[i];
    ARROW_ASSIGN_OR_RAISE(const auto infos, file_system->GetFileInfo({move.from, move.to}));
    const bool moved = !infos[0].IsFile() && infos[1].IsFile();
    if (!moved && !infos[0].IsFile()) {
      return Status::IOError("a file that a task wrote is not there any more: ", move.from);
    }
    move.stamp = FileStamp::Of(infos[moved ? 1 : 0]);
    if (!keeps_times) move.stamp.changed = 0;  // Moved there by copying, most often.
    if (moved || !infos[1].IsFile()) continue;
    move.aside = temporary + "/aside/" + std::to_string(i);
  }
  return Status::OK();
}

Status MakeParent(fs::FileSystem* file_system, const std::string& path,
                  std::set<std::string>* made) {
  const std::string parent = ParentOf(path);
  if (!made->insert(parent).second) return Status::OK();
  return file_system->CreateDir(parent, /*recursive=*/true);
}

Status MoveFile(fs::FileSystem* file_system, const FileMove& move, std::set<std::string>* made) {
  ARROW_RETURN_NOT_OK(MakeParent(file_system, move.to, made));
  if (!move.aside.empty()) {
    ARROW_ASSIGN_OR_RAISE(const bool here, IsFile(file_system, move.from));
    ARROW_ASSIGN_OR_RAISE(const bool aside, IsFile(file_system, move.aside));
    if (here && !aside) {
      ARROW_RETURN_NOT_OK(MakeParent(file_system, move.aside, made));
      ARROW_RETURN_NOT_OK(file_system->Move(move.to, move.aside));
    }
  }
  const Status moved = file_system->Move(move.from, move.to);
  if (moved.ok()) return moved;
  // An earlier commit of the same run may have got this far.
  ARROW_ASSIGN_OR_RAISE(auto from, file_system->GetFileInfo(move.from));
  ARROW_ASSIGN_OR_RAISE(auto to, file_system->GetFileInfo(move.to));
  return from.type() == fs::FileType::NotFound && to.IsFile() ? Status::OK() : moved;
}

// Writes the list beside its place first, so that it is whole there or not at all.
Status WriteCommit(fs::FileSystem* file_system, const std::string& temporary,
                   const CommitList& list) {
  ARROW_RETURN_NOT_OK(file_system->CreateDir(temporary, /*recursive=*/true));
  const std::string path = temporary + "/" + kCommitName;
  ARROW_ASSIGN_OR_RAISE(auto file, file_system->OpenOutputStream(path + ".new"));
  ARROW_RETURN_NOT_OK(file->Write(EncodeCommitList(list, ParentOf(temporary))));
  ARROW_RETURN_NOT_OK(file->Close());
  return file_system->Move(path + ".new", path);
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

// Removes a file, unless another one stands there since.
Status RemoveFile(fs::FileSystem* file_system, const OldFile& old) {
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(old.path));
  if (!old.stamp.Fits(info)) return Status::OK();
  const Status removed = file_system->DeleteFile(old.path);
  if (removed.ok()) return removed;
  ARROW_ASSIGN_OR_RAISE(info, file_system->GetFileInfo(old.path));
  return info.type() == fs::FileType::NotFound ? Status::OK() : removed;
}

enum class Moved : std::uint8_t { kBack, kGone };

// Takes moved files back to where they were, or removes them where nobody will commit them again,
// and forgets the list. What was put in the place of a moved file since is somebody else's: it
// stays.
Status Undo(fs::FileSystem* file_system, const std::string& temporary, const CommitList& list,
            Moved moved) {
  std::set<std::string> made;
  for (const FileMove& move : list.moves) {
    ARROW_ASSIGN_OR_RAISE(const bool unmoved, IsFile(file_system, move.from));
    if (!unmoved) {
      ARROW_ASSIGN_OR_RAISE(const auto to, file_system->GetFileInfo(move.to));
      if (move.stamp.Fits(to) && moved == Moved::kGone) {
        ARROW_RETURN_NOT_OK(file_system->DeleteFile(move.to));
      } else if (move.stamp.Fits(to)) {
        ARROW_RETURN_NOT_OK(MakeParent(file_system, move.from, &made));
        ARROW_RETURN_NOT_OK(file_system->Move(move.to, move.from));
      }
    }
    if (move.aside.empty()) continue;
    ARROW_ASSIGN_OR_RAISE(const bool aside, IsFile(file_system, move.aside));
    ARROW_ASSIGN_OR_RAISE(const bool taken, IsFile(file_system, move.to));
    if (aside && !taken) ARROW_RETURN_NOT_OK(file_system->Move(move.aside, move.to));
  }
  return file_system->DeleteFile(temporary + "/" + kCommitName);
}

Status MoveAll(fs::FileSystem* file_system, const std::vector<FileMove>& moves) {
  std::set<std::string> made;
  for (const FileMove& move : moves) ARROW_RETURN_NOT_OK(MoveFile(file_system, move, &made));
  return Status::OK();
}

// Does what the list in `temporary` says, from wherever an earlier driver came to.
Status Perform(fs::FileSystem* file_system, const std::string& directory,
               const std::string& temporary, const CommitList& list) {
  if (!list.moved) {
    if (const Status status = MoveAll(file_system, list.moves); !status.ok()) {
      // Where that fails too, the list stays and says what is to be read.
      (void)Undo(file_system, temporary, list, Moved::kBack);
      return status;
    }
    ARROW_RETURN_NOT_OK(
        file_system->Move(temporary + "/" + kCommitName, temporary + "/" + kCommittedName));
  }
  for (const OldFile& old : list.old_files) ARROW_RETURN_NOT_OK(RemoveFile(file_system, old));
  if (!list.old_files.empty()) ARROW_RETURN_NOT_OK(RemoveEmpty(file_system, directory));
  return file_system->DeleteDir(temporary);
}

// What the names of directories begin with that are being removed.
constexpr std::string_view kGonePrefix = ".headrace-gone-";

// Removes the temporary directory of a dead driver. Its workers may live a moment longer: under
// another name they find it no more, and so put nothing into it while it is removed.
Status RemoveTemporary(fs::FileSystem* file_system, const std::string& temporary) {
  const std::string_view name = NameOf(temporary);
  if (file_system->type_name() != "local" || name.starts_with(kGonePrefix)) {
    return file_system->DeleteDir(temporary);
  }
  const std::string gone = ParentOf(temporary) + "/" + std::string(kGonePrefix) +
                           std::string(name.substr(std::string_view(kTemporaryPrefix).size()));
  ARROW_RETURN_NOT_OK(file_system->Move(temporary, gone));
  return file_system->DeleteDir(gone);
}

// Ends what a dead driver began: as if it had not been, or if all files stand, to the end.
Status EndCommit(fs::FileSystem* file_system, const std::string& directory,
                 const std::string& temporary) {
  ARROW_ASSIGN_OR_RAISE(const auto begun, ReadCommitList(file_system, temporary));
  if (begun && begun->moved) return Perform(file_system, directory, temporary, *begun);
  if (begun) {
    // Not back: into the directory of an earlier attempt of a checkpoint, which may be gone.
    ARROW_RETURN_NOT_OK(Undo(file_system, temporary, *begun, Moved::kGone));
  }
  return RemoveTemporary(file_system, temporary);
}

// Returns true if the directory is of a checkpoint of this place that was removed. Who sees other
// directories where the checkpoint was, such as in another container, cannot know that.
bool CheckpointIsGone(fs::FileSystem* file_system, const std::string& temporary) {
  const auto text = ReadText(file_system, temporary + "/checkpoint");
  if (!text.ok() || !text->ends_with("\n")) return false;
  std::istringstream lines(*text);
  std::string place, line;
  std::getline(lines, place);
  std::getline(lines, line);
  const std::filesystem::path mark = line;
  if (place != OwnerPlace() || !mark.is_absolute()) return false;
  for (std::filesystem::path path = mark; path != path.root_path();) {
    struct stat state = {};
    if (::stat(path.c_str(), &state) == 0) {
      if (path == mark) return false;  // No line tells of the mark itself.
      const std::string device = std::to_string(state.st_dev) + ":";
      if (line == device + std::to_string(state.st_ino)) return true;
      // Another directory of the same disk under the checkpoint's name: it was made again, if the
      // one above it is the same.
      if (path != mark.parent_path() || !line.starts_with(device)) return false;
    } else if (errno != ENOENT) {
      return false;
    }
    if (!std::getline(lines, line)) return false;
    path = path.parent_path();
  }
  return false;
}

// Cleans up after dead drivers that wrote to `directory`, or to directories below it; returns true
// if there were any.
Result<bool> Recover(fs::FileSystem* file_system, const std::string& directory, bool below) {
  fs::FileSelector selector;
  selector.base_dir = directory;
  selector.allow_not_found = true;
  selector.recursive = below;
  ARROW_ASSIGN_OR_RAISE(const auto infos, file_system->GetFileInfo(selector));
  bool any = false;
  for (const fs::FileInfo& info : infos) {
    const std::string_view name = NameOf(info.path());
    if (!info.IsDirectory() || !name.starts_with(kTemporaryPrefix)) continue;
    if (below == (PathBelow(info.path(), directory) == name)) continue;
    if (!name.starts_with(kGonePrefix) && !OwnerIsGone(name) &&
        !CheckpointIsGone(file_system, info.path())) {
      continue;
    }
    any = true;
    // What cannot be ended, such as another user's, stays and keeps nobody from writing: readers go
    // by its list.
    static_cast<void>(EndCommit(file_system, directory, info.path()));
  }
  return any;
}

}  // namespace

std::string TemporaryDirectory(const std::string& directory, const std::string& temporary) {
  return directory + "/" + kTemporaryPrefix + temporary;
}

const std::shared_ptr<arrow::Schema>& WriteResultSchema() {
  static const auto schema = arrow::schema(
      {arrow::field("path", arrow::utf8()), arrow::field("temporary_path", arrow::utf8()),
       arrow::field("num_rows", arrow::int64()), arrow::field("num_bytes", arrow::int64())});
  return schema;
}

Status CommitWrite(fs::FileSystem* file_system, const std::string& directory,
                   const std::string& temporary_name, const std::vector<Block>& results,
                   WriteMode mode) {
  const std::string temporary = TemporaryDirectory(directory, temporary_name);
  CommitList list;
  ARROW_ASSIGN_OR_RAISE(list.moves, MovesOf(results));
  ARROW_RETURN_NOT_OK(Look(file_system, temporary, &list.moves));
  if (mode == WriteMode::kOverwrite) {
    // Writes to directories below were others'; what they left goes with their files.
    ARROW_RETURN_NOT_OK(Recover(file_system, directory, /*below=*/true).status());
    std::set<std::string> standing;
    const auto name = [&](const std::string& path) {
      return PathBelow(path, directory).value_or(path);
    };
    for (const FileMove& move : list.moves) standing.insert(name(move.to));
    ARROW_ASSIGN_OR_RAISE(const auto infos, ListBelow(file_system, directory));
    for (const fs::FileInfo& info : infos) {
      if (info.IsFile() && !standing.contains(name(info.path()))) {
        list.old_files.push_back({info.path(), FileStamp::Of(info)});
      }
    }
  }
  if (list.moves.empty() && list.old_files.empty()) {
    return AbortWrite(file_system, directory, temporary_name);
  }
  ARROW_RETURN_NOT_OK(WriteCommit(file_system, temporary, list));
  return Perform(file_system, directory, temporary, list);
}

Result<bool> FinishCommit(fs::FileSystem* file_system, const std::string& directory,
                          const std::string& temporary_name) {
  const std::string temporary = TemporaryDirectory(directory, temporary_name);
  ARROW_ASSIGN_OR_RAISE(const auto begun, ReadCommitList(file_system, temporary));
  if (!begun) return false;
  ARROW_RETURN_NOT_OK(Perform(file_system, directory, temporary, *begun));
  return true;
}

Status AbortWrite(fs::FileSystem* file_system, const std::string& directory,
                  const std::string& temporary_name) {
  const std::string temporary = TemporaryDirectory(directory, temporary_name);
  ARROW_ASSIGN_OR_RAISE(auto info, file_system->GetFileInfo(temporary));
  if (info.type() == fs::FileType::NotFound) return Status::OK();
  ARROW_ASSIGN_OR_RAISE(const auto begun, ReadCommitList(file_system, temporary));
  if (begun) {
    return Status::IOError("the commit in ", directory,
                           " has begun: the next write to it, or the checkpoint's, will end it");
  }
  return file_system->DeleteDir(temporary);
}

Result<bool> RecoverWrites(fs::FileSystem* file_system, const std::string& directory) {
  return Recover(file_system, directory, /*below=*/false);
}

}  // namespace headrace
