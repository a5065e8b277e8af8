"""`Dataset.mix`: several datasets by turns, as sources of training data are mixed."""

from __future__ import annotations

import math
import numbers
from enum import Enum
from typing import TYPE_CHECKING

from headrace import _core
from headrace._internal.lineage import recorded

if TYPE_CHECKING:
    from headrace.dataset import Dataset


class MixStoppingCondition(str, Enum):
    """When a mix ends."""

    # With the first dataset that has no more rows: the rest of the others is left out.
    STOP_ON_SHORTEST = "stop_on_shortest"
    # With the last one: those that have no more rows drop out.
    STOP_ON_LONGEST_DROP = "stop_on_longest_drop"


class MixMixin:
    """The mixing part of `Dataset`."""

    _plan: _core.Plan

    def _with_plan(self, plan: _core.Plan) -> Dataset:
        raise NotImplementedError

    @recorded
    def mix(
        self,
        *other: Dataset,
        weights: list[float] | None = None,
        stopping_condition: MixStoppingCondition = MixStoppingCondition.STOP_ON_LONGEST_DROP,
    ) -> Dataset:
        """Takes blocks of this dataset and others by turns, so that their rows keep a ratio.

        The next block is of the dataset that lacks most rows of its share of those that were taken;
        of equals, of the one with the greatest weight, then of the first. So the ratio is kept as
        closely as the sizes of the blocks allow: `repartition(target_num_rows_per_block=...)` makes
        smaller ones. The order depends on the datasets alone, not on timing.

        Args:
            weights: the ratio: of this dataset, then of each of the others; None: equal.
            stopping_condition: a `MixStoppingCondition`, or its value.

        Raises:
            ValueError: not a weight for each dataset, one that is not positive, or another
                condition.
        """
        for dataset in other:
            if not isinstance(dataset, MixMixin):
                raise TypeError(f"mix() needs datasets, got: {type(dataset).__name__}")
        plans = [self._plan, *(dataset._plan for dataset in other)]
        shares = [1.0] * len(plans) if weights is None else list(weights)
        if len(shares) != len(plans):
            raise ValueError(
                f"Number of datasets ({len(plans)}) must match number of weights ({len(shares)})."
            )
        if not all(isinstance(w, numbers.Real) and 0 < w < math.inf for w in shares):
            raise ValueError(f"Weights must be positive. Got weights: {shares}")
        condition = MixStoppingCondition(stopping_condition)
        shortest = condition == MixStoppingCondition.STOP_ON_SHORTEST
        return self._with_plan(_core.Plan.mix(plans, [float(w) for w in shares], shortest))
