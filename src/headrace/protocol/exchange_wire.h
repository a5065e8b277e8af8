#pragma once

#include "headrace/base/status.h"
#include "headrace/base/wire.h"
#include "headrace/protocol/program.h"

// The byte form of the exchange's steps, for WriteProgram and ReadProgram. Private to protocol/.

namespace headrace {

void WriteBody(const ScatterStep& step, WireWriter* out);
void WriteBody(const SortStep& step, WireWriter* out);
void WriteBody(const MergeStep& step, WireWriter* out);
void WriteBody(const ShuffleStep& step, WireWriter* out);
void WriteBody(const GroupStep& step, WireWriter* out);
void WriteBody(const AggregateStep& step, WireWriter* out);
void WriteBody(const JoinStep& step, WireWriter* out);
void WriteBody(const ZipStep& step, WireWriter* out);

/// Reads the step of this index in Step, one of those above.
Result<Step> ReadExchangeStep(int kind, WireReader* in);

}  // namespace headrace
