#include "headrace/data/exchange/words_table.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/type.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/data/exchange/growing.h"
#include "headrace/data/exchange/hash_slots.h"
#include "headrace/data/exchange/key_bits.h"

namespace headrace {

namespace {

using group_table::BitsKind;

constexpr std::int64_t kStrideOfWords = 256;  // Rows whose slots are fetched ahead together.

// Where bits stand.
struct BitPlace {
  std::size_t word = 0;
  int shift = 0;
};

struct KeyPlace {
  std::shared_ptr<arrow::DataType> type;
  BitsKind kind = BitsKind::kNone;
  BitPlace value;
  BitPlace null;  // kFold.
};

struct WordsLayout {
  std::vector<KeyPlace> keys;
  std::vector<int> used;  // Bits of each word.

  // Takes bits of the first word that has so many.
  BitPlace Take(int width) {
    for (std::size_t word = 0;; ++word) {
      if (word == used.size()) used.push_back(0);
      if (used[word] + width > 64) continue;
      used[word] += width;
      return {word, used[word] - width};
    }
  }
};

template <std::size_t kWords>
class WordsTable : public GroupTable {
 public:
  WordsTable(std::vector<KeyPlace> keys, Use use, arrow::MemoryPool* pool)
      : places_(std::move(keys)), use_(use), pool_(pool) {}

  Status Add(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* ids) override {
    ARROW_RETURN_NOT_OK(CheckRoom(rows));
    Walk(*this, keys, rows, ids);
    return Status::OK();
  }

  Status Find(const arrow::ArrayVector& keys, std::int64_t rows,
              std::uint32_t* ids) const override {
    Walk(*this, keys, rows, ids);
    return Status::OK();
  }

  Result<arrow::ArrayVector> Keys(std::int64_t begin, std::int64_t end) const override {
    const std::int64_t rows = end - begin;
    std::vector<std::uint64_t> values(static_cast<std::size_t>(rows));
    arrow::ArrayVector arrays;
    for (const KeyPlace& place : places_) {
      const int width = group_table::WidthOf(place.kind);
      const std::uint64_t mask = ~std::uint64_t{0} >> (64 - width);
      bool has_nulls = false;
      for (std::int64_t i = 0; i < rows; ++i) {
        const Words& words = keys_[static_cast<std::size_t>(begin + i)];
        values[static_cast<std::size_t>(i)] = words[place.value.word] >> place.value.shift & mask;
        has_nulls |= IsNull(words, place);
      }
      std::shared_ptr<arrow::Buffer> validity;
      if (has_nulls) {
        ARROW_ASSIGN_OR_RAISE(validity, arrow::AllocateEmptyBitmap(rows, pool_));
        for (std::int64_t i = 0; i < rows; ++i) {
          const Words& words = keys_[static_cast<std::size_t>(begin + i)];
          arrow::bit_util::SetBitTo(validity->mutable_data(), i, !IsNull(words, place));
        }
      }
      ARROW_ASSIGN_OR_RAISE(auto array,
                            group_table::ArrayOfBits(place.type, place.kind, values.data(), rows,
                                                     std::move(validity), pool_));
      arrays.push_back(std::move(array));
    }
    return arrays;
  }

 private:
  using Words = std::array<std::uint64_t, kWords>;

  using Slot = group_table::KeySlot<Words>;

  // The rows of one stride.
  struct Stride {
    Words keys[kStrideOfWords];
    std::size_t homes[kStrideOfWords];
    bool absent[kStrideOfWords];  // kJoin: some key is null.
  };

  static std::uint64_t Hash(const Words& words) {
    std::uint64_t hash = 0x8F3B2C6D9A17E455ULL;
    for (const std::uint64_t word : words) {
      hash = group_table::Mix(hash ^ word, 0xD6E8FEB86659FD93ULL);
    }
    return hash;
  }

  // In line, where operator== would call memcmp.
  static bool SameKey(const Words& a, const Words& b) {
    std::uint64_t differ = 0;
    for (std::size_t i = 0; i < kWords; ++i) differ |= a[i] ^ b[i];
    return differ == 0;
  }

