#include "headrace/data/consume/commit.h"

#include <arrow/api.h>
#include <arrow/filesystem/localfs.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

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
  // Of files of three bytes.
  LogRecord Move(const std::string& name, const std::string& aside = "") const {
    return {"move", dir_ / Temporary(name), dir_ / name, "3", "0", aside};
  }
  LogRecord Remove(const std::string& name) const { return {"remove", dir_ / name, "3", "0"}; }
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
  List("commit", {Move("a.csv"), Move("b.csv"), Remove("old.csv")});
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  // As if it had not been: who runs the job again does not get its rows twice.
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, AListWithoutItsEndIsNone) {
  dir_.Write("old.csv", "old");
  dir_.Write(Temporary("a.csv"), "new");
  dir_.Write(Temporary("commit"), EncodeRecordLog({Move("a.csv"), Remove("old.csv")}));
  EXPECT_EQ(Seen(), Texts{"old.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, AListNamesNothingOutsideOfItsDirectory) {
  dir_.Write("out/old.csv", "old");
  dir_.Write("copy/old.csv", "old");
  CommitList list;
  list.old_files = {{dir_ / "out/old.csv", {3, 0}}};
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
  List("committed", {Move("a.csv"), Remove("old.csv"), Remove("old_2/old.csv")});
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

TEST_F(CommitTest, WhatWasBeingRemovedGoes) {
  dir_.Write("old.csv", "old");
  dir_.Write(".headrace-gone-checkpoint-ab-0/a.csv", "of one who died while it removed it");
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, ADirectoryOfLeftoversStays) {
  dir_.Write("out/" + Temporary("a.csv"), "new");
  EXPECT_TRUE(RecoverWrites(&files_, dir_ / "out").ValueOrDie());
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "out"));
  EXPECT_FALSE(RecoverWrites(&files_, dir_ / "out").ValueOrDie());
}

TEST_F(CommitTest, WhatADeadDriverMovedGoesWithTheDirectoryItCameFrom) {
  // Moved out of an earlier attempt's directory, which went first.
  dir_.Write("a.csv", "new");
  dir_.Write("b.csv", "old");
  CommitList list;
  list.moves = {{dir_ / ".headrace-run-0/a.csv", dir_ / "a.csv", {3, 0}, {}}};
  dir_.Write(Temporary("commit"), EncodeCommitList(list, dir_.path()));
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"b.csv"});
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

// The lines that follow the path of something below `directory`, `depth` names deep.
std::string Above(std::filesystem::path directory, int depth) {
  std::string lines;
  for (int i = 1; i < depth; ++i) lines += "0:0\n";  // Gone by now.
  for (;; directory = directory.parent_path()) {
    struct stat state = {};
    EXPECT_EQ(::stat(directory.c_str(), &state), 0);
    lines += std::to_string(state.st_dev) + ":" + std::to_string(state.st_ino) + "\n";
    if (directory == directory.root_path()) return lines;
  }
}

TEST_F(CommitTest, WhatIsNotSeenFromHereIsNotGone) {
  const std::string begin = OwnerPlace() + "\n" + (dir_ / "none") + "\n";
  dir_.Write(".headrace-checkpoint-ab-0/checkpoint", begin);
  dir_.Write(".headrace-checkpoint-cd-0/checkpoint", begin + "1:1\n2:2\n3:3\n4:4\n");
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing().size(), 2U);
}

TEST_F(CommitTest, WhatARemovedCheckpointLeftGoes) {
  dir_.Write("old.csv", "old");
  for (const char* name : {"none", "none/below"}) {
    const int depth = name == std::string("none") ? 1 : 2;
    dir_.Write(".headrace-checkpoint-" + std::to_string(depth) + "-0/checkpoint",
               OwnerPlace() + "\n" + (dir_ / name) + "\n" + Above(dir_.path(), depth));
  }
  dir_.Write(".headrace-checkpoint-ab-0/checkpoint",
             OwnerPlace() + "\n" + (dir_ / "none") + "\n" + Above(dir_.path(), 1));
  dir_.Write(".headrace-checkpoint-ab-0/a.csv", "written, but of no use any more");
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, WhatACheckpointLeftThatWasMadeAgainGoes) {
  std::filesystem::create_directory(dir_ / "again");
  struct stat state = {};
  ASSERT_EQ(::stat((dir_ / "again").c_str(), &state), 0);
  const auto lines = [&](dev_t device) {
    return OwnerPlace() + "\n" + (dir_ / "again/mark") + "\n" + std::to_string(device) + ":0\n" +
           Above(dir_.path(), 1);
  };
  dir_.Write(".headrace-checkpoint-ab-0/checkpoint", lines(state.st_dev));
  dir_.Write(".headrace-checkpoint-cd-0/checkpoint", lines(state.st_dev + 1));
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_FALSE(std::filesystem::exists(dir_ / ".headrace-checkpoint-ab-0"));
  EXPECT_TRUE(std::filesystem::exists(dir_ / ".headrace-checkpoint-cd-0")) << "another disk's";
}

