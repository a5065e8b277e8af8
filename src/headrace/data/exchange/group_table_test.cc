#include "headrace/data/exchange/group_table.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/rng.h"
#include "headrace/data/exchange/hash_slots.h"
#include "headrace/data/exchange/key_hash.h"
#include "headrace/data/exchange/testing.h"
#include "headrace/data/exchange/words_table.h"

namespace headrace {
namespace {

using Use = GroupTable::Use;

// The keys of each row as text, which is the same for keys that are the same.
std::vector<std::string> TextsOf(const arrow::ArrayVector& keys) {
  std::vector<std::string> texts(static_cast<std::size_t>(keys.front()->length()));
  for (const auto& key : keys) {
    for (std::int64_t i = 0; i < key->length(); ++i) {
      std::string text = key->IsNull(i) ? "null" : key->GetScalar(i).ValueOrDie()->ToString();
      if (text == "-0") text = "0";
      if (text == "-nan") text = "nan";
      texts[static_cast<std::size_t>(i)] += text + "|";
    }
  }
  return texts;
}

arrow::ArrayVector RandomKeys(const arrow::DataTypeVector& types, std::int64_t rows, int null_of,
                              Rng* rng) {
  arrow::ArrayVector keys;
  for (const auto& type : types) keys.push_back(testing::RandomColumn(type, rows, null_of, rng));
  return keys;
}

// Groups rows in pieces, and compares with a map of texts.
void CheckTable(const arrow::DataTypeVector& types, Use use, int null_of, Rng* rng) {
  constexpr std::int64_t kRows = 1'000;
  auto table = GroupTable::Make(types, use, arrow::default_memory_pool()).ValueOrDie();
  std::map<std::string, std::uint32_t> expected;
  arrow::ArrayVector keys = RandomKeys(types, kRows, null_of, rng);
  std::vector<std::string> texts = TextsOf(keys);
  const auto absent = [&](const std::string& text) {
    return use == Use::kJoin && text.find("null") != std::string::npos;
  };
  for (std::int64_t begin = 0; begin < kRows; begin += 300) {
    const std::int64_t count = std::min<std::int64_t>(300, kRows - begin);
    arrow::ArrayVector piece;
    for (const auto& key : keys) piece.push_back(key->Slice(begin, count));
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(count));
    ASSERT_TRUE(table->Add(piece, count, ids.data()).ok());
    for (std::int64_t i = 0; i < count; ++i) {
      const std::string& text = texts[static_cast<std::size_t>(begin + i)];
      const std::uint32_t id = ids[static_cast<std::size_t>(i)];
      if (absent(text)) {
        ASSERT_EQ(id, GroupTable::kNoGroup) << text;
      } else {
        const auto next = static_cast<std::uint32_t>(expected.size());
        ASSERT_EQ(id, expected.emplace(text, next).first->second) << text;
      }
    }
  }
  const auto groups = static_cast<std::int64_t>(expected.size());
  ASSERT_EQ(table->num_groups(), groups);

  keys = RandomKeys(types, kRows, null_of, rng);
  texts = TextsOf(keys);
  std::vector<std::uint32_t> found(kRows);
  ASSERT_TRUE(table->Find(keys, kRows, found.data()).ok());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto at = absent(texts[i]) ? expected.end() : expected.find(texts[i]);
    ASSERT_EQ(found[i], at == expected.end() ? GroupTable::kNoGroup : at->second) << texts[i];
  }

  if (use == Use::kJoin) return;
  for (const auto& [begin, end] : {std::pair{std::int64_t{0}, groups / 3}, {groups / 3, groups}}) {
    const arrow::ArrayVector made = table->Keys(begin, end).ValueOrDie();
    for (std::size_t k = 0; k < types.size(); ++k) {
      ASSERT_TRUE(made[k]->type()->Equals(types[k]));
      ASSERT_TRUE(made[k]->ValidateFull().ok());
    }
    if (begin == end) continue;
    const std::vector<std::string> back = TextsOf(made);
    for (std::size_t i = 0; i < back.size(); ++i) {
      ASSERT_EQ(expected.at(back[i]), static_cast<std::uint32_t>(begin) + i);
    }
  }
}

const auto kByte = arrow::int8();
const auto kWord = arrow::int64();

// A table takes its slots by high bits, as an exchange takes its buckets.
TEST(HashSlots, NumbersOfABucketAreAllOverTheTable) {
  constexpr std::int64_t kRows = 100'000;
  constexpr int kBits = 8;
  for (const std::int64_t step : {1, 4, 1000}) {
    arrow::Int64Builder builder;
    for (std::int64_t i = 0; i < kRows; ++i) ASSERT_TRUE(builder.Append(i * step).ok());
    const auto keys = builder.Finish().ValueOrDie();
    const auto table = arrow::Table::Make(arrow::schema({arrow::field("k", keys->type())}), {keys});
    std::vector<std::uint64_t> hashes;
    ASSERT_TRUE(HashRows(*table, {"k"}, arrow::default_memory_pool(), &hashes).ok());
    for (const std::uint32_t buckets : {4U, 64U}) {
      std::bitset<(1 << kBits)> found;
      for (std::int64_t i = 0; i < kRows; ++i) {
        if (BucketOfHash(hashes[static_cast<std::size_t>(i)], buckets) != 0) continue;
        const auto bits = static_cast<std::uint64_t>(i * step);
        found.set(group_table::HashBits(bits) >> (64 - kBits));
      }
      EXPECT_GT(found.count(), found.size() * 9 / 10) << "steps " << step << ", of " << buckets;
    }
  }
}

TEST(GroupTableTest, AgreesWithAMap) {
  Rng rng(11);
  const std::vector<arrow::DataTypeVector> keys = {
      {kWord},
      {arrow::binary()},
      {kWord, kWord},
      {arrow::int32(), arrow::uint32()},
      {arrow::boolean(), kByte, arrow::uint16(), arrow::date32()},
      {arrow::float64(), arrow::float32()},
      {kWord, arrow::int32(), arrow::boolean(), arrow::float64()},
      {kWord, kWord, kWord, kWord},
      {kWord, kWord, kWord, kWord, kWord},
      {kWord, arrow::binary()},
  };
  for (const auto& types : keys) {
    for (const Use use : {Use::kFold, Use::kJoin}) {
      for (const int null_of : {0, 5, 2}) {
        SCOPED_TRACE(arrow::schema({arrow::field("first", types[0])})->ToString() + " and " +
                     std::to_string(types.size() - 1) + " more, " + std::to_string(null_of));
        CheckTable(types, use, null_of, &rng);
      }
    }
  }
}

// What few bits hold goes together; beyond four words there is no such table.
TEST(GroupTableTest, WordsAreForFewBytes) {
  const auto made = [](const arrow::DataTypeVector& types, Use use) {
    return MakeWordsTable(types, use, arrow::default_memory_pool()) != nullptr;
  };
  EXPECT_TRUE(made({kWord, kWord, kWord, kWord}, Use::kJoin));
  EXPECT_FALSE(made({kWord, kWord, kWord, kWord}, Use::kFold));  // No room for nulls.
  EXPECT_TRUE(made({kWord, kWord, kWord, arrow::int32(), kByte}, Use::kFold));
  EXPECT_TRUE(made(arrow::DataTypeVector(28, kByte), Use::kFold));
  EXPECT_FALSE(made(arrow::DataTypeVector(33, kByte), Use::kJoin));
  EXPECT_FALSE(made({kWord, arrow::binary()}, Use::kJoin));
}

}  // namespace
}  // namespace headrace
