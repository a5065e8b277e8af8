#include "headrace/data/consume/commit.h"

#include <arrow/api.h>
#include <arrow/filesystem/localfs.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "headrace/data/consume/owner.h"
#include "headrace/data/read/commit_list.h"
#include "headrace/data/read/listing.h"
#include "headrace/data/read/record_log.h"
#include "headrace/data/read/source.h"
#include "headrace/data/testing.h"

namespace headrace {
namespace {

using testing::TempDir;
using Texts = std::vector<std::string>;

std::string DeadTag() {
  const std::string tag = OwnerTag();
  return tag.substr(0, tag.rfind('-')) + "-1";  // A process of this number, that began earlier.
}

class CommitTest : public ::testing::Test {
 protected:
  // Returns the files that a reader of the directory sees.
  Texts Seen() const {
    FileSourceOptions options;
    options.format = "csv";
    options.paths = {dir_.path()};
    options.ignore_missing_paths = true;
    auto listing = ListFiles(options);
    Texts names;
    if (!listing.ok()) return names;
    for (const ListedFile& file : listing->files) {
      names.push_back(file.path.substr(dir_.path().size() + 1));
    }
    return names;
  }
  Texts Standing() const {
    Texts names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      if (entry.is_regular_file()) {
        names.push_back(std::filesystem::relative(entry.path(), dir_.path()).string());
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string Temporary(const std::string& name) const { return ".headrace-" + tag_ + "/" + name; }
  LogRecord Move(const std::string& name) const {
    return {"move", dir_ / Temporary(name), dir_ / name};
  }
  void List(const std::string& name, std::vector<LogRecord> records) const {
    records.push_back({"end"});
    dir_.Write(Temporary(name), EncodeRecordLog(records));
  }

  TempDir dir_;
  arrow::fs::LocalFileSystem files_;
  const std::string tag_ = "run-" + DeadTag();
};

TEST_F(CommitTest, ADriverThatDiedWhileItMovedFiles) {
  dir_.Write("old.csv", "old");
  dir_.Write("a.csv", "new");
  dir_.Write(Temporary("b.csv"), "new");
  dir_.Write(Temporary("torn"), "of a task that was lost");
  List("commit", {Move("a.csv"), Move("b.csv"), {"remove", dir_ / "old.csv"}});
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  // As if it had not been: who runs the job again does not get its rows twice.
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, AListWithoutItsEndIsNone) {
  dir_.Write("old.csv", "old");
  dir_.Write(Temporary("a.csv"), "new");
  dir_.Write(Temporary("commit"), EncodeRecordLog({Move("a.csv"), {"remove", dir_ / "old.csv"}}));
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, AListNamesNothingOutsideOfItsDirectory) {
  dir_.Write("out/old.csv", "old");
  dir_.Write("copy/old.csv", "old");
  CommitList list;
  list.old_files = {dir_ / "out/old.csv"};
  dir_.Write("copy/" + Temporary("committed"), EncodeCommitList(list, dir_ / "out"));
  ASSERT_TRUE(RecoverWrites(&files_, dir_ / "copy").ok());
  EXPECT_EQ(Standing(), Texts{"out/old.csv"});
}

TEST_F(CommitTest, WhatLiesBehindALinkIsNotOverwritten) {
  dir_.Write("else/a.csv", "somebody else's");
  dir_.Write("out/old.csv", "old");
  std::filesystem::create_directory_symlink(dir_ / "else", dir_ / "out/link");
  ASSERT_TRUE(CommitWrite(&files_, dir_ / "out", "run", {}, WriteMode::kOverwrite).ok());
  EXPECT_EQ(Standing(), Texts{"else/a.csv"});
}

TEST_F(CommitTest, ADriverThatDiedWhileItRemovedFiles) {
  dir_.Write("old_2/old.csv", "old");
  dir_.Write("a.csv", "new");
  List("committed",
       {Move("a.csv"), {"remove", dir_ / "old.csv"}, {"remove", dir_ / "old_2/old.csv"}});
  EXPECT_EQ(Seen(), Texts{"a.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"a.csv"});
  EXPECT_FALSE(std::filesystem::exists(dir_ / "old_2"));
}

TEST_F(CommitTest, ADriverThatDiedBeforeItsCommit) {
  dir_.Write("old.csv", "old");
  dir_.Write(Temporary("a.csv"), "new");
  dir_.Write(Temporary("commit.new"), "headrace-rec");
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, ADirectoryOfLeftoversGoesWithThem) {
  dir_.Write("out/" + Temporary("a.csv"), "new");
  ASSERT_TRUE(RecoverWrites(&files_, dir_ / "out").ok());
  EXPECT_FALSE(std::filesystem::exists(dir_ / "out"));
  ASSERT_TRUE(RecoverWrites(&files_, dir_ / "out").ok());
}

TEST_F(CommitTest, TheLivingAreLeftAlone) {
  dir_.Write(".headrace-run-" + OwnerTag() + "/a.csv", "mine");
  dir_.Write(".headrace-run-elsewhere-1-1/a.csv", "another host's");
  dir_.Write(".headrace-checkpoint-ab-0/a.csv", "of a checkpoint of which nothing is known");
  dir_.Write(".headrace-checkpoint-cd-0/checkpoint", OwnerPlace() + "\n" + dir_.path() + "\n");
  dir_.Write(".headrace-checkpoint-ef-0/checkpoint", "elsewhere\n/none\n");
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing().size(), 5U);
}

TEST_F(CommitTest, WhatARemovedCheckpointLeftGoes) {
  dir_.Write("old.csv", "old");
  dir_.Write(".headrace-checkpoint-ab-0/checkpoint", OwnerPlace() + "\n" + (dir_ / "none") + "\n");
  dir_.Write(".headrace-checkpoint-ab-0/a.csv", "written, but of no use any more");
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, AMoveThatFailsTakesBackTheOthers) {
  dir_.Write("old.csv", "old");
  dir_.Write(Temporary("a.csv"), "new");
  arrow::StringBuilder paths, temporary_paths;
  arrow::Int64Builder numbers;
  for (const char* name : {"a.csv", "lost.csv"}) {
    ASSERT_TRUE(paths.Append(dir_ / name).ok());
    ASSERT_TRUE(temporary_paths.Append(dir_ / Temporary(name)).ok());
    ASSERT_TRUE(numbers.Append(3).ok());
  }
  const auto counts = numbers.Finish().ValueOrDie();
  const Block results(arrow::Table::Make(
      WriteResultSchema(),
      {paths.Finish().ValueOrDie(), temporary_paths.Finish().ValueOrDie(), counts, counts}));
  EXPECT_TRUE(
      CommitWrite(&files_, dir_.path(), tag_, {results}, WriteMode::kOverwrite).IsIOError());
  EXPECT_EQ(Standing(), (Texts{Temporary("a.csv"), "old.csv"}));
  ASSERT_TRUE(AbortWrite(&files_, dir_.path(), tag_).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST(OwnerTest, KnowsTheDead) {
  EXPECT_FALSE(OwnerIsGone(".headrace-x-" + OwnerTag()));
  EXPECT_TRUE(OwnerIsGone(".headrace-x-" + DeadTag()));
  EXPECT_FALSE(OwnerIsGone(".headrace-x"));
  EXPECT_FALSE(OwnerIsGone(".headrace-checkpoint-00000000000000000000000000000000-1"));
}

}  // namespace
}  // namespace headrace
