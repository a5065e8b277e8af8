"""Statistics of runs, as `Dataset.get_stats_summary()` gives them."""

from headrace._internal.stats import OperatorStats, RunStats

__all__ = ["OperatorStats", "RunStats"]
