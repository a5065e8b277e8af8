#include "headrace/data/exchange/group_table.h"

#include <arrow/array.h>
#include <arrow/array/builder_binary.h>
#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/chunked_array.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/type_traits.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/block/unify.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/growing.h"
#include "headrace/data/exchange/hash_slots.h"
#include "headrace/data/exchange/key_bits.h"
#include "headrace/data/exchange/key_column.h"
#include "headrace/data/exchange/sort_key.h"
#include "headrace/data/exchange/words_table.h"

namespace headrace {

namespace {

constexpr std::int64_t kStride = 256;  // Rows whose slots are fetched ahead together.

using group_table::ArrayOfBits;
using group_table::BitsKind;
using group_table::BitsKindOf;
using group_table::HashBits;
using group_table::HashBytes;
using group_table::LoadBits;
using group_table::Slots;

// ---- One key of at most 8 bytes.

class BitsTable : public GroupTable {
 public:
  BitsTable(std::shared_ptr<arrow::DataType> type, BitsKind kind, Use use, arrow::MemoryPool* pool)
      : type_(std::move(type)), kind_(kind), use_(use), pool_(pool) {}

  Status Add(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* ids) override {
    ARROW_RETURN_NOT_OK(CheckRoom(rows));
    Walk(*this, *keys.front(), rows, ids);
    return Status::OK();
  }

  Status Find(const arrow::ArrayVector& keys, std::int64_t rows,
              std::uint32_t* ids) const override {
    Walk(*this, *keys.front(), rows, ids);
    return Status::OK();
  }

  Result<arrow::ArrayVector> Keys(std::int64_t begin, std::int64_t end) const override {
    const std::int64_t rows = end - begin;
    std::shared_ptr<arrow::Buffer> validity;
    if (null_group_ >= begin && null_group_ < end) {
      ARROW_ASSIGN_OR_RAISE(validity, arrow::AllocateBitmap(rows, pool_));
      arrow::bit_util::SetBitsTo(validity->mutable_data(), 0, rows, true);
      arrow::bit_util::ClearBit(validity->mutable_data(), null_group_ - begin);
    }
    ARROW_ASSIGN_OR_RAISE(auto keys, ArrayOfBits(type_, kind_, keys_.data() + begin, rows,
                                                 std::move(validity), pool_));
    return arrow::ArrayVector{std::move(keys)};
  }

 private:
  using Slot = group_table::KeySlot<std::uint64_t>;

  // `Self`: const, and only those groups are found that there are; or not, and more are made.
  template <class Self>
  static void Walk(Self& self, const arrow::Array& array, std::int64_t rows, std::uint32_t* ids) {
    constexpr bool kAdd = !std::is_const_v<Self>;
    const bool has_nulls = array.null_count() > 0;
    std::uint64_t keys[kStride];
    std::size_t homes[kStride];
    for (std::int64_t begin = 0; begin < rows; begin += kStride) {
      const std::int64_t count = std::min(kStride, rows - begin);
      LoadBits(self.kind_, *array.data(), begin, count, keys);
      if constexpr (kAdd) {
        self.slots_.Reserve(self.num_groups_ + count,
                            [](const Slot& slot) { return HashBits(slot.key); });
      }
      for (std::int64_t i = 0; i < count; ++i) homes[i] = self.slots_.Seek(HashBits(keys[i]));
      for (std::int64_t i = 0; i < count; ++i) {
        if (has_nulls && array.IsNull(begin + i)) [[unlikely]] {
          ids[begin + i] = NullGroup(self);
        } else {
          ids[begin + i] = Probe(self, keys[i], homes[i]);
        }
      }
    }
  }

  template <class Self>
  static std::uint32_t Probe(Self& self, std::uint64_t key, std::size_t index) {
    return group_table::GroupOf(self.slots_, key, index, std::equal_to<>(), [&] {
      if constexpr (!std::is_const_v<Self>) {
        if (self.use_ == Use::kFold) self.keys_.push_back(key);
        ++self.num_groups_;
      }
      return static_cast<std::uint32_t>(self.num_groups_ - 1);
    });
  }

  template <class Self>
  static std::uint32_t NullGroup(Self& self) {
    if (self.use_ == Use::kJoin) return kNoGroup;
    if constexpr (!std::is_const_v<Self>) {
      if (self.null_group_ < 0) {
        self.null_group_ = self.num_groups_++;
        self.keys_.push_back(0);
      }
    }
    return self.null_group_ < 0 ? kNoGroup : static_cast<std::uint32_t>(self.null_group_);
  }

