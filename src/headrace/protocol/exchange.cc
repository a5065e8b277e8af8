#include "headrace/protocol/exchange.h"

#include <type_traits>

#include "headrace/base/wire.h"
#include "headrace/protocol/arrow_wire.h"
#include "headrace/protocol/exchange_wire.h"

namespace headrace {
namespace {

void WriteSortKeys(const std::vector<SortKey>& keys, WireWriter* out) {
  out->U64(keys.size());
  for (const SortKey& key : keys) {
    out->Bytes(key.column);
    out->Bool(key.descending);
    out->Bool(key.nulls_first);
  }
}

std::vector<SortKey> ReadSortKeys(WireReader* in) {
  std::vector<SortKey> keys(in->Count());
  for (SortKey& key : keys) {
    key.column = in->String();
    key.descending = in->Bool();
    key.nulls_first = in->Bool();
  }
  return keys;
}

void WriteBound(const std::optional<RunBound>& bound, WireWriter* out) {
  out->Bool(bound.has_value());
  if (!bound) return;
  out->Bytes(bound->key);
  out->U32(bound->run);
}

std::optional<RunBound> ReadBound(WireReader* in) {
  if (!in->Bool()) return std::nullopt;
  RunBound bound;
  bound.key = in->String();
  bound.run = in->U32();
  return bound;
}

AggregateSpec ReadAggregate(WireReader* in) {
  AggregateSpec spec;
  spec.kind = static_cast<AggregateKind>(in->U8());
  spec.column = in->String();
  spec.name = in->String();
  spec.ignore_nulls = in->Bool();
  spec.parameter = in->F64();
  return spec;
}

Result<Step> ReadAggregateStep(WireReader* in) {
  AggregateStep step;
  const std::uint8_t phase = in->U8();
  if (phase > static_cast<std::uint8_t>(AggregateStep::Phase::kWhole)) {
    return Status::Invalid("malformed step: unknown phase ", static_cast<int>(phase));
  }
  step.phase = static_cast<AggregateStep::Phase>(phase);
  step.keys = ReadStrings(in);
  const std::uint64_t count = in->Count();
  for (std::uint64_t i = 0; i < count; ++i) {
    AggregateSpec spec = ReadAggregate(in);
    if (spec.kind > AggregateKind::kFirst) {
      return Status::Invalid("malformed step: unknown aggregate ", static_cast<int>(spec.kind));
    }
    step.aggregates.push_back(std::move(spec));
  }
  return Step(std::move(step));
}

Result<Step> ReadJoinStep(WireReader* in) {
  JoinStep step;
  const std::uint8_t kind = in->U8();
  if (kind > static_cast<std::uint8_t>(JoinKind::kRightAnti)) {
    return Status::Invalid("malformed step: unknown join ", static_cast<int>(kind));
  }
  step.kind = static_cast<JoinKind>(kind);
  step.left_keys = ReadStrings(in);
  step.right_keys = ReadStrings(in);
  step.left_suffix = in->String();
  step.right_suffix = in->String();
  return Step(std::move(step));
}

const char* NameOf(AggregateKind kind) {
  switch (kind) {
    case AggregateKind::kCount:
      return "count";
    case AggregateKind::kSum:
      return "sum";
    case AggregateKind::kMin:
      return "min";
    case AggregateKind::kMax:
      return "max";
    case AggregateKind::kMean:
      return "mean";
    case AggregateKind::kStd:
      return "std";
    case AggregateKind::kAbsMax:
      return "abs_max";
    case AggregateKind::kQuantile:
      return "quantile";
    case AggregateKind::kUnique:
      return "unique";
    case AggregateKind::kList:
      return "list";
    case AggregateKind::kCountDistinct:
      return "count_distinct";
    case AggregateKind::kMissingShare:
      return "missing_pct";
    case AggregateKind::kZeroShare:
      return "zero_pct";
    case AggregateKind::kFirst:
      return "first";
  }
  return "unknown";
}

}  // namespace

void WriteRowRanges(const std::vector<RowRange>& ranges, WireWriter* out) {
  out->U64(ranges.size());
  for (const RowRange& range : ranges) {
    out->I64(range.begin);
    out->I64(range.end);
  }
}

std::vector<RowRange> ReadRowRanges(WireReader* in) {
  std::vector<RowRange> ranges(in->Count());
  for (RowRange& range : ranges) {
    range.begin = in->I64();
    range.end = in->I64();
  }
  return ranges;
}

void WriteKeyRange(const KeyRange& range, WireWriter* out) {
  WriteBound(range.low, out);
  WriteBound(range.high, out);
  out->U64(range.runs.size());
  for (const std::uint32_t run : range.runs) out->U32(run);
}

KeyRange ReadKeyRange(WireReader* in) {
  KeyRange range;
  range.low = ReadBound(in);
  range.high = ReadBound(in);
  range.runs.resize(in->Count());
  for (std::uint32_t& run : range.runs) run = in->U32();
  return range;
}

std::string ToString(const AggregateSpec& aggregate) {
  return std::string(NameOf(aggregate.kind)) + "(" + aggregate.column + ")";
}

void WriteBody(const ScatterStep& step, WireWriter* out) {
  WriteStrings(step.keys, out);
  out->I32(step.buckets);
  out->U64(step.seed);
}

void WriteBody(const SortStep& step, WireWriter* out) {
  WriteSortKeys(step.keys, out);
  out->I64(step.limit);
}

void WriteBody(const MergeStep& step, WireWriter* out) {
  WriteSortKeys(step.keys, out);
  out->I64(step.limit);
}

void WriteBody(const ShuffleStep& step, WireWriter* out) { out->U64(step.seed); }

void WriteBody(const GroupStep& step, WireWriter* out) { WriteStrings(step.keys, out); }

void WriteBody(const AggregateStep& step, WireWriter* out) {
  out->U8(static_cast<std::uint8_t>(step.phase));
  WriteStrings(step.keys, out);
  out->U64(step.aggregates.size());
  for (const AggregateSpec& spec : step.aggregates) {
    out->U8(static_cast<std::uint8_t>(spec.kind));
    out->Bytes(spec.column);
    out->Bytes(spec.name);
    out->Bool(spec.ignore_nulls);
    out->F64(spec.parameter);
  }
}

void WriteBody(const JoinStep& step, WireWriter* out) {
  out->U8(static_cast<std::uint8_t>(step.kind));
  WriteStrings(step.left_keys, out);
  WriteStrings(step.right_keys, out);
  out->Bytes(step.left_suffix);
  out->Bytes(step.right_suffix);
}

void WriteBody(const ZipStep&, WireWriter*) {}

// The kinds below are these indexes.
static_assert(std::is_same_v<std::variant_alternative_t<6, Step>, ScatterStep>);
static_assert(std::is_same_v<std::variant_alternative_t<7, Step>, SortStep>);
static_assert(std::is_same_v<std::variant_alternative_t<8, Step>, MergeStep>);
static_assert(std::is_same_v<std::variant_alternative_t<9, Step>, ShuffleStep>);
static_assert(std::is_same_v<std::variant_alternative_t<10, Step>, GroupStep>);
static_assert(std::is_same_v<std::variant_alternative_t<11, Step>, AggregateStep>);
static_assert(std::is_same_v<std::variant_alternative_t<12, Step>, JoinStep>);
static_assert(std::is_same_v<std::variant_alternative_t<13, Step>, ZipStep>);
static_assert(std::variant_size_v<Step> == 14);

Result<Step> ReadExchangeStep(int kind, WireReader* in) {
  switch (kind) {
    case 6: {
      ScatterStep step{ReadStrings(in), 0, 0};
      step.buckets = in->I32();
      step.seed = in->U64();
      return Step(std::move(step));
    }
    case 7: {
      SortStep step{ReadSortKeys(in), -1};
      step.limit = in->I64();
      return Step(std::move(step));
    }
    case 8: {
      MergeStep step{ReadSortKeys(in), -1};
      step.limit = in->I64();
      return Step(std::move(step));
    }
    case 9:
      return Step(ShuffleStep{in->U64()});
    case 10:
      return Step(GroupStep{ReadStrings(in)});
    case 11:
      return ReadAggregateStep(in);
    case 12:
      return ReadJoinStep(in);
    case 13:
      return Step(ZipStep{});
  }
  return Status::Invalid("malformed step: unknown kind ", kind);
}

}  // namespace headrace
