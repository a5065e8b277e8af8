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
