#include <arrow/api.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "headrace/base/rng.h"
#include "headrace/runtime/store/local_store.h"

namespace headrace {
namespace {

namespace fs = std::filesystem;

class ObjectStoreTest : public ::testing::Test {
 protected:
  ObjectStoreTest() {
    std::string pattern = fs::temp_directory_path() / "store-test-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ObjectStoreTest() override { fs::remove_all(directory_); }

  std::unique_ptr<LocalStore> MakeStore(std::int64_t capacity = INT64_MAX) {
    return std::make_unique<LocalStore>(
        LocalStoreOptions{.capacity_bytes = capacity, .spill_directory = directory_});
  }
  bool DirectoryEmpty() const { return fs::is_empty(directory_); }

  std::string directory_;
};

Block MakeBlock(std::int64_t rows, std::int64_t first = 0) {
  arrow::Int64Builder builder;
  for (std::int64_t i = 0; i < rows; ++i) EXPECT_TRUE(builder.Append(first + i).ok());
  return Block(arrow::Table::Make(arrow::schema({arrow::field("x", arrow::int64())}),
                                  {builder.Finish().ValueOrDie()}),
               rows * 8);
}

BlockInfo InfoOf(const Block& block, std::uint32_t position) {
  return {block.num_rows(), block.num_bytes(), block.table()->schema(),
          {{position}},     nullptr,           nullptr};
}

ObjectId PutBlock(LocalStore& store, std::int64_t rows, std::uint32_t position) {
  const Block block = MakeBlock(rows, position * 1'000'000);
  return store.Put(block, InfoOf(block, position)).object;
}

void Release(LocalStore& store, ObjectId id) { store.Release(std::span(&id, 1)); }

TEST_F(ObjectStoreTest, TheLastReferenceFrees) {
  auto store = MakeStore();
  std::weak_ptr<arrow::Table> watch;
  ObjectId id;
  {
    const Block block = MakeBlock(1000);
    watch = block.table();
    id = store->Put(block, InfoOf(block, 0)).object;
  }
  store->Retain(std::span(&id, 1));
  Release(*store, id);
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(store->stats().memory_bytes, 8000);
  Release(*store, id);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(store->stats().memory_bytes, 0);
  EXPECT_TRUE(store->Get(id).status().IsKeyError());
}

TEST_F(ObjectStoreTest, SpillsTheLastPositionFirstAndReadsItBack) {
  auto store = MakeStore();
  std::vector<ObjectId> ids;
  for (std::uint32_t i = 0; i < 4; ++i) ids.push_back(PutBlock(*store, 1000, i));
  EXPECT_EQ(store->Spill(10'000).ValueOrDie(), 16'000);
  EXPECT_EQ(store->stats().memory_bytes, 16'000);
  EXPECT_GT(store->stats().spilled_bytes, 0);
  EXPECT_LT(store->stats().spilled_bytes, 16'000);  // Compressed.
  for (std::uint32_t i = 0; i < 4; ++i) {
    const Block block = store->Get(ids[i]).ValueOrDie();
    EXPECT_TRUE(block.table()->Equals(*MakeBlock(1000, i * 1'000'000).table()));
  }
  EXPECT_EQ(store->stats().restored_bytes_total, 16'000);
  const Block kept = store->Get(ids[3]).ValueOrDie();
  for (ObjectId id : ids) Release(*store, id);
  EXPECT_EQ(store->stats().spilled_bytes, 0);
  EXPECT_TRUE(kept.table()->Equals(*MakeBlock(1000, 3'000'000).table()));
  store.reset();
  EXPECT_TRUE(DirectoryEmpty());
}

TEST_F(ObjectStoreTest, ChunksWithDifferentDictionariesSpill) {
  auto store = MakeStore();
  const auto type = arrow::dictionary(arrow::int32(), arrow::utf8());
  arrow::ArrayVector chunks;
  for (const char* value : {"a", "b"}) {
    arrow::StringDictionary32Builder builder;
    EXPECT_TRUE(builder.Append(value).ok());
    chunks.push_back(builder.Finish().ValueOrDie());
  }
  auto table = arrow::Table::Make(arrow::schema({arrow::field("x", type)}),
                                  {std::make_shared<arrow::ChunkedArray>(chunks, type)});
  const std::string text = table->ToString();
  Block block(std::move(table), 100);
  const ObjectId id = store->Put(block, InfoOf(block, 0)).object;
  block = Block();  // It would be pinned.
  EXPECT_EQ(store->Spill(1).ValueOrDie(), 100);
  EXPECT_EQ(store->Get(id).ValueOrDie().table()->ToString(), text);
  Release(*store, id);
}

TEST_F(ObjectStoreTest, PinnedBlocksStay) {
  auto store = MakeStore();
  const ObjectId id = PutBlock(*store, 1000, 0);
  {
    const Block pin = store->Get(id).ValueOrDie();
    EXPECT_EQ(store->Spill(1).ValueOrDie(), 0);
  }
  {
    const SharedTable pin = store->Share(id).ValueOrDie();
    EXPECT_EQ(store->Spill(1).ValueOrDie(), 0);
  }
  EXPECT_EQ(store->Spill(1).ValueOrDie(), 8000);
  Release(*store, id);
}

TEST_F(ObjectStoreTest, SharingMovesIntoTheArenaAlsoFromDisk) {
  auto store = MakeStore();
  auto arena = Arena::ForProcess().ValueOrDie();
  const ObjectId id = PutBlock(*store, 1000, 5);
  EXPECT_FALSE(store->IsShared(id));
  {
    const SharedTable shared = store->Share(id).ValueOrDie();
    EXPECT_TRUE(store->IsShared(id));
    EXPECT_TRUE(LiesIn(*store->Get(id).ValueOrDie().table(), *arena));
    EXPECT_TRUE(DecodeLayout(shared).ValueOrDie()->Equals(*MakeBlock(1000, 5'000'000).table()));
  }
  EXPECT_EQ(store->stats().shared_bytes, 8000);
  EXPECT_EQ(store->Spill(1).ValueOrDie(), 8000);
  EXPECT_EQ(store->stats().shared_bytes, 0);
  EXPECT_EQ(arena->pool()->bytes_allocated(), 0);
  EXPECT_TRUE(store->Share(id).ok());
  EXPECT_EQ(store->stats().spilled_bytes, 0);
  EXPECT_EQ(store->stats().memory_bytes, 8000);
  Release(*store, id);
  EXPECT_EQ(arena->pool()->bytes_allocated(), 0);
}

TEST_F(ObjectStoreTest, ARemoteBlockIsHeldUntilNobodyReadsIt) {
  auto store = MakeStore();
  auto arena = Arena::Make({.size = 64 << 20}).ValueOrDie();
  auto table = MoveToArena(MakeBlock(1000).table(), *arena).ValueOrDie();
  auto layout = EncodeLayout(*table, *arena).ValueOrDie();
  bool dropped = false;
  std::shared_ptr<const void> hold(&dropped, [](bool* flag) { *flag = true; });
  const ObjectId id = store
                          ->PutShared({arena, std::make_shared<const std::string>(layout),
                                       table->schema(), std::move(hold)},
                                      InfoOf(MakeBlock(1000), 0))
                          .object;
  Block block = store->Get(id).ValueOrDie();
  Release(*store, id);
  EXPECT_FALSE(dropped);
  EXPECT_TRUE(block.table()->Equals(*MakeBlock(1000).table()));
  block = Block();
  EXPECT_TRUE(dropped);
}

TEST_F(ObjectStoreTest, AboveItsCapacityItSpillsByItself) {
  auto store = MakeStore(20'000);
  std::vector<ObjectId> ids;
  for (std::uint32_t i = 0; i < 20; ++i) ids.push_back(PutBlock(*store, 1000, i));
  store->AwaitRoom();
  EXPECT_LE(store->stats().memory_bytes, 20'000);
  EXPECT_TRUE(store->CheckRoom().ok());
  for (std::uint32_t i = 0; i < 20; ++i) {
    EXPECT_TRUE(
        store->Get(ids[i]).ValueOrDie().table()->Equals(*MakeBlock(1000, i * 1'000'000).table()));
    Release(*store, ids[i]);
  }
}

TEST_F(ObjectStoreTest, AFullDiskIsAnErrorAndLosesNothing) {
  auto store = MakeStore();
  const ObjectId id = PutBlock(*store, 100'000, 0);
  // A limit on file sizes stands for the full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small{10'000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Status status = store->Spill(1).status();
  ::setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_TRUE(status.IsIOError()) << status.ToString();
  EXPECT_NE(status.message().find(directory_), std::string::npos) << status.ToString();
  EXPECT_TRUE(store->Get(id).ValueOrDie().table()->Equals(*MakeBlock(100'000).table()));
  EXPECT_EQ(store->stats().spilled_bytes, 0);
  EXPECT_EQ(store->Spill(1).ValueOrDie(), 800'000);
  Release(*store, id);
}

TEST_F(ObjectStoreTest, WhatDeadProcessesLeftIsRemoved) {
  const fs::path dead = fs::path(directory_) / "headrace-spill-1234-abcdef";
  const fs::path young = fs::path(directory_) / "headrace-spill-1235-abcdef";
  const fs::path unborn = fs::path(directory_) / "headrace-spill-1236-abcdef";
  const fs::path user = fs::path(directory_) / "headrace-results";
  const fs::path odd = fs::path(directory_) / "headrace-spill-1237-abcdeg";
  for (const fs::path& path : {dead, young, unborn, user, odd}) fs::create_directory(path);
  std::ofstream(user / "result") << "data";
  std::ofstream(odd / "result") << "data";
  std::ofstream(dead / "lock") << "";
  std::ofstream(dead / "0.arrow") << "data";
  const utimbuf long_ago{1000, 1000};
  for (const fs::path& path : {dead, unborn, user, odd}) ::utime(path.c_str(), &long_ago);
  auto live = MakeStore();
  PutBlock(*live, 1000, 0);
  ASSERT_TRUE(live->Spill(1).ok());
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (entry.path() != young) ::utime(entry.path().c_str(), &long_ago);
  }
  auto second = MakeStore();
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_FALSE(fs::exists(unborn));
  EXPECT_TRUE(fs::exists(user / "result"));
  EXPECT_TRUE(fs::exists(odd / "result"));
  EXPECT_TRUE(live->Get(ObjectId{1}).ok());
}

TEST_F(ObjectStoreTest, ThreadsMayDoEverythingAtOnce) {
  auto store = MakeStore(100'000);
  std::vector<std::thread> threads;
  std::atomic<int> broken{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      std::vector<std::pair<ObjectId, std::uint32_t>> held;
      for (int i = 0; i < 300; ++i) {
        const auto position = static_cast<std::uint32_t>(rng.Below(1000));
        held.emplace_back(PutBlock(*store, 500, position), position);
        const auto& [id, at] = held[rng.Below(held.size())];
        if (rng.Below(8) == 0 && !store->Share(id).ok()) ++broken;
        if (rng.Below(16) == 0 && !store->Spill(8000).ok()) ++broken;
        auto block = store->Get(id);
        if (!block.ok() || !block->table()->Equals(*MakeBlock(500, at * 1'000'000LL).table())) {
          ++broken;
        }
        if (rng.Below(2) == 0) {
          std::swap(held[rng.Below(held.size())], held.back());
          Release(*store, held.back().first);
          held.pop_back();
        }
      }
      for (const auto& [id, at] : held) Release(*store, id);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(broken, 0);
  EXPECT_EQ(store->stats().objects, 0);
  EXPECT_EQ(store->stats().memory_bytes, 0);
  EXPECT_EQ(store->stats().shared_bytes, 0);
  EXPECT_EQ(store->stats().spilled_bytes, 0);
}

}  // namespace
}  // namespace headrace
