#include "headrace/base/check.h"
#include "headrace/control/schedule/exchange_operator.h"
#include "headrace/control/schedule/row_batches.h"
#include "headrace/control/schedule/stream_operators.h"
#include "headrace/control/schedule/task_operator.h"

namespace headrace {

void InputBlocks::OnInput(int, RefBundle::Item) { HEADRACE_CHECK(false); }
void InputBlocks::OnInputEnd(int) { HEADRACE_CHECK(false); }
void InputBlocks::OnBlock(std::uint64_t, RefBundle::Item) { HEADRACE_CHECK(false); }
void InputBlocks::OnTaskEnd(std::uint64_t) { HEADRACE_CHECK(false); }

ProposedTask InputBlocks::TakeWork() {
  HEADRACE_CHECK(false);
  return {};
}

std::unique_ptr<PhysicalOperator> MakeOperator(const OperatorSpec& spec, OutputOrder order,
                                               const ExchangePlace& place, Ledger* ledger) {
  if (const auto* exchange = spec.As<ExchangeOperator>()) {
    if (exchange->kind == ExchangeKind::kRowBatches) {
      return std::make_unique<RowBatches>(*exchange, order.ordered, ledger);
    }
    return std::make_unique<ExchangeBlocks>(*exchange, spec.inputs.size(), order.ordered, place,
                                            ledger);
  }
  if (const auto* task = spec.As<TaskOperator>()) {
    if (spec.inputs.empty()) return std::make_unique<SourceOperator>(*task, order, ledger);
    return std::make_unique<MapOperator>(*task, order, ledger);
  }
  if (const auto* limit = spec.As<LimitOperator>()) {
    return std::make_unique<LimitBlocks>(*limit, ledger);
  }
  if (const auto* mix = spec.As<MixOperator>()) return std::make_unique<MixBlocks>(*mix, ledger);
  if (spec.As<UnionOperator>() != nullptr) {
    return std::make_unique<UnionBlocks>(static_cast<int>(spec.inputs.size()), order.ordered,
                                         ledger);
  }
  return std::make_unique<InputBlocks>(ledger);
}

}  // namespace headrace
