#include <arrow/array.h>
#include <arrow/array/util.h>
#include <arrow/chunked_array.h>
#include <arrow/type.h>

#include <limits>
#include <numeric>
#include <utility>

#include "headrace/block/unify.h"
#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/data/exchange/accumulator_lane.h"
#include "headrace/data/exchange/gather.h"
#include "headrace/data/exchange/group_table.h"

// Lists of values: all, or each once.

namespace headrace::accumulator {

namespace {

// The values in order of groups, and the lists cut out of them.
class Lists {
 public:
  bool made() const { return values_ != nullptr; }

  Status Make(const std::shared_ptr<arrow::ChunkedArray>& values,
              const std::vector<std::uint32_t>& groups, std::int64_t num_groups,
              arrow::MemoryPool* pool) {
    Grouped grouped = GroupValues(groups, num_groups);
    offsets_ = std::move(grouped.offsets);
    if (num_groups == 1) {
      values_ = values;
      return Status::OK();
    }
    return GatherColumn(values, grouped.order, pool).Value(&values_);
  }

  Result<std::shared_ptr<arrow::Array>> Slice(const std::shared_ptr<arrow::DataType>& value_type,
                                              std::int64_t begin, std::int64_t end,
                                              arrow::MemoryPool* pool) const {
    const std::int64_t first = offsets_[begin];
    const std::int64_t count = offsets_[end] - first;
    if (count > std::numeric_limits<std::int32_t>::max()) {
      return Status::CapacityError("a list column would have more than 2^31 - 1 values");
    }
    std::vector<std::int64_t> offsets;
    for (std::int64_t i = begin; i <= end; ++i) offsets.push_back(offsets_[i] - first);
    ARROW_ASSIGN_OR_RAISE(auto ends, MakeLaneArray(arrow::int32(), offsets, nullptr, pool));
    std::shared_ptr<arrow::Array> values;
    const auto slice = values_->Slice(first, count);
    if (slice->num_chunks() == 1) {
      values = slice->chunk(0);
    } else if (count == 0) {
      ARROW_ASSIGN_OR_RAISE(values, arrow::MakeEmptyArray(value_type, pool));
    } else {
      ARROW_ASSIGN_OR_RAISE(values, JoinArrays(slice->chunks(), pool));
    }
    return arrow::ListArray::FromArrays(*ends, *values, pool);
  }

 private:
  std::shared_ptr<arrow::ChunkedArray> values_;
  std::vector<std::int64_t> offsets_;
};

// Returns the elements of a list column; sets `groups` to the group of each.
std::shared_ptr<arrow::Array> Flatten(const arrow::Array& column, const GroupIds& ids,
                                      std::vector<std::uint32_t>* groups) {
  const auto& lists = static_cast<const arrow::ListArray&>(column);
  groups->clear();
  for (std::int64_t i = 0; i < ids.rows; ++i) {
    groups->insert(groups->end(), static_cast<std::size_t>(lists.value_length(i)), GroupOf(ids, i));
  }
  return lists.values()->Slice(lists.value_offset(0),
                               lists.value_offset(ids.rows) - lists.value_offset(0));
}

// Arrow's own does not know views.
Result<std::shared_ptr<arrow::Array>> DropNulls(const arrow::Array& column,
                                                arrow::MemoryPool* pool) {
  std::vector<std::uint32_t> rows;
  rows.reserve(static_cast<std::size_t>(column.length() - column.null_count()));
  for (std::int64_t i = 0; i < column.length(); ++i) {
    if (column.IsValid(i)) rows.push_back(static_cast<std::uint32_t>(i));
  }
  ARROW_ASSIGN_OR_RAISE(
      auto values,
      GatherColumn(std::make_shared<arrow::ChunkedArray>(column.Slice(0)), rows, pool));
  return JoinArrays(values->chunks(), pool);
}

// What both kinds share: rows without their nulls, states, lists.
class ListsAccumulator : public Accumulator {
 public:
  explicit ListsAccumulator(Setting setting) : setting_(std::move(setting)) {}

  void Resize(std::int64_t groups) override { num_groups_ = groups; }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    const bool drop = setting_.aggregate.ignore_nulls && column->null_count() > 0;
    groups_.clear();
    for (std::int64_t i = 0; i < ids.rows; ++i) {
      if (!drop || column->IsValid(i)) groups_.push_back(GroupOf(ids, i));
    }
    auto values = column->Slice(0);
    if (drop) {
      ARROW_ASSIGN_OR_RAISE(values, DropNulls(*column, setting_.pool));
    }
    return AddValues(values, groups_);
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    const auto values = Flatten(*states.front(), ids, &groups_);
    return AddValues(values, groups_);
  }

