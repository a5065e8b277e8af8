#include "headrace/runtime/store/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "headrace/base/check.h"
#include "headrace/runtime/store/fork_guard.h"

namespace headrace {

namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

// What Arrow expects for an allocation of no bytes: a pointer that is aligned and never read.
alignas(64) std::uint8_t zero_size_area[64];

std::int64_t DefaultArenaSize() {
  const std::int64_t memory = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) *
                              static_cast<std::int64_t>(::sysconf(_SC_PAGE_SIZE));
  return std::clamp(4 * memory, 16 * kGiB, 256 * kGiB) / kGiB * kGiB;
}

}  // namespace

// ---- ArenaView ------------------------------------------------------------------------------

Result<std::shared_ptr<ArenaView>> ArenaView::Map(std::uint64_t id, int descriptor,
                                                  std::int64_t size) {
  auto view = std::make_shared<ArenaView>();
  view->id_ = id;
  view->descriptor_ = descriptor;
  void* data = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ,
                      MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (data == MAP_FAILED) {
    return Status::IOError("cannot map shared memory of ", size, " bytes: ", std::strerror(errno));
  }
  view->data_ = static_cast<std::uint8_t*>(data);
  view->size_ = size;
  return view;
}

ArenaView::~ArenaView() {
  if (data_ != nullptr) ::munmap(data_, static_cast<std::size_t>(size_));
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ArenaView::KeepOnly(std::vector<Span> spans) const {
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.offset < b.offset; });
  spans.push_back({size_, 0});
  std::int64_t kept_to = 0;
  for (const Span& span : spans) {
    const std::int64_t begin =
        (kept_to + SpanAllocator::kPage - 1) / SpanAllocator::kPage * SpanAllocator::kPage;
    const std::int64_t end = span.offset / SpanAllocator::kPage * SpanAllocator::kPage;
    if (end > begin) {
      ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin, end - begin);
    }
    kept_to = std::max(kept_to, span.offset + span.size);
  }
}

// ---- Arena ----------------------------------------------------------------------------------

Arena::Arena(const ArenaOptions& options)
    : generation_(ForkGeneration()),
      keep_free_bytes_(options.keep_free_bytes),
      allocator_(options.size),
      pool_(this) {}

Result<std::shared_ptr<Arena>> Arena::Make(ArenaOptions options) {
  if (options.size == 0) options.size = DefaultArenaSize();
  const int descriptor = ::memfd_create("headrace-arena", MFD_CLOEXEC);
  if (descriptor < 0) {
    return Status::IOError("cannot create shared memory: ", std::strerror(errno));
  }
  // A limit on file sizes or on address space may forbid the size that we would like.
  void* data = MAP_FAILED;
  for (; options.size >= 64 * SpanAllocator::kSlab; options.size /= 2) {
    if (::ftruncate(descriptor, options.size) != 0) continue;
    data = ::mmap(nullptr, static_cast<std::size_t>(options.size), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_NORESERVE, descriptor, 0);
    if (data != MAP_FAILED) break;
  }
  if (data == MAP_FAILED) {
    const int error = errno;
    ::close(descriptor);
    return Status::IOError("cannot map shared memory: ", std::strerror(error));
  }
  std::shared_ptr<Arena> arena(new Arena(options));
  arena->data_ = static_cast<std::uint8_t*>(data);
  arena->size_ = options.size;
  arena->descriptor_ = descriptor;
  return arena;
}

Result<std::shared_ptr<Arena>> Arena::ForProcess() {
  struct Process {
    std::mutex mutex;
    std::uint64_t generation = 0;
    std::shared_ptr<Arena> arena;
  };
  // Leaked: buffers may be freed as late as by the destructors of other libraries' globals. A
  // forked child starts with a new one, as the lock may have been held.
  static std::atomic<Process*> current{nullptr};
  Process* process = current.load();
  if (process == nullptr || process->generation != ForkGeneration()) {
    auto* fresh = new Process;
    fresh->generation = ForkGeneration();
    if (current.compare_exchange_strong(process, fresh)) {
      process = fresh;
    } else {
      delete fresh;
    }
  }
  std::lock_guard lock(process->mutex);
  if (process->arena == nullptr) {
    ARROW_ASSIGN_OR_RAISE(process->arena, Make({}));
  }
  return process->arena;
}