  const std::shared_ptr<arrow::DataType> type_;
  const BitsKind kind_;
  const Use use_;
  arrow::MemoryPool* const pool_;
  Slots<Slot> slots_;
  Growing<std::uint64_t> keys_;
  std::int64_t null_group_ = -1;
};

// ---- Keys that are bytes.

// Numbers byte strings. Keeps copies of them, each after its length.
class ByteTable {
 public:
  // Writes the ids of rows [0, rows). `get(i)` returns row i's bytes, or a view of nullptr for a
  // row that `absent()` gives the id. `on_new(i, copy)` is told which row made the next group.
  // `Self`: const, or more groups are made.
  template <class Self, class Get, class Absent, class OnNew>
  static void Walk(Self& self, std::int64_t rows, std::uint32_t* ids, std::int64_t* num_groups,
                   const Get& get, const Absent& absent, const OnNew& on_new) {
    constexpr bool kAdd = !std::is_const_v<Self>;
    std::string_view keys[kStride];
    std::uint64_t hashes[kStride];
    for (std::int64_t begin = 0; begin < rows; begin += kStride) {
      const std::int64_t count = std::min(kStride, rows - begin);
      if constexpr (kAdd) {
        self.slots_.Reserve(*num_groups + count,
                            [](const Slot& slot) { return std::uint64_t{slot.hash} << 32; });
      }
      for (std::int64_t i = 0; i < count; ++i) {
        keys[i] = get(begin + i);
        hashes[i] = keys[i].data() ? HashBytes(keys[i]) : 0;
        self.slots_.Seek(hashes[i]);
      }
      for (std::int64_t i = 0; i < count; ++i) {
        const Slot& slot = self.slots_[self.slots_.IndexOf(hashes[i])];
        if (slot.hash == hashes[i] >> 32) __builtin_prefetch(slot.copy);
      }
      for (std::int64_t i = 0; i < count; ++i) {
        const auto made = [&](const char* copy) { on_new(begin + i, copy); };
        ids[begin + i] =
            keys[i].data() ? Probe(self, keys[i], hashes[i], num_groups, made) : absent();
      }
    }
  }

  static std::string_view Read(const char* copy) {
    std::uint32_t size;
    std::memcpy(&size, copy, sizeof size);
    return {copy + sizeof size, size};
  }

 private:
  struct Slot {
    const char* copy;
    std::uint32_t hash;    // The high half.
    std::uint32_t number;  // The group's, and 1.
  };
  static constexpr std::size_t kChunkBytes = 256 << 10;

  template <class Self, class Made>
  static std::uint32_t Probe(Self& self, std::string_view key, std::uint64_t hash,
                             std::int64_t* num_groups, const Made& made) {
    const auto high = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t index = self.slots_.IndexOf(hash);; index = self.slots_.After(index)) {
      auto& slot = self.slots_[index];
      if (slot.number == 0) {
        if constexpr (std::is_const_v<Self>) {
          return GroupTable::kNoGroup;
        } else {
          slot = {self.Copy(key), high, static_cast<std::uint32_t>(++*num_groups)};
          made(slot.copy);
          return slot.number - 1;
        }
      }
      if (slot.hash == high && Read(slot.copy) == key) return slot.number - 1;
    }
  }

  const char* Copy(std::string_view key) {
    const std::size_t bytes = sizeof(std::uint32_t) + key.size();
    if (bytes > left_) {
      left_ = std::max(bytes, kChunkBytes);
      chunks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
      free_ = chunks_.back().get();
    }
    char* const copy = free_;
    const auto size = static_cast<std::uint32_t>(key.size());
    std::memcpy(copy, &size, sizeof size);
    std::memcpy(copy + sizeof size, key.data(), key.size());
    free_ += bytes;
    left_ -= bytes;
    return copy;
  }

  Slots<Slot> slots_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  char* free_ = nullptr;
  std::size_t left_ = 0;
};

// One text key. `Array`: its class.
template <class Array>
class TextTable : public GroupTable {
 public:
  TextTable(std::shared_ptr<arrow::DataType> type, Use use, arrow::MemoryPool* pool)
      : type_(std::move(type)), use_(use), pool_(pool) {}

  Status Add(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* ids) override {
    ARROW_RETURN_NOT_OK(CheckRoom(rows));
    Walk(*this, static_cast<const Array&>(*keys.front()), rows, ids);
    return Status::OK();
  }

  Status Find(const arrow::ArrayVector& keys, std::int64_t rows,
              std::uint32_t* ids) const override {
    Walk(*this, static_cast<const Array&>(*keys.front()), rows, ids);
    return Status::OK();
  }

