#include "headrace/data/exchange/accumulator.h"

#include <arrow/type.h>

#include <utility>

#include "headrace/data/exchange/accumulator_kinds.h"
#include "headrace/protocol/exchange_schema.h"

namespace headrace {

namespace accumulator {

void Seen::Resize(std::int64_t groups) {
  groups_ = groups;
  if (tracks_) bits_.resize(static_cast<std::size_t>(groups));
}

void Seen::Track() {
  if (tracks_) return;
  tracks_ = true;
  bits_.assign(static_cast<std::size_t>(groups_), 0);
  for (std::int64_t i = 0; i < with_rows_; ++i) bits_[i] = kValue;
}

Grouped GroupValues(const std::vector<std::uint32_t>& groups, std::int64_t num_groups) {
  Grouped grouped;
  grouped.offsets.assign(static_cast<std::size_t>(num_groups) + 1, 0);
  if (num_groups == 1) {
    grouped.offsets[1] = static_cast<std::int64_t>(groups.size());
    return grouped;
  }
  for (const std::uint32_t group : groups) ++grouped.offsets[group + 1];
  for (std::size_t i = 1; i < grouped.offsets.size(); ++i) {
    grouped.offsets[i] += grouped.offsets[i - 1];
  }
  std::vector<std::int64_t> next(grouped.offsets.begin(), grouped.offsets.end() - 1);
  grouped.order.resize(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    grouped.order[next[groups[i]]++] = static_cast<std::uint32_t>(i);
  }
  return grouped;
}

}  // namespace accumulator

namespace {

Result<accumulator::Ptr> MakeOfKind(accumulator::Setting setting) {
  switch (setting.aggregate.kind) {
    case AggregateKind::kCount:
      return accumulator::MakeCount(std::move(setting));
    case AggregateKind::kMissingShare:
    case AggregateKind::kZeroShare:
      return accumulator::MakeShare(std::move(setting));
    case AggregateKind::kMin:
    case AggregateKind::kMax:
      if (auto text = accumulator::MakeText(setting)) return text;
      return accumulator::MakeNumber(std::move(setting));
    case AggregateKind::kSum:
    case AggregateKind::kAbsMax:
      return accumulator::MakeNumber(std::move(setting));
    case AggregateKind::kMean:
    case AggregateKind::kStd:
      return accumulator::MakeMoments(std::move(setting));
    case AggregateKind::kQuantile:
      return accumulator::MakeQuantile(std::move(setting));
    case AggregateKind::kList:
      return accumulator::MakeList(std::move(setting));
    case AggregateKind::kUnique:
    case AggregateKind::kCountDistinct:
      return accumulator::MakeUnique(std::move(setting));
    case AggregateKind::kFirst:
      return accumulator::MakeFirst(std::move(setting));
  }
  return Status::NotImplemented("an aggregate of an unknown kind");
}

}  // namespace

Result<std::unique_ptr<Accumulator>> Accumulator::Make(
    const AggregateSpec& aggregate, const std::shared_ptr<arrow::DataType>& column,
    arrow::MemoryPool* pool) {
  accumulator::Setting setting{aggregate, column, nullptr, pool};
  if (column->id() == arrow::Type::DICTIONARY) {
    setting.column = static_cast<const arrow::DictionaryType&>(*column).value_type();
  }
  ARROW_ASSIGN_OR_RAISE(auto result, AggregateType(aggregate, setting.column));
  setting.result = result;
  ARROW_ASSIGN_OR_RAISE(auto made, MakeOfKind(std::move(setting)));
  made->result_type_ = std::move(result);
  return made;
}

Result<std::unique_ptr<Accumulator>> Accumulator::MakeForStates(const AggregateSpec& aggregate,
                                                                const arrow::DataTypeVector& states,
                                                                arrow::MemoryPool* pool) {
  switch (aggregate.kind) {
    case AggregateKind::kSum:
    case AggregateKind::kMin:
    case AggregateKind::kMax:
    case AggregateKind::kAbsMax:
    case AggregateKind::kFirst:
      return Make(aggregate, states.front(), pool);
    case AggregateKind::kList:
    case AggregateKind::kUnique:
    case AggregateKind::kCountDistinct: {
      if (states.front()->id() == arrow::Type::NA) return Make(aggregate, states.front(), pool);
      const auto& list = static_cast<const arrow::ListType&>(*states.front());
      return Make(aggregate, list.value_type(), pool);
    }
    default:
      return Make(aggregate, arrow::float64(), pool);
  }
}

std::vector<std::string> Accumulator::StateNames(const AggregateSpec& aggregate) {
  const auto names = [&](std::vector<std::string> whats) {
    for (std::string& what : whats) what = aggregate.name + "#" + what;
    return whats;
  };
  switch (aggregate.kind) {
    case AggregateKind::kCount:
      return names({"count"});
    case AggregateKind::kSum:
      return names({"sum"});
    case AggregateKind::kMin:
      return names({"min"});
    case AggregateKind::kMax:
      return names({"max"});
    case AggregateKind::kAbsMax:
      return names({"abs_max"});
    case AggregateKind::kMean:
      return names({"sum", "count"});
    case AggregateKind::kStd:
      return names({"count", "mean", "m2"});
    case AggregateKind::kMissingShare:
    case AggregateKind::kZeroShare:
      return names({"rows", "hits"});
    case AggregateKind::kFirst:
      return names({"first"});
    case AggregateKind::kQuantile:
    case AggregateKind::kList:
    case AggregateKind::kUnique:
    case AggregateKind::kCountDistinct:
      return names({"values"});
  }
  return {};
}

}  // namespace headrace
