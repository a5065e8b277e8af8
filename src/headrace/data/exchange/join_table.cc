#include "headrace/data/exchange/join_table.h"

#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

namespace headrace {

namespace {

// A hash table takes 25 to 50 bytes for each key, the list four for each number in the range, bits
// a quarter of one and four for each key.
constexpr std::uint64_t kListPerRow = 2;
constexpr std::uint64_t kListAlways = 32 << 10;
constexpr std::uint64_t kBitsPerRow = 96;
constexpr std::uint64_t kBitsAlways = 1 << 20;
constexpr std::uint64_t kRangeMax = std::uint64_t{1} << 32;

// Calls use(T{}) with the integer of which the type's values are; returns U() for others.
template <class U, class Use>
U WithInteger(const arrow::DataType& type, const Use& use) {
  switch (type.id()) {
    case arrow::Type::INT8:
      return use(std::int8_t{});
    case arrow::Type::UINT8:
      return use(std::uint8_t{});
    case arrow::Type::INT16:
      return use(std::int16_t{});
    case arrow::Type::UINT16:
      return use(std::uint16_t{});
    case arrow::Type::INT32:
    case arrow::Type::DATE32:
    case arrow::Type::TIME32:
      return use(std::int32_t{});
    case arrow::Type::UINT32:
      return use(std::uint32_t{});
    case arrow::Type::INT64:
    case arrow::Type::DATE64:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DURATION:
      return use(std::int64_t{});
    case arrow::Type::UINT64:
      return use(std::uint64_t{});
    default:
      return U();
  }
}

// Signs are drawn out, so that differences are right.
template <class T>
std::uint64_t Widen(T value) {
  using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
  return static_cast<std::uint64_t>(static_cast<Wide>(value));
}

// Returns how many bits are set; no instruction of every processor does.
std::uint32_t CountBits(std::uint32_t bits) {
  bits -= bits >> 1 & 0x55555555U;
  bits = (bits & 0x33333333U) + (bits >> 2 & 0x33333333U);
  return ((bits + (bits >> 4)) & 0x0F0F0F0FU) * 0x01010101U >> 24;
}

// Calls use(i, is_null, value) for all rows.
template <class T, class Use>
void ForEach(const arrow::Array& keys, const Use& use) {
  const T* const values = keys.data()->GetValues<T>(1);
  if (keys.null_count() == 0) {
    for (std::int64_t i = 0; i < keys.length(); ++i) use(i, false, values[i]);
  } else {
    for (std::int64_t i = 0; i < keys.length(); ++i) use(i, keys.IsNull(i), values[i]);
  }
}

}  // namespace

template <class T>
std::size_t DenseGroups::MarkKeys(const arrow::ChunkedArray& keys, std::uint64_t least,
                                  group_table::Zeroed<Word>* words) {
  for (const auto& chunk : keys.chunks()) {
    ForEach<T>(*chunk, [&](std::int64_t, bool is_null, T value) {
      const std::uint64_t at = Widen(value) - least;
      if (!is_null) words->data()[at / 32].bits |= std::uint32_t{1} << at % 32;
    });
  }
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < words->size(); ++i) {
    Word& word = words->data()[i];
    word.before = before;
    before += CountBits(word.bits);
  }
  return before;
}

template <bool kMarked>
std::size_t DenseGroups::PlaceOf(std::uint64_t at) const {
  if constexpr (!kMarked) return at;
  const Word word = words_.data()[at / 32];
  const std::uint32_t bit = std::uint32_t{1} << at % 32;
  return (word.bits & bit) == 0 ? kNowhere : word.before + CountBits(word.bits & (bit - 1));
}

template <class T>
std::unique_ptr<DenseGroups> DenseGroups::MakeOf(const arrow::ChunkedArray& keys,
                                                 std::uint32_t* groups) {
  T least = std::numeric_limits<T>::max();
  T most = std::numeric_limits<T>::min();
  for (const auto& chunk : keys.chunks()) {
    ForEach<T>(*chunk, [&](std::int64_t, bool is_null, T value) {
      if (is_null) return;
      least = std::min(least, value);
      most = std::max(most, value);
    });
  }
  if (least > most) return nullptr;  // Nulls alone.
  const std::uint64_t first = Widen(least);
  const std::uint64_t last = Widen(most) - first;
  const auto rows = static_cast<std::uint64_t>(keys.length());
  if (last >= kRangeMax || last >= std::max(kBitsAlways, kBitsPerRow * rows)) return nullptr;
  const std::uint64_t range = last + 1;
  const bool is_list = range <= std::max(kListAlways, kListPerRow * rows);
  group_table::Zeroed<Word> words(is_list ? 0 : range / 32 + 1);
  const std::size_t listed = is_list ? range : MarkKeys<T>(keys, first, &words);
  auto made = std::unique_ptr<DenseGroups>(new DenseGroups(first, range, 0, listed));
  made->words_.Swap(&words);
  std::uint32_t num_groups = 0;
  for (const auto& chunk : keys.chunks()) {
    ForEach<T>(*chunk, [&](std::int64_t i, bool is_null, T value) {
      if (is_null) {
        groups[i] = GroupTable::kNoGroup;
        return;
      }
      const std::uint64_t at = Widen(value) - first;
      std::uint32_t& number =
          made->numbers_.data()[is_list ? at : made->PlaceOf</*kMarked=*/true>(at)];
      if (number == 0) number = ++num_groups;
      groups[i] = number - 1;
    });
    groups += chunk->length();
  }
  made->num_groups_ = num_groups;
  return made;
}