  static bool IsNull(const Words& words, const KeyPlace& place) {
    return (words[place.null.word] >> place.null.shift & 1) != 0;
  }

  void Load(const arrow::ArrayVector& keys, std::int64_t begin, std::int64_t count,
            Stride* stride) const {
    std::fill_n(stride->keys, count, Words{});
    std::fill_n(stride->absent, count, false);
    std::uint64_t values[kStrideOfWords];
    for (std::size_t k = 0; k < places_.size(); ++k) {
      const KeyPlace& place = places_[k];
      const arrow::Array& array = *keys[k];
      group_table::LoadBits(place.kind, *array.data(), begin, count, values);
      for (std::int64_t i = 0; i < count && array.null_count() > 0; ++i) {
        if (!array.IsNull(begin + i)) continue;
        values[i] = 0;
        stride->absent[i] = use_ == Use::kJoin;
        if (use_ == Use::kFold) {
          stride->keys[i][place.null.word] |= std::uint64_t{1} << place.null.shift;
        }
      }
      const auto [word, shift] = place.value;
      for (std::int64_t i = 0; i < count; ++i) stride->keys[i][word] |= values[i] << shift;
    }
  }

  // `Self`: const, and only those groups are found that there are; or not, and more are made.
  template <class Self>
  static void Walk(Self& self, const arrow::ArrayVector& keys, std::int64_t rows,
                   std::uint32_t* ids) {
    Stride stride;
    for (std::int64_t begin = 0; begin < rows; begin += kStrideOfWords) {
      const std::int64_t count = std::min(kStrideOfWords, rows - begin);
      self.Load(keys, begin, count, &stride);
      if constexpr (!std::is_const_v<Self>) {
        self.slots_.Reserve(self.num_groups_ + count,
                            [](const Slot& slot) { return Hash(slot.key); });
      }
      for (std::int64_t i = 0; i < count; ++i) {
        stride.homes[i] = self.slots_.Seek(Hash(stride.keys[i]));
      }
      for (std::int64_t i = 0; i < count; ++i) {
        ids[begin + i] = stride.absent[i] ? kNoGroup : Probe(self, stride.keys[i], stride.homes[i]);
      }
    }
  }

  template <class Self>
  static std::uint32_t Probe(Self& self, const Words& key, std::size_t index) {
    return group_table::GroupOf(self.slots_, key, index, SameKey, [&] {
      if constexpr (!std::is_const_v<Self>) {
        if (self.use_ == Use::kFold) self.keys_.push_back(key);
        ++self.num_groups_;
      }
      return static_cast<std::uint32_t>(self.num_groups_ - 1);
    });
  }

  const std::vector<KeyPlace> places_;
  const Use use_;
  arrow::MemoryPool* const pool_;
  group_table::Slots<Slot> slots_;
  Growing<Words> keys_;  // kFold: of each group.
};

}  // namespace

std::unique_ptr<GroupTable> MakeWordsTable(const arrow::DataTypeVector& types, GroupTable::Use use,
                                           arrow::MemoryPool* pool) {
  WordsLayout layout;
  for (const auto& type : types) {
    KeyPlace& key = layout.keys.emplace_back();
    key.type = type;
    key.kind = group_table::BitsKindOf(*type);
    if (key.kind == BitsKind::kNone) return nullptr;
    key.value = layout.Take(group_table::WidthOf(key.kind));
  }
  if (use == GroupTable::Use::kFold) {
    for (KeyPlace& key : layout.keys) key.null = layout.Take(1);
  }
  switch (layout.used.size()) {
    case 1:
      return std::make_unique<WordsTable<1>>(std::move(layout.keys), use, pool);
    case 2:
      return std::make_unique<WordsTable<2>>(std::move(layout.keys), use, pool);
    case 3:
      return std::make_unique<WordsTable<3>>(std::move(layout.keys), use, pool);
    case 4:
      return std::make_unique<WordsTable<4>>(std::move(layout.keys), use, pool);
    default:
      return nullptr;
  }
}

}  // namespace headrace
