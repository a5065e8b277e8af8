#include <string>
#include <utility>

#include "headrace/control/schedule/exchange_operator.h"
#include "headrace/control/schedule/scheduler_impl.h"

// Joins that may broadcast their right side (ExchangeOperator::broadcast_bytes). Those that make
// the left side wait for the size of the right one; if it is small, their tasks do not scatter
// their rows but join them, and go on with the steps that stand behind the join. Of several such
// joins in a row the tasks of the first left side do the work, as far as sides are small.

namespace headrace {
namespace {

const ProgramPtr& ProgramOf(const OperatorRun& run) {
  return run.exchange != nullptr ? run.exchange->program : run.task_spec->program;
}

/// Returns true if the operator's tasks are of C++ alone and scatter their rows at the end.
bool EndsInScatter(const OperatorRun& run) {
  if (!run.runs_tasks || run.pool) return false;
  const TaskProgram& program = *ProgramOf(run);
  return program.lane == Lane::kThread && !program.steps.empty() &&
         std::holds_alternative<ScatterStep>(program.steps.back());
}

/// Returns "Read->Join" of "Read->Join(map)" and "Join": what comes before the map side, then
/// `next`.
std::string JoinedName(const std::string& name, const std::string& next) {
  const std::size_t map_side = name.rfind("->");
  return map_side == std::string::npos ? next : name.substr(0, map_side + 2) + next;
}

}  // namespace

void SchedulerImpl::FindSideJoins() {
  for (const std::size_t index : exchanges_) {
    OperatorRun& join = runs_[index];
    if (join.exchange->broadcast_bytes <= 0) continue;
    OperatorRun& left = run(join.spec->inputs.front());
    // What joins in these tasks must not need more than they have.
    if (!EndsInScatter(left) || !join.exchange->cost.FitsIn(left.task_cost)) continue;
    left.left_of = static_cast<ExchangeBlocks*>(join.op.get());
    left.left_of->MayBroadcast();
  }
}

/// Returns true if what the operator's tasks are to do depends on a join that has not decided.
bool SchedulerImpl::AwaitsChoice(const OperatorRun& run) const {
  const OperatorRun* at = &run;
  while (at->left_of != nullptr) {
    if (at->left_of->undecided()) return true;
    if (!at->left_of->broadcasts()) return false;
    at = &runs_[static_cast<std::size_t>(at->consumer)];
  }
  return false;
}

/// Gives a task the right sides that it joins, and the program that does. Requires: nothing is
/// awaited.
void SchedulerImpl::AddSides(OperatorRun& run, ProposedTask* work) {
  if (run.joined == nullptr && run.left_of->broadcasts()) {
    TaskProgram program = *ProgramOf(run);
    for (const OperatorRun* at = &run; at->left_of != nullptr && at->left_of->broadcasts();) {
      run.sides.push_back(at->left_of);
      at = &runs_[static_cast<std::size_t>(at->consumer)];
      const TaskProgram& join = *at->exchange->program;
      program.steps.pop_back();
      program.steps.insert(program.steps.end(), join.steps.begin(), join.steps.end());
      program.shape = join.shape;
      program.shared_output = join.shared_output;
      program.name = JoinedName(program.name, join.name);
    }
    run.stats.name = program.name;
    run.joined = std::make_shared<const TaskProgram>(std::move(program));
  }
  if (run.joined == nullptr) return;
  work->program = run.joined;
  for (ExchangeBlocks* join : run.sides) join->TakeSide(work);
}

}  // namespace headrace
