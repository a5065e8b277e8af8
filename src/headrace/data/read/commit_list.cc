#include "headrace/data/read/commit_list.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/io/interfaces.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

#include "headrace/data/read/record_log.h"

namespace headrace {

namespace fs = arrow::fs;

namespace {

// Paths below the directory begin with kInside, others stay as they are.
constexpr std::string_view kInside = "./";
// How often a directory that others change is listed again, before it is taken as it is.
constexpr int kListings = 20;

std::string Relative(const std::string& path, const std::string& directory) {
  const auto below = PathBelow(path, directory);
  return below ? std::string(kInside) + *below : path;
}

std::string Absolute(const std::string& path, const std::string& directory) {
  return path.starts_with(kInside) ? directory + "/" + path.substr(kInside.size()) : path;
}

std::optional<FileStamp> ParseStamp(const std::string& size, const std::string& changed) {
  const auto parse = [](const std::string& text, std::int64_t* number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
    return error == std::errc{} && end == text.data() + text.size();
  };
  FileStamp stamp;
  if (!parse(size, &stamp.size) || !parse(changed, &stamp.changed)) return std::nullopt;
  return stamp;
}

// Returns false if the record is not of a list.
bool Take(const LogRecord& record, const std::string& directory, CommitList* list, bool* ended) {
  const std::string& kind = record.empty() ? std::string() : record[0];
  if (kind == "move" && record.size() == 6) {
    const auto stamp = ParseStamp(record[3], record[4]);
    if (!stamp) return false;
    list->moves.push_back({Absolute(record[1], directory), Absolute(record[2], directory), *stamp,
                           Absolute(record[5], directory)});
  } else if (kind == "remove" && record.size() == 4) {
    const auto stamp = ParseStamp(record[2], record[3]);
    if (!stamp) return false;
    list->old_files.push_back({Absolute(record[1], directory), *stamp});
  } else if (kind == "end" && record.size() == 1) {
    *ended = true;
  } else {
    return false;
  }
  return true;
}

Result<std::optional<CommitList>> ReadList(fs::FileSystem* file_system,
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
  ARROW_ASSIGN_OR_RAISE(const std::string bytes, ReadText(file_system, path));
  ARROW_ASSIGN_OR_RAISE(auto contents, ParseRecordLog(bytes));
  const std::string directory = temporary.substr(0, temporary.rfind('/'));
  bool ended = false;
  for (const LogRecord& record : contents.records) {
    if (!Take(record, directory, &list, &ended)) return Status::Invalid("it is damaged");
  }
  if (!ended && !list.moved) return std::nullopt;  // The machine stopped before it was written.
  if (!ended) return Status::Invalid("it is cut off");
  return list;
}

// What the lists of commits say of files, by path.
struct Hidden {
  struct File {
    FileStamp stamp;
    std::string stored;  // Where the file is that is to be read in its place. "": there is none.
  };
  std::map<std::string, File> files;
  std::vector<std::string> marks;  // The temporary directories.

