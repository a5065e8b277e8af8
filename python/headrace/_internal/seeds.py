"""Seeds of the random verbs.

In a plan a seed is 64 bits; zero says that each run draws its own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

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


def drawn_seed(seed: Any) -> int:
    """Returns a seed for something that is drawn now, in this process."""
    return plan_seed(seed) or secrets.randbits(64) | 1
