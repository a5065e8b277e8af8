"""Seeds of the random verbs.

In a plan a seed is 64 bits; zero says that each run draws its own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from headrace import _core
from headrace._internal.scalars import scalar_of

_DRAWN_BY_EACH_RUN = 0


@dataclass(frozen=True)
class SeedTuple:
    """A seed, and the number of the run that it is for; None: the same for all runs."""

    seed: int
    execution_idx: int | None = None

    def to_rng_args(self, task_idx: int) -> tuple[int, ...]:
        """Returns the parts of a seed for `numpy.random.default_rng` in one task."""
        if self.execution_idx is None:
            return task_idx, self.seed
        return task_idx, self.execution_idx, self.seed


@dataclass(frozen=True)
class RandomSeedConfig:
    """How a random verb is seeded.

    Args:
        seed: None: each run is another one.
        reseed_after_execution: a run of the same dataset differs from the run before.
        use_timestamp_as_default: accepted; without a seed, every run is seeded anew anyhow.
    """

    seed: int | None = None
    reseed_after_execution: bool = True
    use_timestamp_as_default: bool = False

    def __post_init__(self) -> None:
        if self.seed is not None and not isinstance(self.seed, int):
            raise ValueError("Seed must be an integer or None.")

    def get_seed_tuple(self, *, data_context: Any) -> SeedTuple | None:
        """Returns the seed with the number of the run; None without a seed. Runs of one dataset
        are numbered by the engine, so here each counts as the first."""
        if self.seed is None:
            return None
        return SeedTuple(self.seed, 0 if self.reseed_after_execution else None)

    @classmethod
    def create_seed_config(
        cls, seed: int | RandomSeedConfig | None, *, use_timestamp_as_default: bool = False
    ) -> RandomSeedConfig:
        """Returns `seed` as a config; a plain number is the same in every run.

        Raises ValueError for what is no seed.
        """
        if isinstance(seed, RandomSeedConfig):
            return seed
        if seed is None:
            return cls(None, True, use_timestamp_as_default)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise ValueError(f"Invalid seed type: {type(seed)}")
        return cls(seed, False, False)


def plan_seed(seed: Any) -> int:
    """Returns the seed that stands in the plan. ValueError for what is no seed."""
    config = RandomSeedConfig.create_seed_config(seed)
    if config.seed is None:
        return _DRAWN_BY_EACH_RUN
    # Odd, so that no seed of a user is the one that means none.
    return (2 * config.seed + 1) % (1 << 64)


def chance(seed: Any) -> _core.Expr:
    """Returns an expression: a number in [0, 1) for each row, by the seed and the row's place.

    ValueError for what is no seed.
    """
    config = RandomSeedConfig.create_seed_config(seed)
    number, reseeded = config.seed, config.reseed_after_execution
    if number is None:
        number, reseeded = secrets.randbits(63), True
    return _random(number, reseeded)


def fixed_chance(seed: int | None) -> _core.Expr:
    """The same, equal in every run: without a seed, one is drawn now."""
    return _random(secrets.randbits(63) if seed is None else seed, False)


def _random(seed: int, reseeded: bool) -> _core.Expr:
    signed = (seed + (1 << 63)) % (1 << 64) - (1 << 63)
    literals = [scalar_of(signed), scalar_of(reseeded)]
    return _core.Expr.call("random", [_core.Expr.literal(literal) for literal in literals])