  Result<arrow::ArrayVector> Keys(std::int64_t begin, std::int64_t end) const override {
    typename arrow::TypeTraits<typename Array::TypeClass>::BuilderType builder(type_, pool_);
    ARROW_RETURN_NOT_OK(builder.Reserve(end - begin));
    for (std::int64_t i = begin; i < end; ++i) {
      if (copies_[i]) {
        ARROW_RETURN_NOT_OK(builder.Append(ByteTable::Read(copies_[i])));
      } else {
        ARROW_RETURN_NOT_OK(builder.AppendNull());
      }
    }
    ARROW_ASSIGN_OR_RAISE(auto column, builder.Finish());
    return arrow::ArrayVector{std::move(column)};
  }

 private:
  template <class Self>
  static void Walk(Self& self, const Array& array, std::int64_t rows, std::uint32_t* ids) {
    const bool has_nulls = array.null_count() > 0;
    const auto get = [&](std::int64_t i) -> std::string_view {
      if (has_nulls && array.IsNull(i)) return {};
      const std::string_view text = array.GetView(i);
      return text.data() ? text : std::string_view("");
    };
    const auto absent = [&]() -> std::uint32_t {
      if (self.use_ == Use::kJoin) return kNoGroup;
      if constexpr (!std::is_const_v<Self>) {
        if (self.null_group_ == kNoGroup) {
          self.null_group_ = static_cast<std::uint32_t>(self.num_groups_++);
          self.copies_.push_back(nullptr);
        }
      }
      return self.null_group_;
    };
    if constexpr (std::is_const_v<Self>) {
      ByteTable::Walk(self.table_, rows, ids, nullptr, get, absent,
                      [](std::int64_t, const char*) {});
    } else {
      const auto on_new = [&](std::int64_t, const char* copy) {
        if (self.use_ == Use::kFold) self.copies_.push_back(copy);
      };
      ByteTable::Walk(self.table_, rows, ids, &self.num_groups_, get, absent, on_new);
    }
  }

  const std::shared_ptr<arrow::DataType> type_;
  const Use use_;
  arrow::MemoryPool* const pool_;
  ByteTable table_;
  std::vector<const char*> copies_;  // Of each group's key. Null: the group of null.
  std::uint32_t null_group_ = kNoGroup;
};

// Any keys. Those of a group are taken from its first row.
class EncodedTable : public GroupTable {
 public:
  EncodedTable(const arrow::DataTypeVector& types, Use use, arrow::MemoryPool* pool)
      : use_(use), pool_(pool) {
    arrow::FieldVector fields;
    for (std::size_t i = 0; i < types.size(); ++i) {
      sort_keys_.push_back({std::to_string(i), false, false});
      fields.push_back(arrow::field(sort_keys_.back().column, types[i]));
      if (use == Use::kFold) firsts_.emplace_back(types[i], pool);
    }
    schema_ = arrow::schema(std::move(fields));
  }

  Status Add(const arrow::ArrayVector& keys, std::int64_t rows, std::uint32_t* ids) override {
    ARROW_RETURN_NOT_OK(CheckRoom(rows));
    std::vector<std::uint32_t> made;
    ARROW_RETURN_NOT_OK(Walk(*this, keys, rows, ids, &made));
    if (use_ == Use::kJoin || made.empty()) return Status::OK();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      ARROW_ASSIGN_OR_RAISE(
          auto first, GatherColumn(std::make_shared<arrow::ChunkedArray>(keys[i]), made, pool_));
      ARROW_RETURN_NOT_OK(firsts_[i].Append(*first));
    }
    return Status::OK();
  }

  Status Find(const arrow::ArrayVector& keys, std::int64_t rows,
              std::uint32_t* ids) const override {
    return Walk(*this, keys, rows, ids, nullptr);
  }

  Result<arrow::ArrayVector> Keys(std::int64_t begin, std::int64_t end) const override {
    arrow::ArrayVector keys;
    for (const ArrayPile& first : firsts_) {
      ARROW_ASSIGN_OR_RAISE(const auto column, first.Column());
      const auto slice = column->Slice(begin, end - begin);
      if (slice->num_chunks() == 1) {
        keys.push_back(slice->chunk(0));
      } else {
        ARROW_ASSIGN_OR_RAISE(auto joined, JoinArrays(slice->chunks(), pool_));
        keys.push_back(std::move(joined));
      }
    }
    return keys;
  }

