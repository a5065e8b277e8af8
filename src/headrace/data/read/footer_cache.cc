#include "headrace/data/read/footer_cache.h"

#include <arrow/io/file.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace headrace {

namespace {

using Footer = std::shared_ptr<parquet::FileMetaData>;

// As they stand in files; in memory a footer takes some times as much.
constexpr std::int64_t kFooterBytesMax = 8 << 20;
constexpr std::size_t kFootersKept = 64;
// Times of files are as coarse as the kernel's clock, or a second on some file systems.
constexpr std::int64_t kSettledSeconds = 2;

// Device, inode, size, and the times of content and inode.
using FileIdentity = std::array<std::int64_t, 7>;

// Returns nothing for files that are not kept.
std::optional<FileIdentity> IdentityOf(arrow::io::RandomAccessFile* file) {
  const auto* local = dynamic_cast<arrow::io::ReadableFile*>(file);
  struct stat found {};
  if (local == nullptr || ::fstat(local->file_descriptor(), &found) != 0) return std::nullopt;
  if (!S_ISREG(found.st_mode)) return std::nullopt;
  if (found.st_mtim.tv_sec > std::time(nullptr) - kSettledSeconds) return std::nullopt;
  return FileIdentity{static_cast<std::int64_t>(found.st_dev),
                      static_cast<std::int64_t>(found.st_ino),
                      static_cast<std::int64_t>(found.st_size),
                      found.st_mtim.tv_sec,
                      found.st_mtim.tv_nsec,
                      found.st_ctim.tv_sec,
                      found.st_ctim.tv_nsec};
}

// Whoever finds another thread in it goes without: it is never worth a wait, and a fork may have
// left it locked.
class FooterCache {
 public:
  Footer Find(const FileIdentity& identity) {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return nullptr;
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->identity != identity) continue;
      entries_.splice(entries_.begin(), entries_, it);
      return it->footer;
    }
    return nullptr;
  }

  void Keep(const FileIdentity& identity, Footer footer) {
    if (footer->size() > kFooterBytesMax) return;
    std::list<Entry> dropped;  // Freed after the lock.
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    bytes_ += footer->size();
    entries_.push_front({identity, std::move(footer)});
    while (bytes_ > kFooterBytesMax || entries_.size() > kFootersKept) {
      bytes_ -= entries_.back().footer->size();
      dropped.splice(dropped.begin(), entries_, std::prev(entries_.end()));
    }
  }

 private:
  struct Entry {
    FileIdentity identity;
    Footer footer;
  };

  std::mutex mutex_;
  std::list<Entry> entries_;  // The one used last is the first.
  std::int64_t bytes_ = 0;
};

// Never destroyed: tasks may still run while the process ends.
FooterCache& Footers() {
  static auto* cache = new FooterCache();
  return *cache;
}

}  // namespace

Status OpenParquet(std::shared_ptr<arrow::io::RandomAccessFile> file,
                   const parquet::ReaderProperties& properties,
                   parquet::arrow::FileReaderBuilder* builder) {
  const auto identity = IdentityOf(file.get());
  const Footer kept = identity ? Footers().Find(*identity) : nullptr;
  ARROW_RETURN_NOT_OK(builder->Open(std::move(file), properties, kept));
  if (identity && !kept) Footers().Keep(*identity, builder->raw_reader()->metadata());
  return Status::OK();
}

}  // namespace headrace