Arena::~Arena() {
  if (data_ != nullptr) ::munmap(data_, static_cast<std::size_t>(size_));
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool Arena::frozen() const { return ForkGeneration() != generation_; }

std::int64_t Arena::used_bytes() const {
  std::lock_guard lock(mutex_);
  return allocator_.used_bytes();
}

std::int64_t Arena::resident_bytes() const {
  std::lock_guard lock(mutex_);
  return allocator_.used_bytes() + allocator_.warm_bytes();
}

void Arena::SetKeepFree(std::int64_t bytes) {
  {
    std::lock_guard lock(mutex_);
    keep_free_bytes_ = bytes;
    if (allocator_.warm_bytes() <= bytes) return;
  }
  Trim(bytes);
}

void Arena::Trim(std::int64_t keep) {
  std::vector<Span> spans;
  {
    std::lock_guard lock(mutex_);
    if (trimming_ || frozen()) return;
    spans = allocator_.TakeExcess(keep);
    trimming_ = true;
  }
  // Nobody can be given these spans until they are added back, so the lock is not needed.
  for (const Span& span : spans) {
    ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, span.offset, span.size);
  }
  std::lock_guard lock(mutex_);
  for (const Span& span : spans) allocator_.AddCold(span);
  trimming_ = false;
}

// ---- Pool -----------------------------------------------------------------------------------

Status Arena::Pool::Allocate(std::int64_t size, std::int64_t alignment, std::uint8_t** out) {
  if (size < 0) return Status::Invalid("negative allocation size");
  if (alignment > SpanAllocator::kPage) {
    return Status::Invalid("alignment of ", alignment, " bytes is more than a page");
  }
  if (arena_->frozen()) return Status::Invalid("shared memory of a parent process");
  if (size == 0) {
    *out = zero_size_area;
    return Status::OK();
  }
  // Spans are aligned to pages.
  if (alignment > SpanAllocator::kAlignment) size = std::max(size, SpanAllocator::kMaxSmall + 1);
  std::int64_t offset;
  {
    std::lock_guard lock(arena_->mutex_);
    offset = arena_->allocator_.Allocate(size);
  }
  if (offset < 0) return Status::OutOfMemory("shared memory has no room for ", size, " bytes");
  *out = arena_->data_ + offset;
  stats_.DidAllocateBytes(size);
  return Status::OK();
}

Status Arena::Pool::Reallocate(std::int64_t old_size, std::int64_t new_size, std::int64_t alignment,
                               std::uint8_t** ptr) {
  if (new_size < 0) return Status::Invalid("negative allocation size");
  if (old_size > 0 && new_size > 0 && alignment <= SpanAllocator::kAlignment && !arena_->frozen()) {
    std::lock_guard lock(arena_->mutex_);
    if (arena_->allocator_.Resize(*ptr - arena_->data_, old_size, new_size)) {
      stats_.DidReallocateBytes(old_size, new_size);
      return Status::OK();
    }
  }
  std::uint8_t* moved = nullptr;
  ARROW_RETURN_NOT_OK(Allocate(new_size, alignment, &moved));
  const std::int64_t both = std::min(old_size, new_size);
  if (both > 0) std::memcpy(moved, *ptr, static_cast<std::size_t>(both));
  Free(*ptr, old_size, alignment);
  *ptr = moved;
  return Status::OK();
}

void Arena::Pool::Free(std::uint8_t* buffer, std::int64_t size, std::int64_t alignment) {
  if (size == 0 || arena_->frozen()) return;
  if (alignment > SpanAllocator::kAlignment) size = std::max(size, SpanAllocator::kMaxSmall + 1);
  bool trim;
  std::int64_t keep;
  {
    std::lock_guard lock(arena_->mutex_);
    arena_->allocator_.Free(buffer - arena_->data_, size);
    keep = arena_->keep_free_bytes_;
    trim = arena_->allocator_.warm_bytes() > keep && !arena_->trimming_;
  }
  stats_.DidFreeBytes(size);
  if (trim) arena_->Trim(keep / 2);
}

}  // namespace headrace
