#include "headrace/runtime/store/arena.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "headrace/base/rng.h"

namespace headrace {
namespace {

struct Held {
  std::uint8_t* data = nullptr;
  std::int64_t size = 0;
  std::uint8_t mark = 0;
};

void Fill(const Held& held) { std::memset(held.data, held.mark, held.size); }

bool Intact(const Held& held) {
  for (std::int64_t i = 0; i < held.size; ++i) {
    if (held.data[i] != held.mark) return false;
  }
  return true;
}

std::int64_t RandomSize(Rng& rng) {
  switch (rng.Below(4)) {
    case 0:
      return 1 + static_cast<std::int64_t>(rng.Below(600));
    case 1:
      return 1 + static_cast<std::int64_t>(rng.Below(40'000));
    default:
      return 1 + static_cast<std::int64_t>(rng.Below(300'000));
  }
}

TEST(ArenaTest, RandomUseNeverOverlapsAndEndsEmpty) {
  ArenaOptions options;
  options.size = 1 << 30;
  options.keep_free_bytes = 1 << 20;
  auto arena = Arena::Make(options).ValueOrDie();
  arrow::MemoryPool* pool = arena->pool();
  Rng rng(7);
  std::vector<Held> held;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t what = rng.Below(10);
    if (what < 5 || held.empty()) {
      Held h{nullptr, RandomSize(rng), static_cast<std::uint8_t>(i)};
      const std::int64_t alignment = rng.Below(20) == 0 ? 4096 : 64;
      if (alignment == 4096) h.size += SpanAllocator::kMaxSmall;  // Equal for Free() below.
      ASSERT_TRUE(pool->Allocate(h.size, alignment, &h.data).ok());
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(h.data) % alignment, 0u);
      ASSERT_TRUE(arena->Contains(h.data));
      Fill(h);
      held.push_back(h);
    } else {
      std::swap(held[rng.Below(held.size())], held.back());
      Held& h = held.back();
      ASSERT_TRUE(Intact(h)) << "step " << i;
      if (what < 7) {
        const std::int64_t old_size = h.size;
        h.size = RandomSize(rng);
        ASSERT_TRUE(pool->Reallocate(old_size, h.size, &h.data).ok());
        Held kept{h.data, std::min(old_size, h.size), h.mark};
        ASSERT_TRUE(Intact(kept)) << "step " << i;
        Fill(h);
      } else {
        pool->Free(h.data, h.size);
        held.pop_back();
      }
    }
  }
  for (const Held& h : held) {
    ASSERT_TRUE(Intact(h));
    pool->Free(h.data, h.size);
  }
  EXPECT_EQ(pool->bytes_allocated(), 0);
  // One slab of each size class may stay.
  EXPECT_LE(arena->used_bytes(), 32 * SpanAllocator::kSlab);
}

TEST(ArenaTest, FreedMemoryIsReusedAndExcessGoesBack) {
  ArenaOptions options;
  options.size = 1 << 30;
  options.keep_free_bytes = 8 << 20;
  auto arena = Arena::Make(options).ValueOrDie();
  std::uint8_t* first = nullptr;
  ASSERT_TRUE(arena->pool()->Allocate(4 << 20, &first).ok());
  std::memset(first, 1, 4 << 20);
  arena->pool()->Free(first, 4 << 20);
  std::uint8_t* second = nullptr;
  ASSERT_TRUE(arena->pool()->Allocate(4 << 20, &second).ok());
  EXPECT_EQ(first, second);
  std::uint8_t* big = nullptr;
  ASSERT_TRUE(arena->pool()->Allocate(64 << 20, &big).ok());
  std::memset(big, 1, 64 << 20);
  arena->pool()->Free(big, 64 << 20);
  EXPECT_LE(arena->resident_bytes(), 12 << 20);
  arena->pool()->Free(second, 4 << 20);
  arena->ReleaseUnused();
  EXPECT_EQ(arena->resident_bytes(), 0);
}

TEST(ArenaTest, TooLargeIsOutOfMemory) {
  auto arena = Arena::Make({.size = 64 << 20}).ValueOrDie();
  std::uint8_t* data = nullptr;
  EXPECT_TRUE(arena->pool()->Allocate(65 << 20, &data).IsOutOfMemory());
  EXPECT_TRUE(arena->pool()->Allocate(INT64_MAX - 100, &data).IsOutOfMemory());
}

TEST(ArenaTest, ThreadsShareIt) {
  auto arena = Arena::Make({.size = 512 << 20, .keep_free_bytes = 1 << 20}).ValueOrDie();
  std::vector<std::thread> threads;
  std::atomic<int> broken{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(100 + t);
      std::vector<Held> held;
      for (int i = 0; i < 3'000; ++i) {
        if (rng.Below(2) == 0 || held.empty()) {
          Held h{nullptr, RandomSize(rng), static_cast<std::uint8_t>(t * 50 + i % 50)};
          if (!arena->pool()->Allocate(h.size, &h.data).ok()) ++broken;
          Fill(h);
          held.push_back(h);
        } else {
          if (!Intact(held.back())) ++broken;
          arena->pool()->Free(held.back().data, held.back().size);
          held.pop_back();
        }
      }
      for (const Held& h : held) arena->pool()->Free(h.data, h.size);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(broken, 0);
  EXPECT_EQ(arena->pool()->bytes_allocated(), 0);
}

TEST(ArenaTest, AViewSeesWhatWasWritten) {
  auto arena = Arena::Make({.size = 64 << 20}).ValueOrDie();
  std::uint8_t* data = nullptr;
  ASSERT_TRUE(arena->pool()->Allocate(100'000, &data).ok());
  std::memset(data, 42, 100'000);
  auto view = ArenaView::Map(3, ::dup(arena->descriptor()), arena->size()).ValueOrDie();
  EXPECT_EQ(view->id(), 3u);
  EXPECT_EQ(std::memcmp(view->data() + (data - arena->data()), data, 100'000), 0);
  arena->pool()->Free(data, 100'000);
}

TEST(ArenaTest, AViewKeepsWhatIsNamedAndFreesTheRest) {
  auto arena = Arena::Make({.size = 1 << 30}).ValueOrDie();
  const auto view = ArenaView::Map(3, ::dup(arena->descriptor()), arena->size()).ValueOrDie();
  std::vector<Held> kept;
  std::vector<Span> spans;
  for (int i = 0; i < 20; ++i) {
    Held held{nullptr, 100'000 + i, static_cast<std::uint8_t>(i + 1)};
    ASSERT_TRUE(arena->pool()->Allocate(held.size, 64, &held.data).ok());
    Fill(held);
    if (i % 4 != 1) continue;
    kept.push_back(held);
    spans.push_back({held.data - arena->data(), held.size});
  }
  const auto bytes = [&view] {
    struct stat status {};
    ::fstat(view->descriptor(), &status);
    return status.st_blocks * 512;
  };
  EXPECT_GE(bytes(), 20 * 100'000);
  view->KeepOnly(spans);
  EXPECT_LE(bytes(), 5 * 110'000);
  for (const Held& held : kept) {
    EXPECT_TRUE(Intact(held));
    EXPECT_EQ(std::memcmp(view->data() + (held.data - arena->data()), held.data, held.size), 0);
  }
  view->KeepOnly({});
  EXPECT_EQ(bytes(), 0);
}

TEST(ArenaTest, AForkedChildLeavesTheParentsMemoryAlone) {
  auto arena = Arena::ForProcess().ValueOrDie();
  std::uint8_t* data = nullptr;
  ASSERT_TRUE(arena->pool()->Allocate(1 << 20, &data).ok());
  std::memset(data, 9, 1 << 20);
  const pid_t child = ::fork();
  if (child == 0) {
    std::uint8_t* other = nullptr;
    const bool refused = !arena->pool()->Allocate(64, &other).ok();
    arena->pool()->Free(data, 1 << 20);
    arena->ReleaseUnused();
    const bool fresh = Arena::ForProcess().ValueOrDie() != arena;
    ::_exit(refused && fresh ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(Intact({data, 1 << 20, 9}));
  arena->pool()->Free(data, 1 << 20);
}

}  // namespace
}  // namespace headrace
