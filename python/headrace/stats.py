"""Statistics of runs, as `Dataset.get_stats_summary()` gives them."""

from headrace._internal.stats import OperatorStats, RunStats
from headrace._internal.summary import DatasetSummary

__all__ = ["DatasetSummary", "OperatorStats", "RunStats"]
