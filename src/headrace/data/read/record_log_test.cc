#include "headrace/data/read/record_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace headrace {
namespace {

class RecordLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 ("headrace-record-log-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
    path_ = directory_ / "manifest";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string Bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Put(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  RecordLogContents Open() {
    RecordLogContents contents;
    auto log = RecordLog::Open(path_, &contents);
    EXPECT_TRUE(log.ok()) << log.status().ToString();
    return contents;
  }
  Status OpenStatus() {
    RecordLogContents contents;
    return RecordLog::Open(path_, &contents).status();
  }

  std::filesystem::path directory_;
  std::filesystem::path path_;
  const std::vector<LogRecord> records_ = {{"run", "r1"}, {"file", "a\tb\n\\t", ""}, {"x"}};
};

TEST_F(RecordLogTest, GivesBackWhatWasWritten) {
  auto log = RecordLog::Create(path_, {records_[0]}).ValueOrDie();
  ASSERT_TRUE(log->Append({records_[1], records_[2]}).ok());
  ASSERT_TRUE(log->Sync().ok());
  EXPECT_EQ(Open().records, records_);
  EXPECT_FALSE(std::filesystem::exists(path_.string() + ".new"));
}

// At whatever byte the writer died: the records before are there, and the next one fits behind.
TEST_F(RecordLogTest, ForgetsATornLastLine) {
  {
    auto log = RecordLog::Create(path_, {records_[0]}).ValueOrDie();
    ASSERT_TRUE(log->Append({records_[1]}).ok());
  }
  const std::string whole = Bytes();
  const std::size_t last = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t size = last; size < whole.size(); ++size) {
    Put(whole.substr(0, size));
    RecordLogContents contents;
    auto log = RecordLog::Open(path_, &contents).ValueOrDie();
    ASSERT_EQ(contents.records, std::vector<LogRecord>{records_[0]}) << size;
    ASSERT_TRUE(log->Append({records_[2]}).ok());
    const std::vector<LogRecord> expected{records_[0], records_[2]};
    ASSERT_EQ(Open().records, expected) << size;
  }
}

TEST_F(RecordLogTest, ForgetsALastLineOfZeros) {
  RecordLog::Create(path_, {records_[0]}).ValueOrDie();
  Put(Bytes() + std::string(30, '\0') + "\n");
  EXPECT_EQ(Open().records, std::vector<LogRecord>{records_[0]});
}

TEST_F(RecordLogTest, RefusesADamagedLine) {
  RecordLog::Create(path_, records_).ValueOrDie();
  std::string bytes = Bytes();
  bytes[bytes.find("r1")] = 'q';
  Put(bytes);
  const Status status = OpenStatus();
  EXPECT_TRUE(status.IsInvalid());
  EXPECT_NE(status.message().find("line 2 is damaged"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find(path_.string()), std::string::npos) << status.message();
}

TEST_F(RecordLogTest, RefusesAnotherVersion) {
  RecordLog::Create(path_, {{"headrace-records", "2"}}).ValueOrDie();
  const std::string bytes = Bytes();
  Put(bytes.substr(bytes.find('\n') + 1));
  const Status status = OpenStatus();
  EXPECT_NE(status.message().find("has version 2, this is version 1"), std::string::npos)
      << status.message();
}

TEST_F(RecordLogTest, RefusesOtherFiles) {
  for (const char* bytes : {"", "PAR1", "not\ta log\n", "headrace-records\t1\t00000000\n"}) {
    Put(bytes);
    EXPECT_TRUE(OpenStatus().IsInvalid()) << bytes;
  }
  std::filesystem::remove(path_);
  EXPECT_TRUE(OpenStatus().IsIOError());
}

}  // namespace
}  // namespace headrace