// The results of a write of files with these names.
Block Results(const TempDir& dir, const std::string& temporary, const Texts& names) {
  arrow::StringBuilder paths, temporary_paths;
  arrow::Int64Builder numbers;
  for (const std::string& name : names) {
    EXPECT_TRUE(paths.Append(dir / name).ok());
    EXPECT_TRUE(temporary_paths.Append(dir / (temporary + "/" + name)).ok());
    EXPECT_TRUE(numbers.Append(3).ok());
  }
  const auto counts = numbers.Finish().ValueOrDie();
  return Block(arrow::Table::Make(
      WriteResultSchema(),
      {paths.Finish().ValueOrDie(), temporary_paths.Finish().ValueOrDie(), counts, counts}));
}

TEST_F(CommitTest, AMoveThatFailsTakesBackTheOthers) {
  dir_.Write("old.csv", "old");
  dir_.Write("sub", "a file where a directory must be");
  dir_.Write(Temporary("a.csv"), "new");
  dir_.Write(Temporary("sub/b.csv"), "new");
  const Block results = Results(dir_, ".headrace-" + tag_, {"a.csv", "sub/b.csv"});
  EXPECT_FALSE(CommitWrite(&files_, dir_.path(), tag_, {results}, WriteMode::kOverwrite).ok());
  EXPECT_EQ(Standing(), (Texts{Temporary("a.csv"), Temporary("sub/b.csv"), "old.csv", "sub"}));
  ASSERT_TRUE(AbortWrite(&files_, dir_.path(), tag_).ok());
  EXPECT_EQ(Standing(), (Texts{"old.csv", "sub"}));
}

TEST_F(CommitTest, AFileThatIsLostFailsBeforeAnythingIsMoved) {
  dir_.Write("old.csv", "old");
  dir_.Write(Temporary("a.csv"), "new");
  const Block results = Results(dir_, ".headrace-" + tag_, {"a.csv", "lost.csv"});
  const Status status = CommitWrite(&files_, dir_.path(), tag_, {results}, WriteMode::kOverwrite);
  EXPECT_TRUE(status.IsIOError());
  EXPECT_NE(status.message().find("lost.csv"), std::string::npos);
  EXPECT_EQ(Standing(), (Texts{Temporary("a.csv"), "old.csv"}));
}

TEST_F(CommitTest, WhatWasWrittenUnderAnOldNameSinceStays) {
  dir_.Write("old.csv", "not what the list means: it was written later");
  dir_.Write("older.csv", "old");
  dir_.Write("a.csv", "new");
  List("committed", {Move("a.csv"), Remove("old.csv"), Remove("older.csv")});
  EXPECT_EQ(Seen(), (Texts{"a.csv", "old.csv"}));
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), (Texts{"a.csv", "old.csv"}));
}

TEST_F(CommitTest, WhatWasWrittenUnderANewNameSinceStays) {
  dir_.Write("a.csv", "not what was moved there");
  dir_.Write("b.csv", "new");
  List("commit", {Move("a.csv"), Move("b.csv")});
  EXPECT_EQ(Seen(), Texts{"a.csv"});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"a.csv"});
}

TEST_F(CommitTest, AFileOfTheSameSizeIsToldByItsTime) {
  dir_.Write("old.csv", "old");
  LogRecord remove = Remove("old.csv");
  remove[3] = "1000";  // Of 1970.
  List("committed", {remove});
  ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
  EXPECT_EQ(Standing(), Texts{"old.csv"});
}

TEST_F(CommitTest, WhatDeadDriversLeftBelowGoesWithTheRest) {
  dir_.Write("k=1/old.csv", "old");
  dir_.Write("k=1/a.csv", "new");
  dir_.Write("k=1/" + Temporary("b.csv"), "new");
  dir_.Write(
      "k=1/" + Temporary("commit"),
      EncodeRecordLog({{"move", "./" + Temporary("a.csv"), "./a.csv", "3", "0", ""}, {"end"}}));
  dir_.Write("k=1/.headrace-run-" + OwnerTag() + "/c.csv", "of one that lives");
  ASSERT_TRUE(CommitWrite(&files_, dir_.path(), "run", {}, WriteMode::kOverwrite).ok());
  EXPECT_EQ(Standing(), Texts{"k=1/.headrace-run-" + OwnerTag() + "/c.csv"});
}

