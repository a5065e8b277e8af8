#include "headrace/runtime/store/spill_file.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "headrace/base/rng.h"
#include "headrace/block/block.h"

namespace headrace {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRows = 100'000;

std::shared_ptr<arrow::Table> MakeSpillTable() {
  arrow::Int64Builder numbers;
  arrow::StringBuilder texts;
  arrow::BooleanBuilder flags;
  for (std::int64_t i = 0; i < kRows; ++i) {
    EXPECT_TRUE((i % 7 == 0 ? numbers.AppendNull() : numbers.Append(i)).ok());
    EXPECT_TRUE(texts.Append("text " + std::to_string(i * i)).ok());
    EXPECT_TRUE(flags.Append(i % 3 == 0).ok());
  }
  const auto flat = numbers.Finish().ValueOrDie();
  const auto pairs = arrow::FixedSizeListArray::FromArrays(flat, 2).ValueOrDie();
  const auto half = [](const std::shared_ptr<arrow::Array>& array) {
    return array->Slice(0, kRows / 2);
  };
  return arrow::Table::Make(
      arrow::schema({arrow::field("n", flat->type()), arrow::field("s", arrow::utf8()),
                     arrow::field("b", arrow::boolean()), arrow::field("p", pairs->type())}),
      {half(flat), half(texts.Finish().ValueOrDie()), half(flags.Finish().ValueOrDie()), pairs});
}

class SpillFileTest : public ::testing::Test {
 protected:
  SpillFileTest() {
    std::string pattern = fs::temp_directory_path() / "spill-test-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/0.arrow";
    Write();
  }
  ~SpillFileTest() override {
    file_.reset();
    fs::remove_all(directory_);
  }
  void Write() {
    file_.reset();
    auto written = SpillFile::Write(*table_, path_);
    ASSERT_TRUE(written.ok()) << written.status();
    file_ = *written;
  }
  void Flip(std::int64_t place) const {
    std::fstream stream(path_, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(place);
    const int byte = stream.get();
    stream.seekp(place);
    stream.put(static_cast<char>(~byte));
  }
  void ExpectUnreadable(const std::string& reason) const {
    const Status status = file_->Read().status();
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.message().find("spilled to " + path_), std::string::npos) << status;
    EXPECT_NE(status.message().find(reason), std::string::npos) << status;
  }

  const std::shared_ptr<arrow::Table> table_ = MakeSpillTable();
  std::string directory_;
  std::string path_;
  std::shared_ptr<SpillFile> file_;
};

TEST_F(SpillFileTest, ComesBack) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE((*file_->Read())->Equals(*table_));
    EXPECT_TRUE((*file_->Read(1'000, 2'000))->Equals(*table_->Slice(1'000, 1'000)));
  }
  EXPECT_EQ(file_->num_bytes(), static_cast<std::int64_t>(fs::file_size(path_)));
  file_.reset();
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(SpillFileTest, OneThatIsGone) {
  fs::remove(path_);
  ExpectUnreadable("Failed to open");
}

TEST_F(SpillFileTest, OneThatIsCutOff) {
  fs::resize_file(path_, fs::file_size(path_) / 2);
  ExpectUnreadable(" bytes of ");
}

TEST_F(SpillFileTest, AByteThatChanged) {
  Rng rng(7);
  for (int i = 0; i < 60; ++i) {
    const auto place = static_cast<std::int64_t>(
        i < 2 ? i * 4 : rng.Below(static_cast<std::uint64_t>(file_->num_bytes())));
    Flip(place);
    const auto read = file_->Read();
    // What no row lies in, such as padding, may change.
    if (read.ok()) {
      EXPECT_TRUE((*read)->Equals(*table_)) << "at " << place;
    } else {
      EXPECT_NE(read.status().message().find("are not what was written"), std::string::npos);
    }
    Write();
  }
  Flip(file_->num_bytes() / 2);
  ExpectUnreadable("are not what was written");
}

TEST_F(SpillFileTest, OnlyRowsThatAreAskedForAreChecked) {
  const std::int64_t middle = file_->num_bytes() / 2;
  Flip(middle);
  EXPECT_TRUE(file_->Read(0, 10).ok());
  std::int64_t bad = 0;
  for (std::int64_t begin = 0; begin < kRows / 2; begin += 500) {
    const auto read = file_->Read(begin, begin + 500);
    if (!read.ok()) ++bad;
    if (read.ok()) {
      EXPECT_TRUE((*read)->Equals(*table_->Slice(begin, 500)));
    }
  }
  EXPECT_GT(bad, 0);
  EXPECT_LT(bad, 40);
}

std::shared_ptr<arrow::Table> MakeNoise(std::int64_t rows) {
  Rng rng(3);
  arrow::Int64Builder noise;
  for (std::int64_t i = 0; i < rows; ++i) {
    EXPECT_TRUE(noise.Append(static_cast<std::int64_t>(rng.Below(UINT64_MAX))).ok());
  }
  const auto array = noise.Finish().ValueOrDie();
  return arrow::Table::Make(arrow::schema({arrow::field("n", array->type())}), {array});
}

TEST_F(SpillFileTest, IsCompressedWhereThatHelps) {
  const std::int64_t bytes = MeasureBytes(*table_);
  EXPECT_LT(file_->num_bytes(), bytes * 3 / 4);
  const auto noise = MakeNoise(kRows);
  file_.reset();
  file_ = *SpillFile::Write(*noise, path_);
  EXPECT_LT(file_->num_bytes(), kRows * 8 * 101 / 100);
  EXPECT_TRUE((*file_->Read())->Equals(*noise));
}

TEST_F(SpillFileTest, RowsAreNearEachOther) {
  // All columns of a row are in one part: what is damaged there, rows elsewhere do not see.
  Flip(file_->num_bytes() - 100);
  EXPECT_TRUE((*file_->Read(0, kRows / 4))->Equals(*table_->Slice(0, kRows / 4)));
  EXPECT_FALSE(file_->Read(kRows / 2 - 1, kRows / 2).ok());
}

TEST_F(SpillFileTest, TablesOfOtherForms) {
  const auto dictionary = arrow::dictionary(arrow::int32(), arrow::utf8());
  arrow::StringDictionary32Builder words;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(words.Append(i % 2 == 0 ? "even" : "odd").ok());
  const std::shared_ptr<arrow::Table> tables[] = {
      arrow::Table::Make(arrow::schema({arrow::field("d", dictionary)}),
                         {words.Finish().ValueOrDie()}),
      arrow::Table::Make(arrow::schema(arrow::FieldVector{}), arrow::ChunkedArrayVector{}, 1000),
      *arrow::Table::FromRecordBatches(
          {*arrow::RecordBatch::FromStructArray(*arrow::StructArray::Make(
              {table_->column(0)->chunk(0)->Slice(3, 1000)}, {std::string("n")}))}),
  };
  for (const auto& table : tables) {
    file_.reset();
    file_ = *SpillFile::Write(*table, path_);
    EXPECT_TRUE((*file_->Read())->Equals(*table));
    const auto some = *file_->Read(10, 30);
    EXPECT_EQ(some->num_rows(), 20);
    EXPECT_TRUE(some->Equals(*table->Slice(10, 20)));
    EXPECT_EQ((*file_->Read(7, 7))->num_rows(), 0);
    EXPECT_TRUE((*file_->Read(7, 7))->schema()->Equals(*table->schema()));
  }
  file_.reset();
  file_ = *SpillFile::Write(*table_->Slice(0, 0), path_);
  EXPECT_EQ((*file_->Read())->num_rows(), 0);
}

}  // namespace
}  // namespace headrace