 private:
  template <class Self>
  static Status Walk(Self& self, const arrow::ArrayVector& keys, std::int64_t rows,
                     std::uint32_t* ids, std::vector<std::uint32_t>* made) {
    const auto table = arrow::Table::Make(self.schema_, keys, rows);
    ARROW_ASSIGN_OR_RAISE(auto encoder, SortKeyEncoder::Make(*table, self.sort_keys_, self.pool_));
    const EncodedKeys encoded = encoder.EncodeAll();
    arrow::ArrayVector nullable;
    for (const auto& key : keys) {
      if (self.use_ != Use::kJoin) break;
      // A dictionary may have a null among its values.
      ARROW_ASSIGN_OR_RAISE(auto plain, PlainArray(key, self.pool_));
      if (plain->null_count() > 0) nullable.push_back(std::move(plain));
    }
    const auto get = [&](std::int64_t i) -> std::string_view {
      for (const auto& key : nullable) {
        if (key->IsNull(i)) return {};
      }
      return encoded[static_cast<std::size_t>(i)];
    };
    const auto absent = [] { return kNoGroup; };
    const auto on_new = [&](std::int64_t i, const char*) {
      if (made) made->push_back(static_cast<std::uint32_t>(i));
    };
    if constexpr (std::is_const_v<Self>) {
      ByteTable::Walk(self.table_, rows, ids, nullptr, get, absent, on_new);
    } else {
      ByteTable::Walk(self.table_, rows, ids, &self.num_groups_, get, absent, on_new);
    }
    return Status::OK();
  }

  const Use use_;
  arrow::MemoryPool* const pool_;
  std::shared_ptr<arrow::Schema> schema_;
  std::vector<SortKey> sort_keys_;
  ByteTable table_;
  std::vector<ArrayPile> firsts_;
};

}  // namespace

Status GroupTable::CheckRoom(std::int64_t rows) const {
  if (num_groups_ + rows < kNoGroup) return Status::OK();
  return Status::CapacityError("more than 2^32 - 2 groups in one task");
}

Result<std::unique_ptr<GroupTable>> GroupTable::Make(const arrow::DataTypeVector& types, Use use,
                                                     arrow::MemoryPool* pool) {
  HEADRACE_CHECK(!types.empty());
  if (types.size() == 1) {
    const auto& type = types.front();
    const BitsKind kind = BitsKindOf(*type);
    if (kind != BitsKind::kNone) return std::make_unique<BitsTable>(type, kind, use, pool);
    switch (type->id()) {
      case arrow::Type::STRING:
        return std::make_unique<TextTable<arrow::StringArray>>(type, use, pool);
      case arrow::Type::LARGE_STRING:
        return std::make_unique<TextTable<arrow::LargeStringArray>>(type, use, pool);
      case arrow::Type::BINARY:
        return std::make_unique<TextTable<arrow::BinaryArray>>(type, use, pool);
      case arrow::Type::LARGE_BINARY:
        return std::make_unique<TextTable<arrow::LargeBinaryArray>>(type, use, pool);
      default:
        break;
    }
  }
  if (auto table = MakeWordsTable(types, use, pool)) return table;
  arrow::FieldVector fields;
  std::vector<SortKey> keys;
  for (std::size_t i = 0; i < types.size(); ++i) {
    keys.push_back({std::to_string(i), false, false});
    fields.push_back(arrow::field(keys.back().column, types[i]));
  }
  ARROW_RETURN_NOT_OK(CheckSortKeys(keys, *arrow::schema(std::move(fields)), /*any_type=*/true));
  return std::make_unique<EncodedTable>(types, use, pool);
}

ArrayPile::ArrayPile(std::shared_ptr<arrow::DataType> type, arrow::MemoryPool* pool)
    : type_(std::move(type)), pool_(pool) {}

Status ArrayPile::Append(std::shared_ptr<arrow::Array> chunk) {
  length_ += chunk->length();
  if (chunk->length() > 0) chunks_.push_back(std::move(chunk));
  // Each is more than twice as long as the next, so there are few and each row is copied seldom.
  while (chunks_.size() > 1) {
    const auto& last = chunks_[chunks_.size() - 1];
    const auto& before = chunks_[chunks_.size() - 2];
    if (before->length() > 2 * last->length() || before->length() > (64 << 10)) break;
    ARROW_ASSIGN_OR_RAISE(auto joined, JoinArrays({before, last}, pool_));
    chunks_.pop_back();
    chunks_.back() = std::move(joined);
  }
  return Status::OK();
}

Status ArrayPile::Append(const arrow::ChunkedArray& chunks) {
  for (const auto& chunk : chunks.chunks()) ARROW_RETURN_NOT_OK(Append(chunk));
  return Status::OK();
}

Result<std::shared_ptr<arrow::ChunkedArray>> ArrayPile::Column() const {
  if (!chunks_.empty()) return std::make_shared<arrow::ChunkedArray>(chunks_, type_);
  ARROW_ASSIGN_OR_RAISE(auto empty, arrow::MakeEmptyArray(type_, pool_));
  return std::make_shared<arrow::ChunkedArray>(std::move(empty));
}

}  // namespace headrace
