#pragma once

#include <memory>

#include "headrace/control/optimize/rule.h"

// The default rules, one per file.

namespace headrace {

/// "predicate_pushdown": moves the terms of a filter towards the sources, each as far as it may
/// go: through projections that keep its columns, through unions and other filters (which it
/// joins), into reads that filter exactly. Stays above: terms on computed columns (they would be
/// computed twice), terms that may fail on rows that another filter drops, anything volatile,
/// functions of the user, limits.
std::shared_ptr<const Rule> MakePredicatePushdown();

/// "limit_pushdown": joins adjacent limits and moves a limit below operators that make one row
/// of each row: projections and row-to-row functions. A read below it learns the limit; the limit
/// itself goes away where the read alone is exact.
std::shared_ptr<const Rule> MakeLimitPushdown();

/// "projection_pushdown": joins adjacent projections where that computes nothing twice, leaves
/// out computed columns that nobody reads, and narrows reads to the columns that are needed. A
/// projection that changes nothing any more goes away.
std::shared_ptr<const Rule> MakeProjectionPushdown();

/// "operator_fusion": see control/optimize/operator_fusion.h.
std::shared_ptr<const PhysicalRule> MakeOperatorFusion();

}  // namespace headrace
