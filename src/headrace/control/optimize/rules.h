#pragma once

#include <memory>

#include "headrace/control/optimize/rule.h"

// The default rules, one per file.

namespace headrace {

/// "predicate_pushdown": moves the terms of a filter towards the sources, each as far as it may
/// go: through projections that keep its columns, through unions and other filters (which it
/// joins), through sorts, shuffles and repartitions, through folds on their keys and joins on the
/// side that keeps its rows, into reads that filter exactly. Stays above: terms on computed columns
/// (they would be computed twice), terms that may fail on rows that another filter drops, anything
/// volatile, functions of the user, limits.
std::shared_ptr<const Rule> MakePredicatePushdown();

/// "limit_pushdown": joins adjacent limits and moves a limit below operators that make one row
/// of each row: projections and row-to-row functions that leave no row out. A sort below it keeps
/// only the first rows. A read below it learns the limit; the limit itself goes away where the read
/// alone is exact. It does not hold where tasks may fail: PlanQuery leaves it out there.
std::shared_ptr<const Rule> MakeLimitPushdown();

/// "projection_pushdown": joins adjacent projections where that computes nothing twice, leaves
/// out computed columns and folds that nobody reads, and narrows reads, and what goes into an
/// exchange, to the columns that are needed. A
/// projection that changes nothing any more goes away.
std::shared_ptr<const Rule> MakeProjectionPushdown();

/// "exchange_combination": takes out shuffles, repartitions and sorts whose effect the operator
/// above undoes: any of them below a shuffle or a fold that does not look at the order of rows;
/// a repartition in order below a sort, a join, a fold or another repartition. Two sorts become
/// one, by the keys of both.
std::shared_ptr<const Rule> MakeExchangeCombination();

/// "join_sides": exchanges the sides of a join whose left one looks much smaller than the right one
/// once it is filtered (EstimateBytes), where right rows are joined apart from each other; so the
/// smaller one is held, and its real size decides where. A projection puts the columns back. Rows
/// then come in the right side's order.
std::shared_ptr<const Rule> MakeJoinSides();

/// "operator_fusion": see control/optimize/operator_fusion.h.
std::shared_ptr<const PhysicalRule> MakeOperatorFusion();

}  // namespace headrace