TEST_F(CommitTest, FilesTakeThePlaceOfOthersOfTheirName) {
  dir_.Write("a.csv", "old");
  dir_.Write("b.csv", "old");
  dir_.Write(Temporary("a.csv"), "newer");
  const Block results = Results(dir_, ".headrace-" + tag_, {"a.csv"});
  ASSERT_TRUE(CommitWrite(&files_, dir_.path(), tag_, {results}, WriteMode::kOverwrite).ok());
  EXPECT_EQ(Standing(), Texts{"a.csv"});
  EXPECT_EQ(std::filesystem::file_size(dir_ / "a.csv"), 5U);
}

TEST_F(CommitTest, ADriverThatDiedWhileFilesTookThePlaceOfOthers) {
  for (const bool moved : {false, true}) {
    dir_.Write(Temporary("aside/0"), "the old one");
    if (moved) dir_.Write("a.csv", "new");
    if (!moved) dir_.Write(Temporary("a.csv"), "new");
    dir_.Write(Temporary("b.csv"), "new");
    dir_.Write("b.csv", "old");  // As long as the new one.
    List("commit",
         {Move("a.csv", dir_ / Temporary("aside/0")), Move("b.csv", dir_ / Temporary("aside/1"))});
    EXPECT_EQ(Seen(), (Texts{Temporary("aside/0"), "b.csv"}));
    ASSERT_TRUE(RecoverWrites(&files_, dir_.path()).ok());
    EXPECT_EQ(Standing(), (Texts{"a.csv", "b.csv"}));
    EXPECT_EQ(std::filesystem::file_size(dir_ / "a.csv"), 11U);
  }
}

TEST_F(CommitTest, AnAppendIsSeenWholeOrNotAtAll) {
  constexpr int kFiles = 12;
  std::atomic<bool> ended = false;
  std::thread writer([&] {
    for (int run = 0; run < 60; ++run) {
      const std::string name = "run" + std::to_string(run) + "-" + OwnerTag();
      Texts names;
      for (int i = 0; i < kFiles; ++i) {
        names.push_back(std::to_string(run) + "_" + std::to_string(i) + ".csv");
        dir_.Write(".headrace-" + name + "/" + names.back(), "new");
      }
      const Block results = Results(dir_, ".headrace-" + name, names);
      EXPECT_TRUE(CommitWrite(&files_, dir_.path(), name, {results}, WriteMode::kAppend).ok());
    }
    ended = true;
  });
  while (!ended) {
    const Texts seen = Seen();
    EXPECT_EQ(seen.size() % kFiles, 0U);
  }
  writer.join();
  EXPECT_EQ(Seen().size(), 60U * kFiles);
}

TEST_F(CommitTest, PartitionsObeyTheListsAboveThem) {
  dir_.Write("k=1/old.csv", "old");
  dir_.Write("k=1/a.csv", "new");
  List("commit", {Move("k=1/a.csv")});
  FileSourceOptions options;
  options.format = "csv";
  options.paths = {dir_ / "k=1"};
  const auto listing = ListFiles(options);
  ASSERT_TRUE(listing.ok());
  ASSERT_EQ(listing->files.size(), 1U);
  EXPECT_EQ(listing->files[0].path, dir_ / "k=1/old.csv");
}

TEST_F(CommitTest, AListThatCannotBeReadSaysWhatToDo) {
  dir_.Write("a.csv", "new");
  dir_.Write(Temporary("commit"), "of somebody else\n");
  FileSourceOptions options;
  options.format = "csv";
  options.paths = {dir_.path()};
  const auto listing = ListFiles(options);
  ASSERT_FALSE(listing.ok());
  EXPECT_NE(listing.status().message().find("remove " + (dir_ / (".headrace-" + tag_))),
            std::string::npos);
}

TEST(PathBelowTest, SlashesAtTheEndsDoNotCount) {
  EXPECT_EQ(PathBelow("/out/a.csv", "out/"), "a.csv");
  EXPECT_EQ(PathBelow("out//a.csv", "out/"), "a.csv");
  EXPECT_EQ(PathBelow("outer/a.csv", "out"), std::nullopt);
  EXPECT_EQ(PathBelow("out", "out"), std::nullopt);
}

TEST(OwnerTest, KnowsTheDead) {
  EXPECT_FALSE(OwnerIsGone(".headrace-x-" + OwnerTag()));
  EXPECT_TRUE(OwnerIsGone(".headrace-x-" + DeadTag()));
  EXPECT_FALSE(OwnerIsGone(".headrace-x"));
  EXPECT_FALSE(OwnerIsGone(".headrace-checkpoint-00000000000000000000000000000000-1"));
}

}  // namespace
}  // namespace headrace
