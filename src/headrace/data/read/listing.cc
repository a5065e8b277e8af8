#include "headrace/data/read/listing.h"

#include <arrow/filesystem/filesystem.h>
#include <arrow/filesystem/localfs.h>
#include <arrow/util/io_util.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <utility>

#include "headrace/data/read/commit_list.h"
#include "headrace/data/read/source.h"

namespace headrace {

namespace fs = arrow::fs;

namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Status NotFound(const std::string& path) {
  return arrow::internal::IOErrorFromErrno(ENOENT, "cannot read '", path,
                                           "': No such file or directory");
}

std::string Quoted(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size() && i < 5; ++i) {
    text += (i > 0 ? ", '" : "'") + items[i] + "'";
  }
  return items.size() > 5 ? text + ", ..." : text;
}

bool HasHiddenPart(std::string_view path) {
  for (std::size_t begin = 0; begin < path.size();) {
    std::size_t end = path.find('/', begin);
    if (end == std::string_view::npos) end = path.size();
    if (end > begin && (path[begin] == '.' || path[begin] == '_')) return true;
    begin = end + 1;
  }
  return false;
}

// Matches one path segment. A leading dot needs a dot in the pattern.
bool SegmentMatches(std::string_view pattern, std::string_view name) {
  if (!name.empty() && name[0] == '.' && (pattern.empty() || pattern[0] != '.')) return false;
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_name = 0;
  while (n < name.size()) {
    bool matched = false;
    std::size_t next = p + 1;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
      continue;
    }
    if (p < pattern.size() && pattern[p] == '[') {
      const std::size_t close = pattern.find(']', p + 2);
      if (close != std::string_view::npos) {
        std::string_view set = pattern.substr(p + 1, close - p - 1);
        const bool negated = set[0] == '!' || set[0] == '^';
        if (negated) set.remove_prefix(1);
        bool in_set = false;
        for (std::size_t i = 0; i < set.size(); ++i) {
          if (i + 2 < set.size() && set[i + 1] == '-') {
            in_set |= set[i] <= name[n] && name[n] <= set[i + 2];
            i += 2;
          } else {
            in_set |= set[i] == name[n];
          }
        }
        matched = in_set != negated;
        next = close + 1;
      }
    } else {
      matched = p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]);
    }
    if (matched) {
      p = next;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool PathMatches(std::string_view pattern, std::string_view path) {
  const std::size_t pattern_end = pattern.find('/');
  const std::string_view head = pattern.substr(0, pattern_end);
  const bool last = pattern_end == std::string_view::npos;
  if (head == "**") {
    if (last) return !HasHiddenPart(path);
    while (true) {
      if (PathMatches(pattern.substr(pattern_end + 1), path)) return true;
      const std::size_t slash = path.find('/');
      if (slash == std::string_view::npos || HasHiddenPart(path.substr(0, slash))) return false;
      path.remove_prefix(slash + 1);
    }
  }
  const std::size_t path_end = path.find('/');
  if (!SegmentMatches(head, path.substr(0, path_end))) return false;
  if (last || path_end == std::string_view::npos) {
    return last && path_end == std::string_view::npos;
  }
  return PathMatches(pattern.substr(pattern_end + 1), path.substr(path_end + 1));
}

class Lister {
 public:
  explicit Lister(const FileSourceOptions& options) : options_(options) {
    for (const std::string& extension : options.file_extensions) {
      extensions_.push_back("." +
                            Lower(extension.starts_with('.') ? extension.substr(1) : extension));
    }
  }

  Result<Listing> List() {
    for (const std::string& path : options_.paths) {
      ARROW_ASSIGN_OR_RAISE(const std::string local, Locate(path));
      if (IsGlob(local)) {
        ARROW_RETURN_NOT_OK(AddGlob(local, path));
      } else {
        ARROW_RETURN_NOT_OK(AddPath(local, path));
      }
    }
    if (listing_.files.empty()) return NoFiles();
    return std::move(listing_);
  }

 private:
  // Sets the file system by the first path and returns the path in its own terms.
  Result<std::string> Locate(const std::string& path) {
    if (options_.file_system.live) {
      listing_.file_system = options_.file_system.live;
      if (path.find("://") == std::string::npos) return path;
      return listing_.file_system->PathFromUri(path);
    }
    if (path.find("://") == std::string::npos) {
      if (listing_.file_system && listing_.file_system->type_name() != "local") {
        return Status::Invalid("all paths must be of one file system: '", path, "' is local, '",
                               options_.paths.front(), "' is not");
      }
      if (!listing_.file_system) listing_.file_system = std::make_shared<fs::LocalFileSystem>();
      std::error_code error;
      auto absolute = std::filesystem::absolute(path, error).lexically_normal().string();
      if (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
      return absolute;
    }
    std::string local;
    ARROW_ASSIGN_OR_RAISE(auto file_system, fs::FileSystemFromUriOrPath(path, &local));
    if (listing_.file_system && !listing_.file_system->Equals(*file_system)) {
      return Status::Invalid("all paths must be of one file system: '", path, "' and '",
                             options_.paths.front(), "' are not");
    }
    if (!listing_.file_system) listing_.file_system = std::move(file_system);
    return local;
  }

  Status AddPath(const std::string& path, const std::string& asked) {
    ARROW_ASSIGN_OR_RAISE(fs::FileInfo info, listing_.file_system->GetFileInfo(path));
    if (info.type() == fs::FileType::NotFound) {
      return options_.ignore_missing_paths ? Status::OK() : NotFound(asked);
    }
    if (!info.IsDirectory()) {
      AddFile(info, {});
      return Status::OK();
    }
    return AddDirectory(path);
  }

  Status AddDirectory(const std::string& path) {
    fs::FileSelector selector;
    selector.base_dir = path;
    selector.recursive = true;
    ARROW_ASSIGN_OR_RAISE(const auto found, ListCommitted(listing_.file_system.get(), selector));
    for (const fs::FileInfo& info : found.infos) {
      const std::string_view below =
          std::string_view(info.path()).substr(std::min(info.path().size(), path.size()));
      if (!info.IsDirectory() && !HasHiddenPart(below)) AddFile(info, found);
    }
    return Status::OK();
  }

  // Lists below the deepest directory that has no wildcard in its name.
  Status AddGlob(const std::string& pattern, const std::string& asked) {
    const std::size_t wildcard = pattern.find_first_of("*?[");
    const std::size_t slash = pattern.rfind('/', wildcard);
    const std::string base = slash == std::string::npos ? "" : pattern.substr(0, slash);
    fs::FileSelector selector;
    selector.base_dir = base.empty() && pattern.starts_with('/') ? "/" : base;
    selector.recursive =
        pattern.find('/', wildcard) != std::string::npos || pattern.find("**") != std::string::npos;
    selector.allow_not_found = true;
    ARROW_ASSIGN_OR_RAISE(const auto found, ListCommitted(listing_.file_system.get(), selector));
    bool any = false;
    for (const fs::FileInfo& info : found.infos) {
      if (!GlobMatches(pattern, info.path())) continue;
      any = true;
      if (!info.IsDirectory()) {
        AddFile(info, found);
      } else if (!pattern.ends_with("**")) {
        ARROW_RETURN_NOT_OK(AddDirectory(info.path()));
      }
    }
    if (any || options_.ignore_missing_paths) return Status::OK();
    // A file may have a name that looks like a pattern.
    ARROW_ASSIGN_OR_RAISE(fs::FileInfo literal, listing_.file_system->GetFileInfo(pattern));
    if (literal.type() == fs::FileType::NotFound) return NotFound(asked);
    return AddPath(pattern, asked);
  }

  void AddFile(const fs::FileInfo& info, const CommittedFiles& found) {
    if (!extensions_.empty()) {
      const std::string path = Lower(info.path());
      const bool kept = std::any_of(extensions_.begin(), extensions_.end(),
                                    [&](const std::string& end) { return path.ends_with(end); });
      if (!kept) {
        ++filtered_;
        return;
      }
    }
    const auto stored = found.stored.find(info.path());
    listing_.files.push_back(
        {stored == found.stored.end() ? info.path() : stored->second, info.size()});
  }

  Status NoFiles() const {
    if (filtered_ > 0) {
      return Status::Invalid("No input files found to read with the following file extensions: ",
                             Quoted(options_.file_extensions), ", under ", Quoted(options_.paths));
    }
    return Status::Invalid("No files found under ", Quoted(options_.paths),
                           ". Names that start with '_' or '.' are skipped",
                           options_.ignore_missing_paths ? ", and so are missing paths" : "");
  }

  const FileSourceOptions& options_;
  std::vector<std::string> extensions_;  // With dot, lower case.
  Listing listing_;
  std::int64_t filtered_ = 0;
};

}  // namespace

bool IsGlob(const std::string& path) { return path.find_first_of("*?[") != std::string::npos; }

bool GlobMatches(const std::string& pattern, const std::string& path) {
  return PathMatches(pattern, path);
}

Result<Listing> ListFiles(const FileSourceOptions& options) {
  if (options.paths.empty()) return Status::Invalid("no paths to read");
  return Lister(options).List();
}

}  // namespace headrace