  arrow::DataTypeVector state_types() const override { return {arrow::list(setting_.column)}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(auto column, MakeLists(begin, end));
    return arrow::ArrayVector{std::move(column)};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    return MakeLists(begin, end);
  }

 protected:
  virtual Status AddValues(const std::shared_ptr<arrow::Array>& values,
                           const std::vector<std::uint32_t>& groups) = 0;
  // Sets lists_.
  virtual Status Finish() = 0;

  Result<std::shared_ptr<arrow::Array>> MakeLists(std::int64_t begin, std::int64_t end) {
    if (!lists_.made()) ARROW_RETURN_NOT_OK(Finish());
    return lists_.Slice(setting_.column, begin, end, setting_.pool);
  }

  const Setting setting_;
  std::int64_t num_groups_ = 0;
  Lists lists_;

 private:
  std::vector<std::uint32_t> groups_;  // Scratch.
};

class ListAccumulator : public ListsAccumulator {
 public:
  explicit ListAccumulator(Setting setting)
      : ListsAccumulator(std::move(setting)), values_(setting_.column, setting_.pool) {}

 protected:
  Status AddValues(const std::shared_ptr<arrow::Array>& values,
                   const std::vector<std::uint32_t>& groups) override {
    groups_.insert(groups_.end(), groups.begin(), groups.end());
    return values_.Append(values);
  }

  Status Finish() override {
    ARROW_ASSIGN_OR_RAISE(auto values, values_.Column());
    return lists_.Make(values, groups_, num_groups_, setting_.pool);
  }

 private:
  ArrayPile values_;
  std::vector<std::uint32_t> groups_;
};

// The pairs of a group and a value are groups of their own.
class UniqueAccumulator : public ListsAccumulator {
 public:
  UniqueAccumulator(Setting setting, std::unique_ptr<GroupTable> pairs)
      : ListsAccumulator(std::move(setting)), pairs_(std::move(pairs)) {}

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    if (setting_.aggregate.kind != AggregateKind::kCountDistinct) return MakeLists(begin, end);
    if (counts_.empty()) {
      ARROW_ASSIGN_OR_RAISE(auto pairs, pairs_->Keys(0, pairs_->num_groups()));
      counts_.resize(static_cast<std::size_t>(num_groups_));
      const auto* groups = pairs[0]->data()->GetValues<std::uint32_t>(1);
      for (std::int64_t i = 0; i < pairs_->num_groups(); ++i) ++counts_[groups[i]];
    }
    const std::vector<std::int64_t> counts(counts_.begin() + begin, counts_.begin() + end);
    return MakeLaneArray(arrow::int64(), counts, nullptr, setting_.pool);
  }

 protected:
  Status AddValues(const std::shared_ptr<arrow::Array>& values,
                   const std::vector<std::uint32_t>& groups) override {
    const auto group_column =
        std::make_shared<arrow::UInt32Array>(values->length(), arrow::Buffer::Wrap(groups));
    pair_ids_.resize(groups.size());
    return pairs_->Add({group_column, values}, values->length(), pair_ids_.data());
  }

  Status Finish() override {
    ARROW_ASSIGN_OR_RAISE(auto pairs, pairs_->Keys(0, pairs_->num_groups()));
    const auto* groups = pairs[0]->data()->GetValues<std::uint32_t>(1);
    return lists_.Make(std::make_shared<arrow::ChunkedArray>(pairs[1]),
                       std::vector<std::uint32_t>(groups, groups + pairs_->num_groups()),
                       num_groups_, setting_.pool);
  }

 private:
  std::unique_ptr<GroupTable> pairs_;
  std::vector<std::uint32_t> pair_ids_;  // Scratch.
  std::vector<std::int64_t> counts_;
};

}  // namespace

Ptr MakeList(Setting setting) { return std::make_unique<ListAccumulator>(std::move(setting)); }

Result<Ptr> MakeUnique(Setting setting) {
  ARROW_ASSIGN_OR_RAISE(auto pairs, GroupTable::Make({arrow::uint32(), setting.column},
                                                     GroupTable::Use::kFold, setting.pool));
  return std::make_unique<UniqueAccumulator>(std::move(setting), std::move(pairs));
}

}  // namespace headrace::accumulator