  bool operator==(const Hidden& other) const {
    return marks == other.marks &&
           std::equal(files.begin(), files.end(), other.files.begin(), other.files.end(),
                      [](const auto& a, const auto& b) { return a.first == b.first; });
  }
};

bool IsMark(const fs::FileInfo& info) {
  return info.IsDirectory() && info.base_name().starts_with(kTemporaryPrefix);
}

// Returns nothing if a commit ended meanwhile.
Result<std::optional<Hidden>> ReadHidden(fs::FileSystem* file_system,
                                         const std::vector<fs::FileInfo>& infos) {
  Hidden hidden;
  for (const fs::FileInfo& info : infos) {
    if (!IsMark(info)) continue;
    hidden.marks.push_back(info.path());
    auto begun = ReadCommitList(file_system, info.path());
    if (!begun.ok()) begun = ReadCommitList(file_system, info.path());  // It was just renamed.
    ARROW_ASSIGN_OR_RAISE(const auto now, file_system->GetFileInfo(info.path()));
    if (!now.IsDirectory()) return std::nullopt;
    ARROW_RETURN_NOT_OK(begun.status());
    if (!*begun) continue;
    if ((*begun)->moved) {
      for (OldFile& old : (*begun)->old_files) hidden.files[std::move(old.path)] = {old.stamp, ""};
      continue;
    }
    for (FileMove& move : (*begun)->moves) {
      hidden.files[std::move(move.to)] = {move.stamp, std::move(move.aside)};
    }
  }
  return hidden;
}

// Adds the temporary directories above a partition's.
Status AddMarksAbove(fs::FileSystem* file_system, std::string directory,
                     std::vector<fs::FileInfo>* infos) {
  while (directory.ends_with('/')) directory.pop_back();
  while (true) {
    const std::size_t slash = directory.rfind('/');
    if (slash == std::string::npos || slash == 0) return Status::OK();
    if (directory.find('=', slash) == std::string::npos) return Status::OK();
    directory.resize(slash);
    fs::FileSelector selector;
    selector.base_dir = directory;
    selector.allow_not_found = true;
    const auto above = file_system->GetFileInfo(selector);
    if (!above.ok()) return Status::OK();  // Who may not list it may read what is below.
    std::copy_if(above->begin(), above->end(), std::back_inserter(*infos), IsMark);
  }
}

// Takes out what `hidden` says, and puts in what is stored elsewhere.
Status Hide(fs::FileSystem* file_system, Hidden hidden, CommittedFiles* found) {
  std::vector<fs::FileInfo> stored;
  for (auto file = hidden.files.begin(); file != hidden.files.end();) {
    if (file->second.stored.empty()) {
      ++file;
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(fs::FileInfo info, file_system->GetFileInfo(file->second.stored));
    if (info.IsFile()) {
      info.set_path(file->first);
      stored.push_back(std::move(info));
      ++file;
    } else {
      file = hidden.files.erase(file);  // Not moved aside yet: it stands at its place.
    }
  }
  std::vector<fs::FileInfo> kept;
  for (fs::FileInfo& info : found->infos) {
    const auto file = hidden.files.find(info.path());
    if (file != hidden.files.end() && file->second.stamp.Fits(info)) continue;
    // One that was put there since is to be read, and not what was moved aside.
    std::erase_if(stored, [&](const fs::FileInfo& old) { return old.path() == info.path(); });
    kept.push_back(std::move(info));
  }
  for (fs::FileInfo& info : stored) {
    found->stored[info.path()] = hidden.files.at(info.path()).stored;
    kept.push_back(std::move(info));
  }
  found->infos = std::move(kept);
  std::sort(found->infos.begin(), found->infos.end(), fs::FileInfo::ByPath{});
  return Status::OK();
}

// Returns when something came into a directory or went out of it, such as a commit that ended while
// it was listed. Always the same where that costs a request.
Result<fs::TimePoint> ChangeOf(fs::FileSystem* file_system, const std::string& directory) {
  if (file_system->type_name() != "local") return fs::kNoTime;
  ARROW_ASSIGN_OR_RAISE(const auto info, file_system->GetFileInfo(directory));
  return info.mtime();
}

}  // namespace

FileStamp FileStamp::Of(const fs::FileInfo& info) {
  const auto changed = info.mtime().time_since_epoch().count();
  return {info.size(), info.mtime() == fs::kNoTime ? 0 : changed};
}

bool FileStamp::Fits(const fs::FileInfo& info) const {
  const FileStamp now = Of(info);
  return info.IsFile() && now.size == size &&
         (changed == 0 || now.changed == 0 || now.changed == changed);
}

Result<std::string> ReadText(fs::FileSystem* file_system, const std::string& path) {
  ARROW_ASSIGN_OR_RAISE(auto file, file_system->OpenInputFile(path));
  ARROW_ASSIGN_OR_RAISE(const std::int64_t size, file->GetSize());
  ARROW_ASSIGN_OR_RAISE(auto bytes, file->ReadAt(0, size));
  return bytes->ToString();
}

std::optional<std::string> PathBelow(const std::string& path, const std::string& directory) {
  const auto from_root = [](std::string_view text) {
    while (text.starts_with('/')) text.remove_prefix(1);
    while (text.ends_with('/')) text.remove_suffix(1);
    return text;
  };
  const std::string base = std::string(from_root(directory)) + "/";
  const std::string_view whole = from_root(path);
  if (!whole.starts_with(base)) return std::nullopt;
  return std::string(from_root(whole.substr(base.size())));
}

std::string EncodeCommitList(const CommitList& list, const std::string& directory) {
  std::vector<LogRecord> records;
  for (const FileMove& move : list.moves) {
    records.push_back({"move", Relative(move.from, directory), Relative(move.to, directory),
                       std::to_string(move.stamp.size), std::to_string(move.stamp.changed),
                       Relative(move.aside, directory)});
  }
  for (const OldFile& old : list.old_files) {
    records.push_back({"remove", Relative(old.path, directory), std::to_string(old.stamp.size),
                       std::to_string(old.stamp.changed)});
  }
  records.push_back({"end"});
  return EncodeRecordLog(records);
}

Result<std::optional<CommitList>> ReadCommitList(fs::FileSystem* file_system,
                                                 const std::string& temporary) {
  auto list = ReadList(file_system, temporary);
  if (list.ok()) return list;
  return list.status().WithMessage("cannot read the list of what a write was about to do, in ",
                                   temporary, ": ", list.status().message(),
                                   ". If nothing writes there now, remove ", temporary,
                                   "; then the files that stand beside it are read as they are");
}

Result<CommittedFiles> ListCommitted(fs::FileSystem* file_system,
                                     const fs::FileSelector& selector) {
  std::optional<Hidden> before;
  for (int listing = 1;; ++listing) {
    const bool last = listing >= kListings;
    ARROW_ASSIGN_OR_RAISE(const auto begun, ChangeOf(file_system, selector.base_dir));
    CommittedFiles found;
    ARROW_ASSIGN_OR_RAISE(found.infos, file_system->GetFileInfo(selector));
    std::vector<fs::FileInfo> marks;
    std::copy_if(found.infos.begin(), found.infos.end(), std::back_inserter(marks), IsMark);
    ARROW_RETURN_NOT_OK(AddMarksAbove(file_system, selector.base_dir, &marks));
    ARROW_ASSIGN_OR_RAISE(auto hidden, ReadHidden(file_system, marks));
    ARROW_ASSIGN_OR_RAISE(const auto ended, ChangeOf(file_system, selector.base_dir));
    const bool quiet = begun == ended;
    // Where somebody writes, two listings must say the same.
    const bool known = hidden && (hidden->marks.empty() || (before && *before == *hidden));
    if (hidden && ((known && quiet) || last)) {
      ARROW_RETURN_NOT_OK(Hide(file_system, *std::move(hidden), &found));
      return found;
    }
    before = std::move(hidden);
  }
}

}  // namespace headrace
