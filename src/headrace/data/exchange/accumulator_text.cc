#include <arrow/array.h>
#include <arrow/array/builder_base.h>
#include <arrow/array/builder_binary.h>
#include <arrow/type.h>

#include <string>
#include <string_view>
#include <utility>

#include "headrace/data/exchange/accumulator_kinds.h"

// The least and the greatest text, by bytes.

namespace headrace::accumulator {

namespace {

template <class Array, class Builder>
class TextAccumulator : public Accumulator {
 public:
  explicit TextAccumulator(Setting setting)
      : setting_(std::move(setting)), max_(setting_.aggregate.kind == AggregateKind::kMax) {}

  void Resize(std::int64_t groups) override {
    states_.resize(static_cast<std::size_t>(groups));
    seen_.Resize(groups);
    seen_.Track();
  }

  Status AddRows(const arrow::Array* column, const GroupIds& ids) override {
    const auto& array = static_cast<const Array&>(*column);
    for (std::int64_t i = 0; i < ids.rows; ++i) {
      const std::uint32_t group = GroupOf(ids, i);
      if (array.IsNull(i)) {
        seen_.NoteNull(group);
        continue;
      }
      const std::string_view text = array.GetView(i);
      std::string& state = states_[group];
      if (!seen_.HasValue(group) || (max_ ? text > state : text < state)) state.assign(text);
      seen_.NoteValue(group);
    }
    return Status::OK();
  }

  Status AddStates(const arrow::ArrayVector& states, const GroupIds& ids) override {
    return AddRows(states.front().get(), ids);
  }

  arrow::DataTypeVector state_types() const override { return {setting_.result}; }

  Result<arrow::ArrayVector> States(std::int64_t begin, std::int64_t end) override {
    ARROW_ASSIGN_OR_RAISE(auto column, Results(begin, end));
    return arrow::ArrayVector{std::move(column)};
  }

  Result<std::shared_ptr<arrow::Array>> Results(std::int64_t begin, std::int64_t end) override {
    Builder builder(setting_.result, setting_.pool);
    ARROW_RETURN_NOT_OK(builder.Reserve(end - begin));
    for (std::int64_t i = begin; i < end; ++i) {
      if (seen_.IsValid(i, setting_.aggregate.ignore_nulls)) {
        ARROW_RETURN_NOT_OK(builder.Append(std::string_view(states_[i])));
      } else {
        ARROW_RETURN_NOT_OK(builder.AppendNull());
      }
    }
    return builder.Finish();
  }

 private:
  const Setting setting_;
  const bool max_;
  std::vector<std::string> states_;
  Seen seen_;
};

}  // namespace

Ptr MakeText(Setting setting) {
  switch (setting.result->id()) {
    case arrow::Type::STRING:
      return std::make_unique<TextAccumulator<arrow::StringArray, arrow::StringBuilder>>(setting);
    case arrow::Type::LARGE_STRING:
      return std::make_unique<TextAccumulator<arrow::LargeStringArray, arrow::LargeStringBuilder>>(
          setting);
    case arrow::Type::BINARY:
      return std::make_unique<TextAccumulator<arrow::BinaryArray, arrow::BinaryBuilder>>(setting);
    case arrow::Type::LARGE_BINARY:
      return std::make_unique<TextAccumulator<arrow::LargeBinaryArray, arrow::LargeBinaryBuilder>>(
          setting);
    case arrow::Type::STRING_VIEW:
      return std::make_unique<TextAccumulator<arrow::StringViewArray, arrow::StringViewBuilder>>(
          setting);
    case arrow::Type::BINARY_VIEW:
      return std::make_unique<TextAccumulator<arrow::BinaryViewArray, arrow::BinaryViewBuilder>>(
          setting);
    case arrow::Type::FIXED_SIZE_BINARY:
      return std::make_unique<
          TextAccumulator<arrow::FixedSizeBinaryArray, arrow::FixedSizeBinaryBuilder>>(setting);
    default:
      return nullptr;
  }
}

}  // namespace headrace::accumulator
