#include "headrace/data/transform/row_function.h"

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <utility>

#include "headrace/base/rng.h"

namespace headrace {

namespace {

constexpr int kRowBits = 33;

template <class ScalarType>
Result<typename ScalarType::ValueType> LiteralOf(const ExprPtr& e) {
  const auto* literal = e->As<expr::Literal>();
  const auto* value = literal ? dynamic_cast<const ScalarType*>(literal->value.get()) : nullptr;
  if (value == nullptr || !value->is_valid) {
    return Status::Invalid("random needs literals, an int64 and a bool, not ", ToString(e));
  }
  return value->value;
}

Result<std::uint64_t> SeedOf(const expr::Call& call, const TaskContext& context) {
  if (call.arguments.size() != 2) {
    return Status::Invalid("random takes a seed and whether each run draws anew, not ",
                           call.arguments.size(), " arguments");
  }
  ARROW_ASSIGN_OR_RAISE(const std::int64_t seed, LiteralOf<arrow::Int64Scalar>(call.arguments[0]));
  ARROW_ASSIGN_OR_RAISE(const bool reseed, LiteralOf<arrow::BooleanScalar>(call.arguments[1]));
  Rng mixed(static_cast<std::uint64_t>(seed));
  return context.position.Seed(reseed ? mixed() + Rng(context.seed)() : mixed());
}

}  // namespace

Result<std::optional<RowFunction>> RowFunction::Find(const expr::Call& call,
                                                     const TaskContext& context) {
  RowFunction function;
  if (call.function == "random") {
    function.is_random_ = true;
    ARROW_ASSIGN_OR_RAISE(function.base_, SeedOf(call, context));
    return function;
  }
  if (call.function != "monotonically_increasing_id") return std::nullopt;
  if (!call.arguments.empty()) return Status::Invalid(call.function, " takes no arguments");
  function.base_ = context.task_number << kRowBits;
  return function;
}

Result<std::shared_ptr<arrow::Array>> RowFunction::Values(std::int64_t first_row, std::int64_t rows,
                                                          arrow::MemoryPool* pool) const {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer,
                        arrow::AllocateBuffer(rows * std::int64_t{sizeof(double)}, pool));
  if (!is_random_) {
    auto* ids = reinterpret_cast<std::int64_t*>(buffer->mutable_data());
    const auto first = static_cast<std::int64_t>(base_) + first_row;
    for (std::int64_t i = 0; i < rows; ++i) ids[i] = first + i;
    return std::make_shared<arrow::Int64Array>(rows, std::move(buffer));
  }
  Rng rng(base_);
  rng.Skip(static_cast<std::uint64_t>(first_row));
  auto* numbers = reinterpret_cast<double*>(buffer->mutable_data());
  for (std::int64_t i = 0; i < rows; ++i) numbers[i] = rng.Uniform();
  return std::make_shared<arrow::DoubleArray>(rows, std::move(buffer));
}

}  // namespace headrace
