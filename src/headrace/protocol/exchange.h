#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/status.h"

// The vocabulary of the exchange: operators that need all of their input.
//
//   map tasks                                driver                reduce tasks
//   … ─▶ [fold] ─▶ scatter ─▶ blocks ─▶ which rows of which ─▶ merge | join | fold | … ─▶ …
//               or sort       + index    block for which task
//
// The map side is the last step of an ordinary task, so maps before it fuse into it. A map task
// does not cut its rows into a block for each reducer: it orders them and says where they lie
// (BlockIndex). The driver then gives each reduce task row ranges of blocks (RowRange), by the
// real sizes: how many partitions there are is decided when all the map tasks have ended.

namespace headrace {

class WireReader;
class WireWriter;
struct FunctionSpec;

// ---- What a reduce task works on.

/// Rows [begin, end) of one input block of a task. `end` -1: to the end.
struct RowRange {
  std::int64_t begin = 0;
  std::int64_t end = -1;
  bool operator==(const RowRange&) const = default;
};

/// One end of a range of sorted rows: the place before the first row that is not less. Rows are
/// ordered by encoded key and then by the number of their run, so one key's rows may be shared
/// out between tasks.
struct RunBound {
  std::string key;
  std::uint32_t run = 0;
  auto operator<=>(const RunBound&) const = default;
};

/// Which rows of its input runs a merging task takes: those in [low, high). Its row ranges hold
/// them all, and perhaps a few rows more at each end.
struct KeyRange {
  std::optional<RunBound> low;      // Unset: from the first.
  std::optional<RunBound> high;     // Unset: to the last.
  std::vector<std::uint32_t> runs;  // The number of each input's run.
  bool operator==(const KeyRange&) const = default;
};

// ---- Steps. See data/exchange/exchange.h for how each is done.

/// One key of a sort. Null and nan come last unless `nulls_first`, whatever the direction.
struct SortKey {
  std::string column;
  bool descending = false;
  bool nulls_first = false;
  bool operator==(const SortKey&) const = default;
};

/// Map side, last step: orders the rows of the task's outputs by bucket. Their infos get an index.
struct ScatterStep {
  std::vector<std::string> keys;  // Rows with equal keys meet. Empty: each row at random.
  std::int32_t buckets = 1;
  std::uint64_t seed = 0;  // Without keys: mixed with the task's position.
};

/// Map side, last step: sorts, stably, all rows of the task into one run; infos get an index. The
/// blocks of a run follow each other. With `limit`, only the first rows are kept.
struct SortStep {
  std::vector<SortKey> keys;
  std::int64_t limit = -1;
};

/// Reduce side, first step: merges sorted runs, stably in order of their numbers. Takes KeyRange.
struct MergeStep {
  std::vector<SortKey> keys;
  std::int64_t limit = -1;
};

/// Reduce side: all rows of the task in random order.
struct ShuffleStep {
  std::uint64_t seed = 0;  // Mixed with the task's position.
};

/// Reduce side: all rows of the task sorted by `keys`; a block that it yields never ends between
/// rows of equal keys. For functions that take whole groups.
struct GroupStep {
  std::vector<std::string> keys;
};

enum class AggregateKind : std::uint8_t {
  kCount,  // Of values, or with an empty column of rows.
  kSum,
  kMin,
  kMax,
  kMean,
  kStd,  // Parameter: ddof.
  kAbsMax,
  kQuantile,  // Parameter: q in [0, 1]; linear interpolation.
  kUnique,    // A list of the values, each once.
  kList,      // A list of all values.
  kCountDistinct,
  kMissingShare,  // Nulls and nan, in percent of the rows.
  kZeroShare,     // Zeros, in percent of the values (or rows, if nulls count).
  kFirst,         // The first value by order of rows.
};

/// What is computed of the rows of each group.
struct AggregateSpec {
  AggregateKind kind = AggregateKind::kCount;
  std::string column;        // "": rows. kCount only.
  std::string name;          // Of the output column.
  bool ignore_nulls = true;  // Else one null makes the result null.
  double parameter = 0;
  bool operator==(const AggregateSpec&) const = default;
};

/// Folds rows of equal keys into one. Without keys all rows are one group, also if there are none.
///
///   kPartial  rows → one row for each group: keys, and states of the aggregates
///   kFinal    states, of any tasks → one row for each group: keys, and results
///   kWhole    rows → results: where one task sees all rows of its groups
///
/// A partial fold passes rows on as states of one row each where it finds that folding does not
/// make them fewer.
struct AggregateStep {
  enum class Phase : std::uint8_t { kPartial, kFinal, kWhole };
  Phase phase = Phase::kWhole;
  std::vector<std::string> keys;
  std::vector<AggregateSpec> aggregates;
};

enum class JoinKind : std::uint8_t {
  kInner,
  kLeftOuter,
  kRightOuter,
  kFullOuter,
  kLeftSemi,
  kRightSemi,
  kLeftAnti,
  kRightAnti,
};

/// Reduce side, first step: joins the left inputs of the task with the right ones by equal keys. Or
/// anywhere in a program, where all of the right side comes with the task's order
/// (TaskOrder::sides) and the left rows from the step before. A null key matches nothing. Output:
/// the left columns, keys too, then the right ones that are no keys; for right outer joins the left
/// ones that are no keys, then the right ones, keys too; for semi and anti joins those of one side.
/// A name on both sides gets the suffix of its side, but keys keep theirs.
struct JoinStep {
  JoinKind kind = JoinKind::kInner;
  std::vector<std::string> left_keys;
  std::vector<std::string> right_keys;
  std::string left_suffix;
  std::string right_suffix;
};

/// Reduce side, first step: the columns of the left rows beside those of the right rows, which are
/// as many. A name that occurs already gets "_1", "_2", …
struct ZipStep {};

void WriteRowRanges(const std::vector<RowRange>& ranges, WireWriter* out);
std::vector<RowRange> ReadRowRanges(WireReader* in);
void WriteKeyRange(const KeyRange& range, WireWriter* out);
KeyRange ReadKeyRange(WireReader* in);

/// Short text for messages and explain(): "sum(x)".
std::string ToString(const AggregateSpec& aggregate);

}  // namespace headrace