std::unique_ptr<DenseGroups> DenseGroups::Make(const arrow::ChunkedArray& keys,
                                               std::uint32_t* groups) {
  return WithInteger<std::unique_ptr<DenseGroups>>(
      *keys.type(), [&](auto integer) { return MakeOf<decltype(integer)>(keys, groups); });
}

template <bool kMarked>
void DenseGroups::FindIn(const arrow::Array& keys, std::uint32_t* groups) const {
  const std::uint32_t* const numbers = numbers_.data();
  WithInteger<bool>(*keys.type(), [&](auto integer) {
    ForEach<decltype(integer)>(keys, [&](std::int64_t i, bool is_null, auto value) {
      const std::uint64_t at = Widen(value) - least_;
      const std::size_t place = at < range_ && !is_null ? PlaceOf<kMarked>(at) : kNowhere;
      // No number is 0, and one less is no group.
      groups[i] = (place == kNowhere ? 0 : numbers[place]) - 1;
    });
    return true;
  });
}

void DenseGroups::Find(const arrow::Array& keys, std::uint32_t* groups) const {
  words_.size() > 0 ? FindIn<true>(keys, groups) : FindIn<false>(keys, groups);
}

Result<JoinTable> JoinTable::Make(const arrow::Table& keys, arrow::MemoryPool* pool) {
  if (keys.num_rows() >= kNoGroup) {
    return Status::CapacityError("more than 2^32 - 2 rows on the right side of one join task");
  }
  JoinTable table;
  std::vector<std::uint32_t> groups(static_cast<std::size_t>(keys.num_rows()));
  if (keys.num_columns() == 1) table.dense_ = DenseGroups::Make(*keys.column(0), groups.data());
  if (table.dense_) {
    table.SetRows(std::move(groups), table.dense_->num_groups());
    return table;
  }
  arrow::DataTypeVector types;
  for (const auto& field : keys.fields()) types.push_back(field->type());
  ARROW_ASSIGN_OR_RAISE(table.groups_, GroupTable::Make(types, GroupTable::Use::kJoin, pool));
  arrow::TableBatchReader reader(keys);
  reader.set_chunksize(64 << 10);
  std::int64_t row = 0;
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (!batch) break;
    ARROW_RETURN_NOT_OK(
        table.groups_->Add(batch->columns(), batch->num_rows(), groups.data() + row));
    row += batch->num_rows();
  }
  table.SetRows(std::move(groups), static_cast<std::size_t>(table.groups_->num_groups()));
  return table;
}

void JoinTable::SetRows(std::vector<std::uint32_t> groups, std::size_t num_groups) {
  met_.resize(num_groups);
  groups_are_rows_ = num_groups == groups.size();  // For they are numbered as they appear.
  if (groups_are_rows_) return;
  begins_.resize(num_groups + 1);
  for (const std::uint32_t group : groups) {
    if (group != kNoGroup) ++begins_[group + 1];
  }
  for (std::size_t i = 1; i <= num_groups; ++i) begins_[i] += begins_[i - 1];
  rows_.resize(begins_.back());
  std::vector<std::uint32_t> next(begins_.begin(), begins_.end() - 1);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != kNoGroup) rows_[next[groups[i]]++] = static_cast<std::uint32_t>(i);
  }
  group_of_row_ = std::move(groups);
}

Status JoinTable::Find(const arrow::ArrayVector& keys, std::int64_t rows,
                       std::uint32_t* groups) const {
  if (!dense_) return groups_->Find(keys, rows, groups);
  dense_->Find(*keys.front(), groups);
  return Status::OK();
}

std::vector<std::uint32_t> JoinTable::RowsThatMet(bool met) const {
  std::vector<std::uint32_t> rows;
  const std::size_t count = groups_are_rows_ ? met_.size() : group_of_row_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t group = groups_are_rows_ ? static_cast<std::uint32_t>(i) : group_of_row_[i];
    if ((group != kNoGroup && met_[group]) == met) rows.push_back(static_cast<std::uint32_t>(i));
  }
  return rows;
}

}  // namespace headrace
