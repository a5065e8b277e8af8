#pragma once

#include <cstdint>

namespace headrace {

class SchedulerImpl;
struct OperatorRun;

/// The only place that overrides credit and policies, so that no run stalls.
///
/// It acts only when the run is stuck: no task runs, no actor is starting, the consumer wants a
/// block, and there is none to give. Then it goes from the output upstream, along the input that
/// each operator cannot go on without, to the first operator that can do something: the one
/// furthest downstream that has a task waiting for credit or work to start. That one gets one
/// byte of credit, which lets one block pass. So each override puts the sum of charges at most
/// one block over what it was, and every block of it is on the way to the consumer. A lost task
/// whose outputs others wait behind comes before them.
///
/// Where that operator lacks cpu, gpu or memory, what holds them is freed: an actor without tasks
/// is stopped; else a waiting task that holds some goes on until it ends. A task that does not fit
/// into the memory limit beside the blocks that there are starts all the same: it is alone.
class Liveness {
 public:
  explicit Liveness(SchedulerImpl* scheduler) : s_(*scheduler) {}

  /// Returns true if it freed resources that work may now use.
  bool Override();

  /// Returns true if nothing runs or is about to, and the consumer waits.
  bool Stuck() const;

 private:
  OperatorRun* FindRemaker() const;
  bool Advance(OperatorRun& run);
  bool StartForced(OperatorRun& run);
  bool FreeResources(const OperatorRun& needy);
  bool StopIdle(const OperatorRun& needy);

  SchedulerImpl& s_;
};

}  // namespace headrace
