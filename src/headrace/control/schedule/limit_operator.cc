#include <utility>

#include "headrace/base/check.h"
#include "headrace/control/schedule/stream_operators.h"

namespace headrace {
namespace {

/// Returns the plan's cut program with its rows replaced. Its id changes with the rows, since
/// workers cache programs by id.
ProgramPtr WithRows(const TaskProgram& program, std::int64_t rows) {
  auto cut = std::make_shared<TaskProgram>(program);
  cut->steps = {LimitStep{.rows = rows}};
  cut->id ^= static_cast<std::uint64_t>(rows) * 0x9E3779B97F4A7C15ULL;
  return cut;
}

}  // namespace

void LimitBlocks::OnInput(int, RefBundle::Item block) {
  if (!wants_input()) return Discard(std::move(block), Place::kInputQueue);
  const std::int64_t rows = block.info.num_rows;
  if (rows <= rows_left_) {
    rows_left_ -= rows;
    return Emit(std::move(block), Place::kInputQueue);
  }
  cut_rows_ = std::exchange(rows_left_, 0);
  cut_ = std::move(block);
}

void LimitBlocks::OnBlock(std::uint64_t, RefBundle::Item block) {
  if (closed_) return Discard(std::move(block), Place::kOutputQueue);
  Emit(std::move(block), Place::kOutputQueue);
}

void LimitBlocks::Close() {
  closed_ = true;
  if (cut_) Discard(*std::exchange(cut_, std::nullopt), Place::kInputQueue);
  DiscardOutputs();
}

ProposedTask LimitBlocks::TakeWork() {
  HEADRACE_CHECK(HasWork());
  ProposedTask work{.program = WithRows(*spec_.cut_program, cut_rows_), .held = {}, .position = {}};
  work.position = cut_position_ = cut_->info.position;
  cut_name_ = cut_->name();
  work.held.items.push_back(*std::exchange(cut_, std::nullopt));
  return work;
}

ProposedTask LimitBlocks::TakeAgain(std::uint64_t) {
  ProposedTask work{.program = WithRows(*spec_.cut_program, cut_rows_), .held = {}, .position = {}};
  work.position = cut_position_;
  work.held.items.push_back(Lost(cut_name_));
  return work;
}

void LimitBlocks::AddTo(std::vector<std::int64_t>* book) const {
  PhysicalOperator::AddTo(book);
  if (cut_) AddItem(*cut_, Place::kInputQueue, book);
}

}  // namespace headrace
